"""Imports inside the package point down only."""

import ast
from pathlib import Path

import pytest

import bslib

PACKAGE = Path(bslib.__file__).parent
FLOORS = [
    ["cli", "__main__"],
    ["advise", "audit", "book"],
    ["claims", "plots", "progress", "evidence"],
    ["noise", "scaling", "curvature", "loading", "parallel", "sweeps"],
    ["training", "throughput", "memory"],
    ["stats", "data", "models", "device", "parameters", "refusal"],
]
FLOOR = {room: -number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports in the package are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("bslib.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_up(path: Path) -> None:
    """A room imports rooms of its own floor or of those below."""
    if room(path) == "__init__":
        assert imported_rooms(path) <= {"__version__"}
        return
    above = {each for each in imported_rooms(path) & set(FLOOR) if FLOOR[each] > FLOOR[room(path)]}
    assert not above


def test_rooms_of_one_floor_make_no_circle() -> None:
    """Following imports from a room never leads back to it."""
    uses: dict[str, set[str]] = {}
    for path in MODULES:
        uses.setdefault(room(path), set()).update(imported_rooms(path) & set(FLOOR) - {room(path)})
    for start in uses:
        reached, ahead = set(), set(uses[start])
        while ahead:
            reached |= ahead
            ahead = set().union(*(uses.get(each, set()) for each in ahead)) - reached
        assert start not in reached


def test_every_room_has_a_floor() -> None:
    """A new room is put on the map."""
    assert {room(path) for path in MODULES} - {"__init__"} <= set(FLOOR)
