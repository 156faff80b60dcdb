"""Numbers from cells for prose, as MyST-NB's ``glue`` stores them, without MyST-NB."""

from typing import Any

from IPython.core.formatters import format_display_data
from IPython.display import display

PREFIX = "application/papermill.record/"


def glue(name: str, value: Any) -> None:
    """Store ``value`` under ``name`` in the cell's output, unseen.

    Prose on the page cites it as ``{glue:text}`` with name and format (``slope:.3f``); a
    number has to be a Python number, whose plain text can be read back. A name is used once
    a notebook.
    """
    bundle, metadata = format_display_data(value)
    metadata["scrapbook"] = {"name": name, "mime_prefix": PREFIX}
    hidden = {PREFIX + mime: data for mime, data in bundle.items()}
    display(hidden, raw=True, metadata=metadata)
