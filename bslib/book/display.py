"""How a run goes, on a terminal or in a log."""

import sys
from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

from bslib.book.kernel import Watch
from bslib.book.plan import Item
from bslib.book.run_folder import Entry


class Progress:
    """One bar over all notebooks with the cell that each is at, and a line a finished one.

    Where the stream is no terminal, the lines only.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.bar = tqdm(
            file=self.stream,
            disable=not self.stream.isatty(),
            unit="notebook",
            bar_format="{n_fmt}/{total_fmt} |{bar:20}| {elapsed} {desc}",
            dynamic_ncols=True,
        )

    def begin(self, total: int) -> None:
        """Say how many notebooks will be executed."""
        self.bar.reset(total)

    def tick(self, running: Mapping[Item, Watch]) -> None:
        """Show where the running notebooks are."""
        places = (f"{item.page.name} {_place(watch)}" for item, watch in running.items())
        self.bar.set_description_str(", ".join(places))

    def finished(self, item: Item, entry: Entry) -> None:
        """Write a line on a notebook that has ended."""
        line = f"{entry.status:11} {entry.seconds:7.1f} s  {item.page}"
        tqdm.write(f"{line}: {entry.error}" if entry.error else line, file=self.stream)
        self.bar.update()

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()


def _place(watch: Watch) -> str:
    if watch.notebook is None or not watch.ready:
        return "starting"
    return f"{watch.cell + 1}/{len(watch.notebook.cells)}"
