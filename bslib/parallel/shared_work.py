"""What several workers gain from sharing a batch: the arms of claim 1.5."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bslib import stats
from bslib.parallel import cost_model
from bslib.parallel.cost_model import NETWORKS, CostModel
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate, exact, refused
from bslib.throughput import timing

# The fewest groups that bound a median at 95 %.
GROUPS = 6
MEASURED, LAW, HELD_OUT = "fitted", "the cost model", "held out"


def fitted_on(local_batch_sizes: Sequence[int]) -> list[int]:
    """Return every other size, from the smallest on: the cost model is fitted to these."""
    return sorted(local_batch_sizes)[::2]


def arms(
    gradients: pd.DataFrame, steps: pd.DataFrame, messages: pd.DataFrame
) -> dict[str, Estimate]:
    """Estimate the arms of claim 1.5.

    Args:
        gradients: of :func:`bslib.parallel.gradients.differences`.
        steps, messages: of :mod:`bslib.parallel.timing`.

    Ratios of times are taken within a round, and their median over rounds has the sign test's
    interval. The exponent is fitted in each round, with Student's t over rounds. The law's
    error is that at the medians over a group of rounds, the median over the sizes held out;
    the sign test is over the groups, since a single round's scatter is not the law's.
    """
    efficiency = cost_model.efficiencies(steps)
    workers = int(steps["world_size"].max())
    sizes = sorted(efficiency["local_batch_size"].unique())
    gains = {
        size: workers * efficiency.loc[efficiency["local_batch_size"] == size, "efficiency"]
        for size in (sizes[0], sizes[-1])
    }
    return {
        "the gradient of shared work": exact(float(gradients["difference"].max())),
        "two workers at the largest local batch": timing.median(gains[sizes[-1]]),
        "two workers at the smallest local batch": timing.median(gains[sizes[0]]),
        "efficiency against the local batch": stats.exponent(
            efficiency, x="local_batch_size", y="efficiency", seed="round"
        ),
        "the law of communication": _held_out_error(efficiency, steps, messages),
    }


def _held_out_error(
    efficiency: pd.DataFrame, steps: pd.DataFrame, messages: pd.DataFrame
) -> Estimate:
    used = fitted_on(efficiency["local_batch_size"].unique().tolist())
    rest = efficiency[~efficiency["local_batch_size"].isin(used)]
    try:
        model = cost_model.fit(steps, messages, used)
    except Refusal as refusal:
        return refused(str(refusal))
    if rest.empty:
        return refused("no local batch size is held out")
    predicted = model.efficiency(rest["local_batch_size"].to_numpy(), _workers(steps))
    rest = rest.assign(predicted=predicted, group=rest["round"].rank(method="dense") % GROUPS)
    points = rest.groupby(["group", "local_batch_size"])[["efficiency", "predicted"]].median()
    errors = (points["predicted"] / points["efficiency"] - 1).abs().groupby("group").median()
    return timing.median(errors)


def table(steps: pd.DataFrame, messages: pd.DataFrame) -> pd.DataFrame:
    """Return efficiencies by local batch size, for a figure: measured, and on the model.

    Columns ``local_batch_size``, ``efficiency``, ``low``, ``high``, ``way``: whether the model
    was fitted to the point, or the point was held out.
    """
    efficiency = cost_model.efficiencies(steps)
    used = fitted_on(efficiency["local_batch_size"].unique().tolist())
    found = timing.medians(efficiency, "efficiency", by=["local_batch_size"])
    way = np.where(found["local_batch_size"].isin(used), MEASURED, HELD_OUT)
    return found.assign(way=way).sort_values("way", kind="stable")


def at_one_global_batch(steps: pd.DataFrame) -> pd.DataFrame:
    """Return how much sooner all workers step through a batch than one worker does alone.

    Columns ``batch_size``, of all workers together, ``speedup``, ``low``, ``high``: t(1, B) over
    t(n, B / n), taken within a round; the median over rounds with the sign test's interval. The
    sizes are those that were timed whole on one worker and in equal shares on n; there may be
    none.
    """
    workers = _workers(steps)
    alone = steps[steps["world_size"] == 1].rename(columns={"local_batch_size": "batch_size"})
    several = steps[steps["world_size"] == workers]
    several = several.assign(batch_size=workers * several["local_batch_size"])
    pairs = alone.merge(several, on=["batch_size", "round"], suffixes=("", "_shared"))
    pairs = pairs.assign(speedup=pairs["step_time_s"] / pairs["step_time_s_shared"])
    return timing.medians(pairs, "speedup", by=["batch_size"])


def curve(model: CostModel, steps: pd.DataFrame) -> pd.DataFrame:
    """Return the model's efficiencies between the smallest and the largest local batch size."""
    ends = steps["local_batch_size"].min(), steps["local_batch_size"].max()
    sizes = np.geomspace(*ends, 60)
    values = model.efficiency(sizes, _workers(steps))
    return pd.DataFrame({"local_batch_size": sizes, "efficiency": values, "way": LAW})


def fitted(steps: pd.DataFrame, messages: pd.DataFrame) -> CostModel:
    """Return the cost model fitted to every other local batch size."""
    sizes = steps["local_batch_size"].unique().tolist()
    return cost_model.fit(steps, messages, fitted_on(sizes))


def many_workers(model: CostModel, local_batch_size: int, most: int = 4_096) -> pd.DataFrame:
    """Draw the efficiency of up to ``most`` workers on networks that are not here.

    Columns ``workers``, ``efficiency``, ``network``. The compute is this machine's; latency
    and bandwidth are the networks' nominal ones.
    """
    workers = 2 ** np.arange(int(np.log2(most)) + 1)
    return pd.concat(
        pd.DataFrame(
            {
                "workers": workers,
                "efficiency": model.on(network).efficiency(local_batch_size, workers),
                "network": network.name,
            }
        )
        for network in NETWORKS
    ).reset_index(drop=True)


def _workers(steps: pd.DataFrame) -> int:
    return int(steps["world_size"].max())
