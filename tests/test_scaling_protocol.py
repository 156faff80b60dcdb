"""The learning-rate protocol with trainings that are drawn, not trained."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from bslib.refusal import Refusal
from bslib.scaling import protocol, rules


@dataclass(frozen=True)
class Members:
    members: pd.DataFrame


@dataclass
class Fake:
    """Steps to target lowest at ``best(batch_size)``; fails at ``limit`` and above."""

    best: float = 0.1
    limit: float = np.inf
    calls: list[tuple[int, list[float], list[int]]] = field(default_factory=list)
    caps: list[float] = field(default_factory=list)

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
    ) -> Members:
        self.calls.append((batch_size, list(learning_rates), list(seeds)))
        self.caps.append(most_examples)
        rates = np.asarray(learning_rates)
        steps = 100 * np.exp(np.log(rates / (self.best * batch_size)) ** 2)
        steps = np.where(rates >= self.limit, np.nan, steps + np.asarray(seeds) % 7)
        steps = np.where(steps * batch_size <= most_examples, steps, np.nan)
        return Members(
            pd.DataFrame(
                {
                    "batch_size": batch_size,
                    "learning_rate": rates,
                    "seed": list(seeds),
                    "steps_to_target": steps,
                    "validation_accuracy": 1 / steps,
                }
            )
        )


def sweep(fake: Fake, center: float, **settings: object) -> protocol.Sweep:
    return protocol.sweep(
        fake,
        [1, 4],
        lambda batch_size: center * batch_size,
        seeds=range(3),
        fresh_seeds=range(10, 14),
        **settings,  # type: ignore[arg-type]
    )


def test_grid_is_logarithmic_about_its_center() -> None:
    """Five points, a factor of two apart, the center in the middle."""
    assert protocol.grid(0.4) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    with pytest.raises(Refusal, match="3 points"):
        protocol.grid(0.4, 2)


def test_a_well_centered_sweep_tunes_each_size_alone() -> None:
    """One ensemble a size for the grid and one for the winner, on seeds never seen before."""
    fake = Fake()
    swept = sweep(fake, 0.1)
    assert list(swept.winners["learning_rate"]) == pytest.approx([0.1, 0.4])
    assert list(swept.winners["outcome"]) == ["tuned", "tuned"]
    assert [(size, len(rates)) for size, rates, _ in fake.calls] == [
        (1, 15),
        (1, 4),
        (4, 15),
        (4, 4),
    ]
    assert set(swept.reruns["seed"]) == set(range(10, 14))
    assert set(swept.grid["seed"]) == set(range(3))
    assert len(swept.reruns) == 8


@pytest.mark.parametrize("off", [8.0, 1 / 8])
def test_an_edge_is_extended_until_it_is_none(off: float) -> None:
    """A center three octaves off is found by one extension to the right side."""
    fake = Fake()
    swept = sweep(fake, 0.1 * off)
    assert list(swept.winners["learning_rate"]) == pytest.approx([0.1, 0.4])
    assert list(swept.winners["extensions"]) == [1, 1]
    assert list(swept.winners["outcome"]) == ["tuned", "tuned"]
    grid, extra = fake.calls[0][1], fake.calls[1][1]
    assert len(extra) == 6
    assert min(extra) > max(grid) if off < 1 else max(extra) < min(grid)


@pytest.mark.parametrize(("off", "side"), [(1000.0, "lowest"), (0.001, "highest")])
def test_an_edge_after_two_extensions_is_an_honest_end(off: float, side: str) -> None:
    """Ten octaves off, the outcome is "edge", and its reruns are not for comparison."""
    swept = sweep(Fake(), 0.1 * off)
    assert list(swept.winners["outcome"]) == ["edge", "edge"]
    assert set(swept.winners["side"]) == {side}
    assert set(swept.winners["extensions"]) == {2}
    assert len(swept.reruns) == 0
    assert (swept.runs["role"] == "rerun").sum() == 8


def test_divergence_beyond_the_winner_is_no_edge() -> None:
    """Rates that fail bound the winner as well as rates that are slow."""
    swept = sweep(Fake(best=1.0, limit=0.9), 0.1)
    row = swept.winners.iloc[0]
    assert row["outcome"] == "tuned"
    assert row["learning_rate"] == pytest.approx(0.8)


def test_nothing_reached_is_said() -> None:
    """Where every training fails there is no winner and no rerun, and the row says so."""
    fake = Fake(limit=0.0)
    swept = sweep(fake, 0.1)
    assert list(swept.winners["outcome"]) == ["unreached", "unreached"]
    assert swept.winners["learning_rate"].isna().all()
    assert len(fake.calls) == 2


def test_accuracies_are_made_high() -> None:
    """A metric named accuracy is maximised: here, the same winners."""
    swept = sweep(Fake(), 0.1, metric="validation_accuracy")
    assert list(swept.winners["learning_rate"]) == pytest.approx([0.1, 0.4])


def test_optima_interpolate_the_grid() -> None:
    """The optimum of each size's grid is the drawn one, though no grid holds it."""
    swept = sweep(Fake(best=0.13), 0.1)
    sizes, found = protocol.optima(swept.runs)
    assert sizes == [1, 4]
    values = [each.learning_rate.value for each in found]
    assert values == pytest.approx([0.13, 0.52], rel=0.02)


def test_seeds_and_sizes_are_checked() -> None:
    """A fresh seed that chose the rate, and a size given twice, are refused."""
    center = functools.partial(rules.saturating, 0.1, 10)
    with pytest.raises(Refusal, match="fresh seeds"):
        protocol.sweep(Fake(), [1], center, seeds=[0, 1], fresh_seeds=[1, 2])
    with pytest.raises(Refusal, match="twice"):
        protocol.sweep(Fake(), [1, 1], center, seeds=[0], fresh_seeds=[1])


def test_progress_counts_sizes() -> None:
    """The callback sees every size begin, and the end."""
    seen: list[tuple[int, int]] = []
    sweep(Fake(), 0.1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_patience_cuts_only_hopeless_rates_short() -> None:
    """From the largest size down, grids stop at a multiple of the last winner's examples."""
    fake = Fake()
    swept = sweep(fake, 0.2, patience=4)
    assert [size for size, _, _ in fake.calls] == [4, 4, 1, 1]
    # At the larger size the slowest winning seed took 102 steps of 4 examples.
    assert fake.caps == pytest.approx([np.inf, np.inf, 4 * 4 * 102, np.inf])
    assert list(swept.winners["batch_size"]) == [1, 4]
    pd.testing.assert_frame_equal(swept.winners, sweep(Fake(), 0.2).winners)
    with pytest.raises(Refusal, match="patience"):
        sweep(fake, 0.1, patience=1)
