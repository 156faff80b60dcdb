"""The differences that claim 1.3 judges, on tables made by hand."""

import pandas as pd
import pytest

from bslib import claims
from bslib.noise import double_well, local_minima

WINNERS = pd.DataFrame(
    {
        "batch_size": [8, 32, 512],
        "outcome": ["tuned", "tuned", "tuned"],
        "validation_accuracy": [0.4, 0.5, 0.6],
    }
)
RUNS = pd.DataFrame(
    [
        {"batch_size": size, "seed": seed, "test_accuracy": value}
        for size, values in {512: [0.50, 0.52], 8: [0.9, 0.9], 32: [0.53, 0.57]}.items()
        for seed, value in enumerate(values)
    ]
)


def test_the_small_size_is_chosen_on_the_grid() -> None:
    """The best small size is the grid's, never the largest, and not what reruns say is best."""
    assert local_minima.best_small(WINNERS) == 32
    missing = WINNERS.assign(validation_accuracy=[0.4, float("nan"), 0.6])
    assert local_minima.best_small(missing) == 8


def test_the_advantage_is_paired_and_in_points() -> None:
    """Test accuracy of the chosen size less the largest's, seed by seed, in points."""
    found = local_minima.advantage(RUNS.sample(frac=1, random_state=0), WINNERS)
    assert found.value == pytest.approx(4.0)
    assert found.n == 2
    assert found.high - found.low == pytest.approx(2 * 12.7062, rel=1e-4)  # sd of 3 and 5 points


@pytest.mark.parametrize("row", [1, 2])
def test_an_untuned_size_is_not_compared(row: int) -> None:
    """Where either of the two sizes ended at an edge, nothing is estimated."""
    winners = WINNERS.copy()
    winners.loc[row, "outcome"] = "edge"
    found = local_minima.advantage(RUNS, winners)
    assert found.value is None
    assert found.reason.startswith("edge")


def test_arms_are_the_catalogues() -> None:
    """Every arm of the claim is estimated, under its name."""
    law = double_well.kramers()
    wells = pd.concat([law.assign(seed=seed) for seed in range(2)], ignore_index=True)
    found = local_minima.arms(wells, RUNS, WINNERS, RUNS, WINNERS)
    assert list(found) == [arm.name for arm in claims.claim("1.3").arms]
    assert found[local_minima.WELL].value == pytest.approx(1)
