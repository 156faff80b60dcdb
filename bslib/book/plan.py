"""What a run will execute, with which values: all that can be refused is refused here."""

import difflib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bslib import data, device, parameters
from bslib.book import notebook as notebooks
from bslib.book.checkout import Checkout, Page
from bslib.book.notebook import Declared
from bslib.book.sources import Sources
from bslib.refusal import Refusal

LEDGER = "chapters/ledger.ipynb"
REHEARSAL = "rehearsal"


@dataclass(frozen=True, eq=False)
class Item:
    """A notebook to be executed.

    Attributes:
        source: content of its file.
        parameters: every effective value.
        injected: those that differ from the notebook's own defaults.
        source_hash: of what will be executed.
        device: name of the hardware that it runs on.
        alone: whether nothing may run beside it: it measures time, or uses a GPU.
        last: whether it reads what the others made.
    """

    page: Page
    source: str
    parameters: dict[str, Any]
    injected: dict[str, Any]
    source_hash: str
    device: str
    alone: bool
    last: bool


@dataclass(frozen=True)
class Plan:
    """Everything that a run will execute.

    Attributes:
        profile: ``quick``, ``full`` or ``rehearsal``.
        items: in the order in which they are started, as far as there is room: that of the
            book, or of the full profile's priorities.
        gpu_seconds: estimate for the full profile, from its files; None where not told.
    """

    profile: str
    items: tuple[Item, ...]
    device: str
    gpu_seconds: int | None = None


def make(
    checkout: Checkout,
    names: Sequence[str] = (),
    *,
    profile: str = "quick",
    overrides: Sequence[tuple[str, str]] = (),
    rehearse: bool = False,
) -> Plan:
    """Plan a run of the named notebooks (all for none).

    Args:
        checkout: where the notebooks are.
        names: claims' keys, sections, notebooks' names.
        profile: ``quick`` (the notebooks' own defaults) or ``full`` (``profiles/full``).
        overrides: pairs of parameter name and YAML text, which win over the profile. They
            reach the ledger only where it is named.
        rehearse: make everything tiny, to see that all of it works.

    Raises:
        Refusal: listing everything that is wrong.
    """
    pages = checkout.select(names)
    wrong: list[str] = []
    items = []
    for page in pages:
        given = [] if page.path == LEDGER and not names else list(overrides)
        try:
            items.append(_item(checkout, page, profile, given, rehearse))
        except Refusal as refusal:
            wrong.append(str(refusal))
    if wrong:
        raise Refusal("\n".join(dict.fromkeys(wrong)))
    seconds = None
    if profile == "full":
        seconds = sum(_told(checkout, page, "gpu_seconds", 0) for page in pages)
        items.sort(key=lambda item: _told(checkout, item.page, "priority", sys.maxsize))
    named = next((item.device for item in items if "device" in item.parameters), "")
    return Plan(REHEARSAL if rehearse else profile, tuple(items), named or _device({})[1], seconds)


def _item(
    checkout: Checkout, page: Page, profile: str, overrides: list[tuple[str, str]], rehearse: bool
) -> Item:
    path = checkout.root / page.path
    declared = notebooks.declared(path)
    defaults = {name: each.default for name, each in declared.items()}
    values = defaults | _profile_values(checkout, page, profile, declared)
    if rehearse:
        values = parameters.rehearsal(values)
    last = page.path == LEDGER
    if last:
        # A rehearsal is no full run, whatever it rehearses; the ledger refuses it as one.
        values |= {"full_dir" if profile == "full" and not rehearse else "quick_dir": "."}
    values |= _overriding(page, declared, overrides)
    wrong = [*parameters.problems(values), *_missing_data(values)]
    if wrong:
        raise Refusal("\n".join(f"{page}: {each}" for each in wrong))
    notebook = notebooks.read(path)
    is_gpu, name = _device(values)
    return Item(
        page,
        path.read_text(encoding="utf-8"),
        values,
        {name: value for name, value in values.items() if value != defaults[name]},
        Sources().digest(notebook, values),
        name,
        page.exclusive or is_gpu,
        last,
    )


def _profile_values(
    checkout: Checkout, page: Page, profile: str, declared: Mapping[str, Declared]
) -> dict[str, Any]:
    """Return what the profile changes; only claims' notebooks need a file for the full one."""
    file = checkout.profile_file(page)
    if profile == "quick" or (page.claim is None and not file.is_file()):
        return {}
    if not file.is_file():
        raise Refusal(f"{page}: no full profile: {file.relative_to(checkout.root)} is missing")
    values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    unknown = list(_unknown(page, declared, values))
    if unknown:
        raise Refusal("\n".join(f"{file.relative_to(checkout.root)}: {each}" for each in unknown))
    return {name: parameters.typed(name, value) for name, value in values.items()}


def _overriding(
    page: Page, declared: Mapping[str, Declared], overrides: list[tuple[str, str]]
) -> dict[str, Any]:
    unknown = list(_unknown(page, declared, [name for name, _ in overrides]))
    if unknown:
        raise Refusal("\n".join(unknown))
    return {name: _value(name, declared[name].type, text) for name, text in overrides}


def _unknown(page: Page, declared: Mapping[str, Declared], names: Any) -> Iterator[str]:
    for name in names:
        if name not in declared:
            close = difflib.get_close_matches(str(name), declared, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            yield f"{page} has no parameter {name!r}{hint}; it has {', '.join(declared) or 'none'}"


def _value(name: str, type_name: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Refusal(f"{name}: {text!r} is not YAML") from error
    if type_name == "str" and not isinstance(value, list | dict):
        return text if not isinstance(value, str) else value
    return parameters.typed(name, value)


def _missing_data(values: Mapping[str, Any]) -> Iterator[str]:
    task = values.get("task")
    if isinstance(task, str) and task in data.TASKS:
        found = data.availability(task)
        if not found.available:
            yield f"the data of task {task!r} are not here: {found.how}"


def _device(values: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a notebook uses a GPU, and the name of its hardware."""
    resolved = device.resolve(values.get("device", "cpu"))
    return resolved.type == "cuda", device.describe(resolved)


def _told(checkout: Checkout, page: Page, name: str, otherwise: int) -> int:
    """Read a whole number that a full profile tells in a comment: ``# gpu_seconds: N``, say."""
    file = checkout.profile_file(page)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(rf"^# {name}: (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else otherwise
