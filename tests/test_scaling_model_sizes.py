"""Claim 2.3: the batch that fits and the critical batch size, against the width."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from bslib import claims, data, models
from bslib.memory.full_batch import MB
from bslib.scaling import critical_exponents, model_sizes
from bslib.scaling.model_sizes import FITS, USE

WIDTHS, BATCH_SIZES = [32, 64, 128], [8, 32, 128, 512]


def drawn(exponent: float, noise: float, seeds: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Steps of B_crit = 60 (width / 64)^exponent, and wider networks in fewer steps."""
    generator, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        for width in WIDTHS:
            critical = 60 * (width / 64) ** exponent
            for batch_size in BATCH_SIZES:
                steps = 2000 / width * (1 + critical / batch_size)
                steps *= np.exp(generator.normal(0, noise))
                rows.append((width, "rerun", batch_size, seed, steps))
    names = ["width", "role", "batch_size", "seed", "steps_to_target"]
    runs = pd.DataFrame(rows, columns=names)
    winners = runs[["width", "batch_size"]].drop_duplicates().reset_index(drop=True)
    return runs, winners.assign(outcome="tuned", side="", learning_rate=0.5)


def counted(exponent: float, widths: Sequence[int] = WIDTHS) -> pd.DataFrame:
    rows = [(seed, width, 1e5 * width**exponent) for seed in range(2) for width in widths]
    return pd.DataFrame(rows, columns=["seed", "width", "largest_batch"])


@pytest.mark.parametrize("exponent", [-0.7, 0.0, 0.3])
def test_both_exponents_are_those_of_the_laws(exponent: float) -> None:
    """On exact laws the critical size's exponent is found to 1e-4, the counted one exactly."""
    arms = model_sizes.arms(*drawn(exponent, 0.0, 3), counted(-0.8))
    assert arms[USE].value == pytest.approx(exponent, abs=1e-4)
    assert arms[FITS].value == pytest.approx(-0.8, abs=1e-12)
    assert arms[FITS].high - arms[FITS].low < 1e-12


def test_both_arms_can_come_out_either_way() -> None:
    """Falling sizes support the claim, level ones refute it, in each arm on its own."""
    falling, level = drawn(-0.7, 0.05, 5), drawn(0.0, 0.05, 5)
    for tables, fits, outcomes in (
        (falling, counted(0.0), {FITS: "refuted", USE: "supported"}),
        (level, counted(-0.8), {FITS: "supported", USE: "refuted"}),
    ):
        verdict = claims.judge("2.3", model_sizes.arms(*tables, fits))
        assert {arm.name: arm.outcome for arm in verdict.arms} == outcomes


def test_what_is_not_tuned_or_does_not_fit_is_refused() -> None:
    """An edge at one width, or a width of which no example fits, leaves its arm undecided."""
    runs, winners = drawn(0.0, 0.05, 3)
    winners.loc[5, ["outcome", "side"]] = ["edge", "highest"]
    fits = counted(-0.8)
    fits.loc[fits["width"] == 128, "largest_batch"] = 0
    arms = model_sizes.arms(runs, winners, fits)
    assert arms[USE].value is None
    assert arms[USE].reason == (
        "the learning rate of batch size 32 at width 64 is not tuned: edge highest"
    )
    assert arms[FITS].value is None
    assert arms[FITS].reason == "not one example fits at width 128"


def test_the_largest_batch_follows_the_activations() -> None:
    """Bytes an example are affine in the width, parameters are those of the module, and the
    batch is what the cap leaves beside the weights, to the update's own temporaries.
    """
    task = data.load("mnist1d", examples=64)
    widths = [32, 64, 96]
    fits = model_sizes.largest_batches(task, widths, 1.0, seed=3, seeds=2)
    assert list(fits["seed"]) == [3, 4] * 3
    assert fits.groupby("width")["largest_batch"].nunique().max() == 1
    one = fits[fits["seed"] == 3]
    bytes_each = one["bytes_per_example"].to_numpy()
    assert bytes_each[2] - bytes_each[1] == bytes_each[1] - bytes_each[0] > 0
    for width, count in zip(one["width"], one["parameters"], strict=True):
        module = models.build("mlp", task, seed=0, width=width)
        assert count == sum(parameter.numel() for parameter in module.parameters())
    # weights and their gradients alone, and at most two more copies of them
    room = one["largest_batch"] * bytes_each
    assert (room <= 1.0 * MB - 4 * one["parameters"]).all()
    assert (room >= 1.0 * MB - 4 * 4 * one["parameters"] - bytes_each).all()


def test_a_sweep_tunes_every_width_to_one_target() -> None:
    """A row a width and batch size, networks of that width, the same whoever asks first."""
    settings = {"task": "mnist1d", "examples": 64, "batch_sizes": [8, 64], "seeds": 2}
    settings |= {"metric": "train_loss", "value": 2.1, "device": "cpu"}
    told: list[tuple[int, int]] = []
    swept = model_sizes.sweep([16, 8], **settings, progress=lambda *now: told.append(now))
    assert told == [(0, 2), (1, 2), (2, 2)]
    winners = swept["winners"]
    assert winners[["width", "batch_size"]].to_numpy().tolist() == [
        [8, 8], [8, 64], [16, 8], [16, 64],
    ]  # fmt: skip
    reruns = swept["runs"].query("role == 'rerun'")
    assert set(reruns["seed"]) == {1000, 1001}
    steps = reruns.pivot(index=["batch_size", "seed"], columns="width", values="steps_to_target")
    assert (steps[8] != steps[16]).all()
    rates = model_sizes.best_rates(winners)
    assert list(rates.columns) == ["batch_size", "width 8", "width 16"]
    tuned = winners.loc[winners["width"] == 16, "learning_rate"]
    assert rates["width 16"].tolist() == tuned.tolist()


def test_one_page_holds_both_sizes() -> None:
    """Each width has a counted size without an interval and a critical one inside its own."""
    runs, winners = drawn(0.0, 0.05, 4)
    both = model_sizes.on_one_page(counted(-0.8), runs, winners)
    assert both.groupby("limit")["width"].apply(list).tolist() == [WIDTHS, WIDTHS]
    sampled = both[both["limit"] == "the critical batch size"]
    assert (sampled["low"] < sampled["batch_size"]).all()
    assert (sampled["batch_size"] < sampled["high"]).all()
    winners["outcome"], runs["steps_to_target"] = "unreached", np.nan
    assert len(model_sizes.on_one_page(counted(-0.8), runs, winners)) == len(WIDTHS)
    assert critical_exponents.curves(runs, winners, by="width").empty
