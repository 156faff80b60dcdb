"""Which column of somebody's table holds what: their names for it, and ours.

A header is compared by its letters and digits alone, and by what follows its last ``/`` or ``.``
too, so that ``Batch Size`` and ``config/batch_size`` are both found.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bslib.audit import metrics
from bslib.audit.metrics import Metric
from bslib.refusal import Refusal

# The first that the table has is taken. Micro-batches and batches a device are no batch sizes.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "batch_size": (
        "global_batch_size", "effective_batch_size", "total_batch_size", "batch_size", "bs",
        "batch", "train_batch_size", "minibatch_size",
    ),
    "learning_rate": (
        "learning_rate", "lr", "peak_lr", "max_lr", "base_lr", "initial_lr", "init_lr", "eta",
        "eta0", "peak_learning_rate", "base_learning_rate",
    ),
    "steps": (
        "steps", "step", "num_steps", "n_steps", "train_steps", "max_steps", "total_steps",
        "optimizer_steps", "global_step", "iterations", "iters", "updates", "num_updates",
    ),
    "epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs"),
    "examples_seen": ("examples_seen", "samples_seen", "num_examples_seen", "examples_processed"),
    "data_size": (
        "data_size", "dataset_size", "n_train", "train_size", "num_train", "train_examples",
        "training_examples", "num_train_examples",
    ),
    "steps_to_target": ("steps_to_target", "iterations_to_target", "steps_to_goal"),
    "seed": ("seed", "random_seed", "rng_seed", "repeat", "replicate", "replica"),
    "weight_decay": ("weight_decay", "wd", "l2", "weightdecay"),
    "seconds": (
        "seconds", "time_s", "wall_time", "wall_clock", "walltime", "runtime", "duration",
        "train_time", "elapsed", "time",
    ),
}  # fmt: skip
# Either the examples that a training saw or those of the data set: the values tell.
EITHER = ("examples", "samples", "n_examples", "num_examples", "n_samples", "num_samples")
OPTIMIZERS = ("optimizer", "optimiser", "opt")
# Runs that differ in these are trainings of different problems.
PROBLEMS = (
    *OPTIMIZERS, "model", "architecture", "arch", "dataset", "task", "width",
    "depth", "norm", "normalization", "data_size",
)  # fmt: skip
# A fair sweep holds these fixed, or tunes them.
SETTINGS = (
    "momentum", "beta1", "beta2", "warmup", "warmup_steps", "warmup_epochs", "schedule",
    "scheduler", "lr_schedule", "dropout", "label_smoothing", "augmentation", "precision",
    "grad_clip", "clip", "world_size", "num_gpus", "gpus", "accumulation_steps",
    "gradient_accumulation_steps",
)  # fmt: skip
_HELD_OUT = (metrics.VALIDATION, metrics.TEST)
NEEDED = ("batch_size", "learning_rate")
BUDGETS = ("steps", "epochs", "examples_seen", "steps_to_target", "seconds")


@dataclass(frozen=True)
class Columns:
    """What was recognised.

    Attributes:
        found: our name to the table's header.
        metrics: columns that measure a training, in the order of preference.
        problems, settings: headers of :data:`PROBLEMS` and :data:`SETTINGS`.
        either: the header of one of :data:`EITHER`, or "".
        unread: headers that nothing is made of.
    """

    found: Mapping[str, str]
    metrics: tuple[Metric, ...]
    problems: tuple[str, ...]
    settings: tuple[str, ...]
    either: str
    unread: tuple[str, ...]


def recognise(headers: Sequence[str], empty: Collection[str] = ()) -> Columns:
    """Find the columns that an audit needs, and those it can use.

    Args:
        headers: all of them.
        empty: those without a single value, which are as good as absent; the only metric is
            found even so, for whoever reads its values to say that there are none.

    Raises:
        Refusal: a header is empty or given twice, there is no batch size, no learning rate, or
            nothing that says how long a training was.
    """
    _check(headers)
    every, headers = headers, [header for header in headers if header not in empty]
    found = {
        name: header
        for name, aliases in ALIASES.items()
        if (header := _first(headers, aliases)) is not None
    }
    either = _first(headers, EITHER) or ""
    _demand(headers, found, either)
    problems = [header for header in headers if is_one_of(header, PROBLEMS)]
    settings = [header for header in headers if is_one_of(header, SETTINGS)]
    used = {*found.values(), either, *problems, *settings}
    free = [header for header in headers if header not in used]
    measures = metrics.recognise(free)
    if not measures and metrics.TO_TARGET not in found:
        measures = metrics.recognise(every)
    unread = [h for h in every if h not in used and h not in {each.name for each in measures}]
    return Columns(
        found, measures, tuple(problems), tuple(settings), either, tuple(filter(None, unread))
    )


def _check(headers: Sequence[str]) -> None:
    twice = sorted({each for each in headers if headers.count(each) > 1})
    if twice:
        raise Refusal(f"column {twice[0]!r} is there twice; rename or drop one")
    # An unnamed first column is the row number that some writers add.
    if "" in headers[1:]:
        raise Refusal(f"column {list(headers).index('', 1) + 1} has no name; give it one")


def _demand(headers: Sequence[str], found: Mapping[str, str], either: str) -> None:
    missing = [name for name in NEEDED if name not in found]
    lengths = [*found, *(["steps"] if either else [])]
    if not set(BUDGETS) & set(lengths):
        missing.append("steps or epochs")
    if not missing:
        return
    close = [_nearest(headers, name) for name in missing]
    meant = [f"{name}: did you mean {like!r}?" for name, like in zip(missing, close, strict=True)
             if like]  # fmt: skip
    raise Refusal(
        f"a sweep table needs a column {' and one '.join(missing)}; this one has "
        f"{', '.join(map(repr, headers))}" + "".join(f"\n{line}" for line in meant)
    )


def _nearest(headers: Sequence[str], name: str) -> str:
    wanted = ALIASES[name.split()[0]]
    compact = {_compact(header): header for header in headers if header}
    for alias in map(_compact, wanted):
        if len(alias) > 3 and (close := difflib.get_close_matches(alias, compact, n=1)):
            return compact[close[0]]
        if len(alias) > 3 and (inside := [each for each in compact if alias in each]):
            return compact[inside[0]]
    return ""


def _first(headers: Sequence[str], aliases: Sequence[str]) -> str | None:
    for alias in aliases:
        found = [header for header in headers if _matches(header, alias)]
        if found:  # what an evaluation was run with comes last
            return min(found, key=lambda header: metrics.of(header).split in _HELD_OUT)
    return None


def is_one_of(header: str, names: Sequence[str]) -> bool:
    """Whether a header is known under one of these names."""
    return any(_matches(header, name) for name in names)


def _matches(header: str, name: str) -> bool:
    return _compact(name) in {_compact(header), _compact(re.split(r"[/.]", header)[-1])}


def _compact(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
