"""When a training's curve crossed its target, between two evaluations."""

import math

import numpy as np
import pandas as pd

from bslib.training import Target, Training


def steps_to_target(trained: Training, target: Target) -> pd.DataFrame:
    """Return the members' table with ``steps_to_target`` interpolated.

    The engine sees the target only at evaluations, so its count is high by up to the gap
    between them, and all seeds tend to fall on the same step. Here the crossing is where the
    straight line through the evaluation that reached the target and the one before it meets
    it: in ln(loss) for a loss, in the accuracy itself for an accuracy. Members that did not
    reach it stay missing.
    """
    members = trained.members.astype({"steps_to_target": "float64"})
    curves = trained.history.groupby("member")
    reached = members["steps_to_target"].notna()
    members.loc[reached, "steps_to_target"] = [
        _crossing(curves.get_group(member), target) for member in members.loc[reached, "member"]
    ]
    return members


def steps_at(curve: pd.DataFrame, target: Target) -> float:
    """Return where one member's curve first crosses a target, NaN where it never does.

    Args:
        curve: in the order of its ``step``, with the target's metric.
        target: any; the training need not have had one.
    """
    values = curve[target.metric].to_numpy(float)
    return _crossing(curve, target) if any(map(target.reached, values)) else math.nan


def _crossing(curve: pd.DataFrame, target: Target) -> float:
    values, steps = curve[target.metric].to_numpy(float), curve["step"].to_numpy(float)
    first = next(at for at, value in enumerate(values) if target.reached(value))
    if first == 0:
        return float(steps[0])
    before, after, aim = values[first - 1], values[first], target.value
    if target.metric.endswith("_loss"):
        before, after, aim = np.log(np.maximum([before, after, aim], 1e-300))
    share = (before - aim) / (before - after)
    return float(steps[first - 1] + share * (steps[first] - steps[first - 1]))
