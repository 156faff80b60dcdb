"""Learning rate and weight decay tuned together, on drawn scores and on real trainings."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from bslib.refusal import Refusal
from bslib.scaling import Sweep, joint, protocol, tuned

DECAYS = (0.0, 0.01, 0.02, 0.04)


@dataclass(frozen=True)
class Members:
    members: pd.DataFrame


@dataclass
class Fake:
    """Loss lowest at one pair, along a ridge: a larger decay wants a smaller rate."""

    rate: float = 0.4
    decay: float = 0.02
    fails_from: float = np.inf
    asked: list[set[tuple[float, float]]] = field(default_factory=list)

    def __call__(
        self,
        *,
        batch_size: int,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        most_examples: float,
        weight_decays: Sequence[float] = (),
    ) -> Members:
        rates, decays = np.asarray(learning_rates), np.asarray(weight_decays)
        self.asked.append(set(zip(learning_rates, weight_decays, strict=True)))
        x, y = np.log(rates / self.rate), np.log((decays + 0.001) / (self.decay + 0.001))
        loss = np.where(rates >= self.fails_from, np.nan, x**2 + y**2 + 1.2 * x * y)
        columns = {"batch_size": batch_size, "learning_rate": rates, "weight_decay": decays}
        return Members(pd.DataFrame({**columns, "seed": list(seeds), "loss": loss}))


def sweep(fake: Fake, weight_decays: Sequence[float] = DECAYS) -> protocol.Sweep:
    return protocol.sweep(
        fake,
        [8],
        lambda batch_size: 0.2,
        metric="loss",
        seeds=range(2),
        fresh_seeds=range(10, 14),
        weight_decays=weight_decays,
    )


def test_the_best_pair_is_found_and_trained_again() -> None:
    """The pair of lowest loss wins over the best rate of any one decay, on fresh seeds."""
    swept = sweep(Fake())
    winner = swept.winners.iloc[0]
    assert (winner["learning_rate"], winner["weight_decay"]) == (pytest.approx(0.4), 0.02)
    assert (winner["outcome"], winner["side"], winner["extensions"]) == ("tuned", "", 0)
    assert len(swept.grid) == 5 * 4 * 2
    assert set(swept.reruns["seed"]) == set(range(10, 14))
    assert set(swept.reruns["weight_decay"]) == {0.02}
    assert set(swept.reruns["learning_rate"]) == {winner["learning_rate"]}


def test_no_decay_is_no_edge() -> None:
    """A winner at decay 0 is tuned, with nothing trained beyond the first grid."""
    fake = Fake(decay=0.0)
    winner = sweep(fake).winners.iloc[0]
    assert (winner["weight_decay"], winner["outcome"]) == (0.0, "tuned")
    assert len(fake.asked) == 2


@pytest.mark.parametrize(("rate", "decay", "extensions"), [(1.6, 0.08, 1), (0.2, 0.32, 2)])
def test_the_rectangle_grows_where_the_winner_is_at_an_edge(
    rate: float, decay: float, extensions: int
) -> None:
    """Octaves above one or both ends: each new rate meets each decay, old and new, exactly once."""
    fake = Fake(rate=rate, decay=decay)
    swept = sweep(fake)
    winner = swept.winners.iloc[0]
    assert (winner["learning_rate"], winner["weight_decay"]) == pytest.approx((rate, decay))
    assert (winner["outcome"], winner["extensions"]) == ("tuned", extensions)
    counts = swept.grid.groupby(["learning_rate", "weight_decay"]).size()
    rates, decays = (counts.index.get_level_values(level).nunique() for level in (0, 1))
    assert len(counts) == rates * decays
    assert set(counts) == {2}
    assert decays == 4 + 2 * extensions


@pytest.mark.parametrize(
    ("fake", "side"),
    [(Fake(decay=50.0), "highest weight decay"), (Fake(rate=1e-5), "lowest")],
)
def test_an_edge_that_stays_is_not_compared(fake: Fake, side: str) -> None:
    """Far beyond two extensions of an axis the outcome names its side, without reruns to use."""
    swept = sweep(fake)
    winner = swept.winners.iloc[0]
    assert (winner["outcome"], winner["extensions"]) == ("edge", 2)
    assert side in winner["side"].split(", ")
    assert len(swept.reruns) == 0


def test_rates_that_fail_bound_the_winner_and_nothing_left_is_unreached() -> None:
    """A pair that fails on every seed never wins; where all fail there is no pair."""
    winner = sweep(Fake(rate=3.0, fails_from=0.5)).winners.iloc[0]
    assert (winner["learning_rate"], winner["outcome"]) == (pytest.approx(0.4), "tuned")
    none = sweep(Fake(fails_from=0.0))
    assert list(none.winners["outcome"]) == ["unreached"]
    assert none.winners["weight_decay"].isna().all()
    assert len(none.reruns) == 0


@pytest.mark.parametrize("decays", [(0.1, 0.2, 0.3), (0.0, 0.1), (0.0, 0.2, 0.1)])
def test_decays_that_make_no_grid_are_refused(decays: tuple[float, ...]) -> None:
    """Decays start at 0 and rise, and two above 0 say how far apart the next ones are."""
    with pytest.raises(Refusal, match="rise from 0"):
        sweep(Fake(), decays)


def test_a_pair_that_fails_on_some_seeds_loses_to_one_that_never_does() -> None:
    """Failures come before the mean of what is left, across decays as within one."""
    runs = pd.DataFrame(
        {
            "learning_rate": [0.1, 0.1, 0.2, 0.2] * 2,
            "weight_decay": [0.0] * 4 + [0.1] * 4,
            "seed": [0, 1] * 4,
            "loss": [3.0, 3.0, 4.0, 4.0, 0.1, np.nan, np.nan, np.nan],
        }
    )
    best = joint.winner(runs, "loss")
    assert (best.learning_rate, best.weight_decay) == (0.1, 0.0)
    assert (best.rate_edge, best.decay_edge, best.sides) == (-1, 0, "lowest")


def test_larger_decays_go_on_in_step() -> None:
    """Beyond the grid, the ratio of the two largest decays is kept."""
    assert joint.beyond([0.0, 0.001, 0.004], 2) == pytest.approx([0.016, 0.064])


def test_fixed_budget_tunes_weight_decay() -> None:
    """Every pair is trained; a decay too strong to learn under loses; without decays no column."""
    settings = {
        "task": "digits",
        "examples": 256,
        "options": {"width": 8, "depth": 1},
        "batch_sizes": [32, 256],
        "learning_rate": 0.8,
        "noise_scale": 60.0,
        "seeds": 2,
        "points": 3,
        "steps": 40,
        "metric": "validation_loss",
    }
    tables = tuned.fixed_budget(weight_decays=[0.0, 0.001, 3.0], **settings)
    swept = Sweep(**tables)
    assert set(swept.grid["weight_decay"]) == {0.0, 0.001, 3.0}
    assert (swept.winners["weight_decay"] < 3.0).all()
    for _, winner in swept.winners.iterrows():
        reruns = swept.runs[swept.runs["role"] == "rerun"]
        reruns = reruns[reruns["batch_size"] == winner["batch_size"]]
        assert set(reruns["weight_decay"]) == {winner["weight_decay"]}
        assert set(reruns["learning_rate"]) == {winner["learning_rate"]}
    plain = tuned.fixed_budget(**settings)
    assert "weight_decay" not in plain["winners"]
    same = ["learning_rate", "seed", "batch_size", "validation_loss"]
    bare = swept.grid[swept.grid["weight_decay"] == 0.0][same]
    both = bare.merge(plain["runs"][same], on=same[:3])
    assert len(both) >= 12
    assert both["validation_loss_x"].to_numpy() == pytest.approx(
        both["validation_loss_y"].to_numpy(), rel=1e-4
    )
