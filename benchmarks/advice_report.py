"""The table, the demands and the figure of bench_advice.py."""

import json
import math
from pathlib import Path
from typing import Any

import advice_regrets
import matplotlib as mpl
import pandas as pd
from advice_problems import Workload
from advice_results import columns
from advice_sweeps import Swept, critical, step_times

# (what, how it is summed up over all advices, at most)
DEMANDS = [("regret", "median", 1.10), ("regret", "max", 1.50), ("cost", "max", 0.10)]
Measured = tuple[Workload, Swept, dict[str, Any], dict[str, Any]]


def report(measured: list[Measured]) -> dict[str, Any]:
    """Put together what was measured: a cell a problem, and the demands."""
    cells = [_cell(*each) for each in measured]
    advices = pd.concat([pd.DataFrame(cell["advices"]) for cell in cells], ignore_index=True)
    held = []
    for name, function, most in DEMANDS:
        value = float(getattr(advices[name], function)())
        whole = bool(advices[name].notna().all())
        held.append({"what": name, "over": function, "at_most": most, "value": value,
                     "holds": whole and value <= most})  # fmt: skip
    # what is not finite was written down as missing
    followed = advices["followed"].fillna(math.inf)
    by_wall = pd.Series([value for cell in cells for value in cell["regrets_by_wall"]])
    summary = {
        "followed": {"median": followed.median(), "max": _finite(followed.max())},
        "regret, by the wall's clock": {"median": by_wall.median(), "max": by_wall.max()},
    }
    for name in cells[0]["references"]:
        values = pd.Series([cell["references"][name] for cell in cells])
        summary[name] = {"median": values.median(), "max": values.max()}
    return {"cells": cells, "demands": held, "summary": summary}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _cell(
    workload: Workload, swept: Swept, timed: dict[str, Any], advised: dict[str, Any]
) -> dict[str, Any]:
    times, wall = step_times(timed), step_times(timed, "wall")
    by_wall = advice_regrets.regrets(swept, wall, advised["advices"])
    taken = advice_regrets.seconds(swept.steps, times)
    table = pd.DataFrame({"steps": swept.steps, "step_time_s": times, "seconds": taken})
    return {
        "problem": workload.name,
        "target": f"{workload.metric} {workload.value:g}",
        "curve": columns(table.loc[taken.index].reset_index()),
        "best": int(taken.idxmin()),
        "flat_region": advice_regrets.flat_region(taken),
        "critical_batch_size": critical(swept),
        "half_batch_size": timed["half_batch_size"],
        "sweep_examples": swept.examples,
        "advices": columns(advice_regrets.regrets(swept, times, advised["advices"])),
        "regrets_by_wall": columns(by_wall)["regret"],
        "references": advice_regrets.references(swept, times),
        "load": {"times": timed["load"], "advise": advised["load"]},
    }


def write(found: dict[str, Any], folder: Path) -> None:
    """Print the table and the demands; write the results and the figure."""
    print_table(found["cells"])
    print_demands(found)
    (folder / "advice.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found["cells"], folder / "advice.png")


def print_table(cells: list[dict[str, Any]]) -> None:
    """Print a line a problem: the worst of its advices."""
    heads = ["advised", "best", "flat", "regret", "followed", "cost", *cells[0]["references"]]
    print(f"\n{'':26}" + "".join(f"{head:>14}" for head in heads))
    for cell in cells:
        advices = pd.DataFrame(cell["advices"])
        sizes = sorted({int(size) for size in advices["batch_size"]})
        low, high = cell["flat_region"]
        words = ["/".join(map(str, sizes)), str(cell["best"]), f"{low}-{high}"]
        worst = advices[["regret", "followed"]].fillna(math.inf).max()
        words += [f"{worst[name]:.2f}" for name in worst.index]
        words += [f"{advices['cost'].max():.1%}"]
        words += [f"{value:.2f}" for value in cell["references"].values()]
        print(f"{cell['problem']:26}" + "".join(f"{word:>14}" for word in words))


def print_demands(found: dict[str, Any]) -> None:
    """Print a line for each demand, and for what there is none."""
    print()
    for each in found["demands"]:
        sign = "holds" if each["holds"] else "FAILS"
        print(f"{sign}  {each['what']}, {each['over']}: {each['value']:.3f}, "
              f"at most {each['at_most']:.2f}")  # fmt: skip
    for name, values in found["summary"].items():
        most = "never there" if values["max"] is None else f"{values['max']:.2f}"
        print(f"       {name}: median {values['median']:.2f}, max {most}")


def draw(cells: list[dict[str, Any]], path: Path) -> None:
    """Plot time to target over the best against batch size, a panel a problem."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    across = min(5, len(cells))
    down = -(-len(cells) // across)
    shape = {"figsize": (2.6 * across, 2.5 * down), "layout": "constrained"}
    figure, panels = plt.subplots(down, across, sharey=True, squeeze=False, **shape)
    for panel in panels.flat[len(cells) :]:
        panel.set_axis_off()
    for panel, cell in zip(panels.flat, cells, strict=False):
        curve = pd.DataFrame(cell["curve"])
        panel.axvspan(*cell["flat_region"], color="0.9", label="within a tenth of the best")
        relative = curve["seconds"] / curve["seconds"].min()
        panel.plot(curve["batch_size"], relative, "o-", ms=3, label="the sweep")
        for number, size in enumerate(sorted(set(cell["advices"]["batch_size"]))):
            label = "advised" if number == 0 else None
            panel.axvline(size, color="C1", ls="--", label=label)
        panel.set(xscale="log", yscale="log", ylim=(0.9, 10), xlabel="batch size")
        panel.set_title(cell["problem"], fontsize="small")
        panel.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"], minor=False)
    for panel in panels[:, 0]:
        panel.set_ylabel("time to target over the best")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
