"""Packing notebooks onto a machine."""

import random

import pytest

from bslib.book.checkout import Page
from bslib.book.packing import Room, room
from bslib.book.plan import Item


def item(name: str, cores: int = 1, alone: bool = False, last: bool = False) -> Item:
    page = Page(f"chapters/{name}.ipynb", None, cores, alone)
    return Item(page, "", {}, {}, "", "CPU", alone, last)


def packed(space: Room, items: list[Item], seed: int) -> list[list[Item]]:
    """Run ``items`` to their end in a random order of finishing; return what ran together."""
    draw = random.Random(seed)
    waiting, together = list(items), list[list[Item]]()
    running: list[Item] = []
    while waiting or running:
        while (chosen := space.next(waiting, running)) is not None:
            waiting.remove(chosen)
            running.append(chosen)
        assert running, "nothing runs while something waits"
        together.append(list(running))
        running.remove(draw.choice(running))
    return together


@pytest.mark.parametrize("seed", range(20))
def test_packing_never_exceeds_the_machine(seed: int) -> None:
    """Cores and workers are never exceeded, lone notebooks are alone, the ledger is last."""
    draw = random.Random(seed)
    space = Room(draw.randint(1, 4), draw.randint(1, 4))
    items = [item(str(n), draw.choice([1, 2]), draw.random() < 0.3) for n in range(10)]
    items.insert(draw.randrange(10), item("ledger", last=True))
    together = packed(space, items, seed)
    for running in together:
        assert len(running) <= space.workers
        assert sum(space.cores_of(each) for each in running) <= space.cores
        assert len(running) == 1 or not any(each.alone or each.last for each in running)
    assert {each.page for running in together for each in running} == {each.page for each in items}
    assert [each.page.name for each in together[-1]] == ["ledger"]


def test_two_cores_hold_two_notebooks_of_one() -> None:
    """The machine is used: what fits runs at once."""
    together = packed(Room(2, 2), [item("a"), item("b"), item("c", cores=2)], seed=0)
    assert [len(running) for running in together] == [2, 1, 1]


def test_workers_cap_but_never_exceed_the_cores() -> None:
    """``--workers`` lowers the number of notebooks at once, and cannot raise it past the cores."""
    cores = room().cores
    assert room(1).workers == 1
    assert room(10_000).workers == cores
