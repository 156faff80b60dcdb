"""Progress of advising, in a notebook or a terminal."""

from collections.abc import Callable

from bslib.progress import bar


class Bars:
    """One bar a measurement, each made when it is first told of: ``advise(progress=Bars())``."""

    def __init__(self) -> None:
        self._bars: dict[str, Callable[[int, int], None]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move the bar of what is being measured."""
        if what not in self._bars:
            self.close()
            self._bars[what] = bar(what)
        self._bars[what](done, total)

    def close(self) -> None:
        """Remove them all: what is written next has the line to itself."""
        for each in self._bars.values():
            each(1, 1)
