"""Workers that share a batch compute its gradient; batch normalisation is the exception."""

from bslib.parallel.gradients import differences

SHARES = [[16, 16], [25, 3]]


def test_the_shared_gradient_is_the_whole_batchs() -> None:
    """In single precision, for equal and for unequal shards, to 1e-6."""
    found = differences("mnist1d", SHARES, seeds=[0, 1], examples=100, dtype="float32")
    assert found["shares"].tolist() == ["16 and 16", "25 and 3"] * 2
    assert found["seed"].tolist() == [0, 0, 1, 1]
    assert found["difference"].between(1e-12, 1e-6).all()


def test_in_double_precision_only_rounding_is_left() -> None:
    """Its size is that of the precision: a few hundred roundings, far from any mistake."""
    found = differences("mnist1d", SHARES, seeds=[1], examples=100)
    assert (found["difference"] < 1e-14).all()


def test_batch_normalisation_differs() -> None:
    """Each worker normalises by its own examples: another function, another gradient."""
    options = {"norm": "batch"}
    found = differences("mnist1d", SHARES[:1], seeds=[0], examples=100, options=options)
    assert found["difference"].item() > 0.01
