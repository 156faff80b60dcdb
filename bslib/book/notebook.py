"""Notebooks as files: their parameters cell, and what is kept of an executed one."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from bslib.refusal import Refusal

INJECTED = "injected-parameters"
ERROR_MARKER = "papermill-error-cell-tag"
PROGRESS = "progress"
# What papermill records that means the same on every machine.
KEPT_OF_PAPERMILL = ("parameters", "exception")
# Each kernel has a folder of its own for the code it compiles; tracebacks and warnings name it.
CELL_FILE = re.compile(r"/\S*/ipykernel_\d+/\d+\.py")


@dataclass(frozen=True)
class Declared:
    """A parameter as the parameters cell declares it."""

    type: str
    default: Any
    help: str


def read(path: Path) -> NotebookNode:
    """Read a notebook of the book's sources."""
    return nbformat.read(path, as_version=4)


def text_of(notebook: NotebookNode) -> str:
    """Return the content of a notebook's file."""
    return str(nbformat.writes(notebook, version=4)) + "\n"


def declared(path: Path) -> dict[str, Declared]:
    """Return the parameters that a notebook's parameters cell declares, as papermill sees them.

    Raises:
        Refusal: a default is no plain literal, or papermill cannot read the notebook.
    """
    from papermill import inspect_notebook  # half a second

    try:
        found = inspect_notebook(str(path).replace("{", "{{").replace("}", "}}"))
    except ValueError as error:  # such as a notebook that names no kernel
        raise Refusal(f"{path.name}: papermill cannot read it: {error}") from error
    return {
        name: Declared(each["inferred_type_name"], _literal(path, name, each), each["help"])
        for name, each in found.items()
    }


def _literal(path: Path, name: str, parameter: Mapping[str, str]) -> Any:
    try:
        return ast.literal_eval(parameter["default"])
    except (ValueError, SyntaxError) as error:
        value = parameter["default"]
        raise Refusal(f"{path.name}: parameter {name} is no plain literal: {value}") from error


def normalized(executed: NotebookNode, names: Mapping[str, str]) -> NotebookNode:
    """Return an executed notebook without what differs between machines or runs by chance.

    Times, paths and random ids go; so do progress bars. Errors stay.

    Args:
        executed: what papermill made, left as it is.
        names: what to write in place of text that names this machine (folders, mostly).
    """
    notebook = nbformat.from_dict(executed)
    papermill = notebook.metadata.get("papermill", {})
    notebook.metadata["papermill"] = {
        name: papermill[name] for name in KEPT_OF_PAPERMILL if papermill.get(name)
    }
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.pop("widgets", None)
    notebook.cells = [_cell(each, names) for each in notebook.cells if not _is_marker(each)]
    return notebook


def _is_marker(cell: NotebookNode) -> bool:
    return ERROR_MARKER in cell.metadata.get("tags", [])


def _cell(cell: NotebookNode, names: Mapping[str, str]) -> NotebookNode:
    for key in ("papermill", "execution"):
        cell.metadata.pop(key, None)
    if not cell.metadata.get("tags", True):
        del cell.metadata["tags"]  # papermill adds an empty list
    if INJECTED in cell.metadata.get("tags", []):
        cell.id = INJECTED
    if cell.cell_type == "code":
        kept = (each for each in cell.outputs if not _is_progress(each))
        cell.outputs = [_output(each, names) for each in kept]
    return cell


def _is_progress(output: NotebookNode) -> bool:
    return output.get("metadata", {}).get("bslib") == PROGRESS


def _output(output: NotebookNode, names: Mapping[str, str]) -> NotebookNode:
    if output.output_type == "stream":
        output.text = _anonymous(output.text, names)
    elif output.output_type == "error":
        output.evalue = _anonymous(output.evalue, names)
        output.traceback = [_anonymous(line, names) for line in output.traceback]
    elif "text/plain" in output.data:
        output.data["text/plain"] = _anonymous(output.data["text/plain"], names)
    return output


def _anonymous(text: str, names: Mapping[str, str]) -> str:
    text = CELL_FILE.sub("<cell>", text)
    for place, name in names.items():
        text = text.replace(place, name)
    return text
