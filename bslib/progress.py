"""A progress bar for notebooks and terminals, fed by the measuring code's callback."""

import sys
import time
from collections.abc import Callable

from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

# Outputs marked so are dropped from recorded notebooks (bslib.book.notebook).
MARK = {"bslib": "progress"}


def bar(label: str, *, every_s: float = 0.2) -> Callable[[int, int], None]:
    """Return a callback ``(done, total)`` that draws a bar and removes it when done.

    In a notebook it is one display updated in place; in a terminal, one line of standard
    error. It draws at most once in ``every_s`` seconds, so that it may be called at each step.
    """
    draw = _notebook_bar(label) if get_ipython() is not None else _terminal_bar(label)
    last = -every_s

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every_s or done >= total:
            last = now
            draw(done, total)

    return update


def _notebook_bar(label: str) -> Callable[[int, int], None]:
    handle: DisplayHandle | None = None

    def draw(done: int, total: int) -> None:
        nonlocal handle
        bundle = {"text/plain": "", "text/html": ""}
        if done < total:
            bundle["text/plain"] = f"{label}: {done} of {total}"
            bundle["text/html"] = (
                f'<label>{label} <progress value="{done}" max="{total}"></progress></label>'
            )
        if handle is None:
            handle = display(bundle, raw=True, metadata=MARK, display_id=True)
        else:
            handle.update(bundle, raw=True, metadata=MARK)

    return draw


def _terminal_bar(label: str) -> Callable[[int, int], None]:
    def draw(done: int, total: int) -> None:
        width = 30 * done // max(total, 1)
        line = f"\r{label} [{'#' * width}{'.' * (30 - width)}] {done}/{total}"
        sys.stderr.write(line if done < total else "\r" + " " * len(line) + "\r")
        sys.stderr.flush()

    return draw
