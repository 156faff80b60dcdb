"""What a notebook's parameters may be: one table of rules, read by the page and the runner.

A parameter's name, default and help come from the notebook's ``parameters`` cell; what is
allowed comes from :data:`RULES`, by name, so that a name means the same on every page.
"""

import ast
import difflib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from IPython.core.getipython import get_ipython

from bslib import device
from bslib.data import registry as data_registry
from bslib.models import registry as model_registry
from bslib.refusal import Refusal


@dataclass(frozen=True)
class Rule:
    """What one parameter may be.

    Attributes:
        type: as written in the parameters cell: ``int``, ``float``, ``str``, or a list of these.
        low, high: inclusive range of the number, or of each number in a list.
        fewest, most: how many values a list holds.
        rehearsal: a value that makes everything tiny, for a run that only shows that all
            of it works; None leaves the value as it is.
        problem: a further check, returning what is wrong or None.
    """

    type: str
    low: float = -math.inf
    high: float = math.inf
    fewest: int = 1
    most: float = math.inf
    rehearsal: Any = None
    problem: Callable[[Any], str | None] = lambda value: None


def _unknown(kind: str, known: Collection[str]) -> Callable[[str], str | None]:
    def problem(value: str) -> str | None:
        return None if value in known else f"unknown {kind} {value!r}; one of {_listed(known)}"

    return problem


def _absent_device(value: str) -> str | None:
    try:
        device.resolve(value)
    except Refusal as refusal:
        return str(refusal)
    return None


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, names))


_OPTIMIZERS = ["sgd", "momentum", "adam", "adamw"]

RULES: dict[str, Rule] = {
    "seed": Rule("int", 0, 2**31 - 1),
    "seeds": Rule("int", 2, 10_000, rehearsal=2),
    "device": Rule("str", problem=_absent_device),
    "task": Rule("str", problem=_unknown("task", data_registry.TASKS)),
    "second_task": Rule("str", problem=_unknown("task", ["", *data_registry.TASKS])),
    "examples": Rule("int", 2, 10_000_000, rehearsal=64),
    "data_sizes": Rule("list[int]", 2, 10_000_000, fewest=2, rehearsal=[32, 64]),
    "target_share": Rule("float", 0.01, 0.99),
    "batch_size": Rule("int", 1, 10_000_000, rehearsal=8),
    "batch_sizes": Rule("list[int]", 1, 10_000_000, rehearsal=[4, 8]),
    # A cost model is fitted to every other one, and takes two.
    "local_batch_sizes": Rule(
        "list[int]", 1, 1_000_000, fewest=3, rehearsal=[1, 2, 4, 8, 16, 24, 32, 48]
    ),
    "world_size": Rule("int", 2, 16),
    "workers": Rule("int", 1, 64),
    "micro_batch_size": Rule("int", 1, 10_000_000, rehearsal=4),
    "limits_mb": Rule("list[float]", 0.01, 1e6, rehearsal=[1.0, 2.0, 4.0]),
    "layer_batch_sizes": Rule("list[int]", 2, 10_000_000, rehearsal=[4, 8]),
    "model": Rule("str", problem=_unknown("model", model_registry.MODELS)),
    "width": Rule("int", 1, 65_536, rehearsal=16),
    "widths": Rule("list[int]", 1, 65_536, rehearsal=[8, 16]),
    "optimizer": Rule("str", problem=_unknown("optimizer", _OPTIMIZERS)),
    "epochs": Rule("int", 1, 100_000, rehearsal=1),
    "steps": Rule("int", 2, 10_000_000, rehearsal=2),
    "depth": Rule("int", 1, 16),
    "draws": Rule("int", 2, 1_000_000, rehearsal=4),
    "budget_s": Rule("float", 1, 600, rehearsal=2.0),
    "learning_rate": Rule("float", 1e-8, 1e4),
    "learning_rates": Rule("list[float]", 1e-8, 1e4, fewest=2, most=2),
    "target_loss": Rule("float", 1e-8, 1e4, rehearsal=2.2),
    "quick_dir": Rule("str"),
    "full_dir": Rule("str"),
}


def check(**values: Any) -> None:
    """Refuse parameters that are out of their ranges, and injected ones nobody declared.

    A notebook calls it with everything that its parameters cell declares. Papermill injects
    whatever it is given, a misspelt name too; such a name is found in the injected cell.

    Raises:
        Refusal: naming every problem, the values and what would be right.
    """
    wrong = [*_undeclared(_injected_names(), values), *problems(values)]
    if wrong:
        raise Refusal("; ".join(wrong))


def problems(values: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with a notebook's effective parameters; nothing if all is well."""
    wrong = [message for name, value in values.items() for message in _wrong(name, value)]
    return wrong or list(_too_large(values))


def typed(name: str, value: Any) -> Any:
    """Give ``value``, as read from YAML, the type that ``name`` has, where that loses nothing.

    YAML 1.1 reads ``1e-3`` as a word and ``1`` as a whole number; both are meant as numbers
    where the parameter is a float.
    """
    rule = RULES.get(name)
    if rule is None or rule.type not in ("float", "list[float]"):
        return value
    if isinstance(value, list):
        return [_as_float(each) for each in value]
    return _as_float(value)


def rehearsal(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with everything that costs time made tiny."""
    tiny = {name: rule.rehearsal for name, rule in RULES.items() if rule.rehearsal is not None}
    return {name: tiny.get(name, value) for name, value in values.items()}


def _as_float(value: Any) -> Any:
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _wrong(name: str, value: Any) -> Iterator[str]:
    rule = RULES.get(name)
    if rule is None:
        yield f"parameter {name} has no rule in bslib.parameters.RULES"
        return
    in_list = rule.type.startswith("list")
    each_type = rule.type.removeprefix("list[").removesuffix("]")
    if in_list and not isinstance(value, list):
        example = "[8,64]" if each_type == "int" else "[0.5,4.0]"
        yield f"{name} must be a list of {_NOUN[each_type]}s, such as {example}, not {value!r}"
    elif in_list and not value:
        yield f"{name} must not be empty"
    elif in_list and len(set(map(repr, value))) < len(value):
        yield f"{name} holds a value twice: {value!r}"
    elif in_list and not rule.fewest <= len(value) <= rule.most:
        least = "" if rule.fewest == rule.most else "at least "
        yield f"{name} takes {least}{rule.fewest} values, not {len(value)}: {value!r}"
    for each in value if isinstance(value, list) and in_list else [value] * (not in_list):
        yield from _wrong_each(name, rule, each_type, each)


def _wrong_each(name: str, rule: Rule, each_type: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, _PYTHON_TYPE[each_type]):
        yield f"{name} takes a {_NOUN[each_type]}, not {value!r}"
    elif isinstance(value, str):
        if message := rule.problem(value):
            yield f"{name}: {message}"
    elif isinstance(value, int | float) and not rule.low <= value <= rule.high:
        yield f"{name} must lie between {rule.low:,} and {rule.high:,}, not {value!r}"


_NOUN = {"int": "whole number", "float": "number", "str": "word"}
_PYTHON_TYPE: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
}


def _too_large(values: Mapping[str, Any]) -> Iterator[str]:
    """Compare sizes with the data: examples with the task's, batch sizes with both.

    Beside ``data_sizes`` a batch size may be larger: it stands for all of the data then.
    """
    entry = data_registry.TASKS.get(values.get("task", ""))
    examples = max(values.get("data_sizes", []), default=values.get("examples"))
    if entry is not None:
        try:
            examples = entry.count(examples)
        except Refusal as refusal:
            yield f"{refusal} (task {values['task']!r})"
            return
    if "data_sizes" in values:
        return
    for name in ("batch_sizes", "local_batch_sizes"):
        largest = max(values.get(name, []), default=0)
        if examples is not None and largest > examples:
            yield f"{name} holds {largest:,}, more than the {examples:,} examples"
    if examples is not None and values.get("batch_size", 0) > examples:
        yield f"batch_size is {values['batch_size']:,}, more than the {examples:,} examples"


def _undeclared(injected: Collection[str], declared: Collection[str]) -> Iterator[str]:
    for name in sorted(set(injected) - set(declared)):
        close = difflib.get_close_matches(name, declared, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        yield f"unknown parameter {name!r}{hint}; this notebook has {_listed(declared)}"


def _injected_names() -> set[str]:
    """Return the names that papermill's injected cell assigned in this kernel, if it did."""
    shell = get_ipython()
    cells = shell.user_ns.get("In", []) if shell is not None else []
    injected = [cell for cell in cells if cell.startswith("# Parameters\n")]
    if not injected:
        return set()
    assignments = (node for node in ast.parse(injected[-1]).body if isinstance(node, ast.Assign))
    targets = (target for node in assignments for target in node.targets)
    return {target.id for target in targets if isinstance(target, ast.Name)}
