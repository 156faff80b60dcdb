"""Workers that share a batch compute its gradient; batch normalisation is the exception."""

import pytest

from bslib.parallel.gradients import shared_gradient_difference

# Rounding of a sum in another order: a few hundred roundings, far apart from any mistake.
FLOAT32, FLOAT64 = 1e-6, 1e-14


@pytest.mark.parametrize("shares", [[16, 16], [25, 3]])
def test_the_shared_gradient_is_the_whole_batchs(shares: list[int]) -> None:
    """In single precision, for equal and for unequal shards, to 1e-6."""
    found = shared_gradient_difference("mnist1d", shares, seed=0, examples=100, dtype="float32")
    assert 0 < found < FLOAT32


def test_in_double_precision_only_rounding_is_left() -> None:
    """Its size is that of the precision, so that nothing systematic hides in it."""
    assert shared_gradient_difference("mnist1d", [9, 7], seed=1, examples=100) < FLOAT64


def test_batch_normalisation_differs() -> None:
    """Each worker normalises by its own examples: another function, another gradient."""
    found = shared_gradient_difference(
        "mnist1d", [16, 16], seed=0, examples=100, options={"norm": "batch"}
    )
    assert found > 0.01
