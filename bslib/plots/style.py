"""One figure style: seaborn, colour-blind safe, crisp as SVG, legible in light and dark."""

from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib_inline.backend_inline import set_matplotlib_formats

# What an axis says, by column name: a quantity is called the same in every figure.
AXIS_LABELS = {
    "batch_size": "batch size (examples a step)",
    "local_batch_size": "local batch size (examples a worker and step)",
    "efficiency": "parallel efficiency",
    "utilisation": "utilisation",
    "ratio": "time an example, over the powers'",
    "workers": "workers",
    "examples": "examples processed",
    "data_size": "training examples N",
    "critical_batch_size": "critical batch size (examples a step)",
    "width": "units in a hidden layer",
    "width_exponent": "exponent in the width",
    "data_exponent": "exponent in the number of training examples",
    "step": "optimiser step",
    "loss": "training loss",
    "train_loss": "training loss",
    "learning_rate": "learning rate",
    "relative_learning_rate": "learning rate over its limit",
    "relative_batch_size": "batch size over the critical batch size",
    "exponent": "exponent of the best learning rate",
    "regret": "accuracy lost (points)",
    "octaves": "octaves from the best batch size with everything tuned",
    "batch_size_exponent": "exponent in the batch size",
    "relative_cost": "cost to the target, relative",
    "displayed_sd": "standard deviation of the displayed loss",
    "noise_scale": "gradient noise scale (examples)",
    "variance": "variance of the batch gradient",
    "variance_ratio": r"variance over $\mathrm{tr}\,S / B$",
    "loss_sd": "standard deviation of the loss",
    "progress": "learning rate times steps",
    "validation_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "accuracy_difference": "difference in accuracy (points)",
    "accuracy": "test accuracy (points)",
    "weight_decay": "weight decay",
    "gap": "test accuracy, small batch less large (points)",
    "shared": "examples that share statistics",
    "layers": "batch-norm layers",
    "variance_cv": "relative noise of the batch variance",
    "inverse_sd": "mean of 1 / standard deviation",
    "peak_memory_mb": "peak memory (MB)",
    "live_mb": "memory in use (MB)",
    "limit_mb": "memory limit (MB)",
    "step_share": "share of the step's operations",
    "slope_ratio": "memory an example (plain step: 1)",
    "depth": "hidden layers",
    "examples_per_s": "throughput (examples a second)",
    "goodput": "goodput (examples' worth a second)",
    "fastest_batch_size": "fastest batch size (examples a step)",
    "sent_mb": "sent by each worker (MB)",
    "step_time_s": "time of a step (seconds)",
    "seconds": "time (seconds)",
    "epoch_s": "time to load an epoch (seconds)",
    "bytes_read": "bytes read in an epoch",
    "escape_rate": "escapes a step",
    "steps_to_target": "optimiser steps to the target",
}

WIDTH_IN = 6.0


def use_style() -> None:
    """Set the book's figure style in this kernel, and SVG as its inline format.

    The background stays white: the book's style sheet turns figures dark with the page.
    ``svg.hashsalt`` makes the bytes of a figure depend on its content alone.
    """
    sns.set_theme(
        style="ticks",
        palette="colorblind",
        rc={
            "figure.figsize": (WIDTH_IN, 3.7),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.labelsize": 11,
            "axes.titlesize": 11.5,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.4,
            "lines.markersize": 5.5,
            "svg.hashsalt": "bslib",
        },
    )
    set_matplotlib_formats("svg", metadata={"Date": None})


def label(axes: Axes, *, x: str, y: str, legend: str | None = None, **settings: Any) -> None:
    """Name the axes from the table, and apply further ``Axes.set`` settings.

    Args:
        legend: its title; empty for a legend without one, None for no legend. Where nothing
            that is drawn has a name, there is none.
    """
    axes.set(xlabel=AXIS_LABELS.get(x, x), ylabel=AXIS_LABELS.get(y, y), **settings)
    if legend is not None and axes.get_legend_handles_labels()[0]:
        axes.legend(title=legend)


def side_by_side(left: str, right: str) -> tuple[Axes, Axes]:
    """Return two titled axes next to each other."""
    first, second = plt.figure(figsize=(1.35 * WIDTH_IN, 3.7)).subplots(1, 2)
    first.set_title(left)
    second.set_title(right)
    return first, second
