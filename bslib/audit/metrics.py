"""Columns that measure a training: of which data, and which way is up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bslib.refusal import Refusal

VALIDATION, TEST, TRAINING, UNNAMED = "validation", "test", "training", ""
TO_TARGET = "steps_to_target"

_SPLITS = {
    VALIDATION: {"val", "valid", "validation", "eval", "dev", "heldout"},
    TEST: {"test"},
    TRAINING: {"train", "training"},
}
_UP = {"accuracy", "acc", "top1", "f1", "auc", "auroc", "bleu", "rouge", "map", "precision",
       "recall", "score", "reward", "return", "iou", "miou"}  # fmt: skip
_DOWN = {"loss", "error", "err", "perplexity", "ppl", "nll", "ce", "mse", "rmse", "mae", "wer",
         "cer", "bpb", "bpc", "fid"}  # fmt: skip
# In a long table one column names the metric, and one holds its value.
_WHICH = ("metric", "variable", "measure")
# A header with such a word tells of a result, and is none.
_BESIDE = {"std", "stdev", "stddev", "stderr", "sem", "var", "variance", "epoch", "epochs", "step",
           "steps", "time", "count", "min", "max"}  # fmt: skip
# Of these a point is a hundredth.
_SHARES = {"accuracy", "acc", "top1"}


@dataclass(frozen=True)
class Metric:
    """A column that says how good a training is.

    Attributes:
        name: its header.
        split: the data it was taken on, ``"validation"``, ``"test"`` or ``"training"``; or "".
        maximise: whether more is better; None where the name does not tell.
        share: whether it is an accuracy, which is told in points.
    """

    name: str
    split: str
    maximise: bool | None
    share: bool = False

    @property
    def held_out(self) -> bool:
        """Whether it may speak of generalisation: all but what was taken on training data."""
        return self.split != TRAINING and self.name != TO_TARGET


def recognise(headers: Sequence[str]) -> tuple[Metric, ...]:
    """Return the metrics among headers: validation before unnamed, test, training; accuracy first.

    A header counts where it names a known measure, such as ``val/acc`` or ``test_loss``, and not
    its spread, its extreme, or when it was taken.
    """
    named = [each for each in headers if not _BESIDE.intersection(_words(each))]
    found = [each for each in map(of, named) if each.maximise is not None]
    splits = [VALIDATION, UNNAMED, TEST, TRAINING]
    return tuple(
        sorted(found, key=lambda each: (splits.index(each.split), not each.share,
                                        not each.maximise))
    )  # fmt: skip


def of(header: str) -> Metric:
    """Read a header: its split and its direction, as far as the name tells."""
    words = set(_words(header))
    split = next((name for name, known in _SPLITS.items() if words & known), UNNAMED)
    maximise = None
    if words & (_UP | _DOWN):
        maximise = not words & _DOWN
    return Metric(header, split, maximise, bool(words & _SHARES) and maximise is True)


def choose(
    metrics: Sequence[Metric],
    headers: Sequence[str],
    name: str | None,
    maximise: bool | None,
    to_target: str | None,
) -> Metric:
    """Return the metric to compare sizes by: the one named, else the first in preference.

    Raises:
        Refusal: there is none, none of that name, or nobody says which way is up.
    """
    if name is not None and name not in headers:
        raise Refusal(f"there is no column {name!r}; the columns are {', '.join(headers)}")
    if name is not None:
        chosen = of(name)
    elif metrics:
        chosen = metrics[0]
    elif to_target is not None:
        return Metric(TO_TARGET, TRAINING, False)
    else:
        raise Refusal(
            "no column is a known metric (such as validation_accuracy or val_loss); name yours: "
            f"--metric COLUMN, one of {', '.join(headers)}{_long(headers)}"
        )
    chosen = chosen if maximise is None else replace(chosen, maximise=maximise)
    if chosen.maximise is None:
        raise Refusal(
            f"the name {chosen.name!r} does not tell whether more is better; "
            "say --maximise or --minimise"
        )
    return chosen


def _long(headers: Sequence[str]) -> str:
    names = {each.lower(): each for each in headers}
    which = next((names[each] for each in _WHICH if each in names), None)
    if which is None or "value" not in names:
        return ""
    return (
        f"; this looks like a long table: give each {which} a column of its own, or take one, "
        f"--where {which} NAME --metric {names['value']} --maximise"
    )


def _words(header: str) -> list[str]:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", header).lower()
    words = re.findall(r"[a-z]+[0-9]*|[0-9]+", spaced)
    return [part for word in words for part in _parted(word)]


def _parted(word: str) -> list[str]:
    """Split a run-together name, such as ``valacc``."""
    for known in set().union(*_SPLITS.values()):
        rest = word.removeprefix(known)
        if rest != word and rest in _UP | _DOWN:
            return [known, rest]
    return [word]
