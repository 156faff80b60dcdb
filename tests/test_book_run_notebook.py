"""What is kept of an executed notebook, and what a notebook declares."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_checkout import notebook_text

from bslib.book import notebook
from bslib.refusal import Refusal

NAMES = {"/home/me/run": "."}


def executed(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook as papermill leaves it."""
    timing = {"start_time": "2025", "status": "completed"}
    injected = new_code_cell("seeds = 4", metadata={"tags": ["injected-parameters"]})
    marker = new_markdown_cell("An Exception", metadata={"tags": ["papermill-error-cell-tag"]})
    cell = new_code_cell("1", id="one", outputs=list(outputs), execution_count=1)
    cell.metadata.update(papermill=timing, execution={"iopub": "2025"}, tags=[])
    papermill = {
        "parameters": {"seeds": 4},
        "exception": None,
        "start_time": "2025",
        "input_path": "/home/me/a.ipynb",
    }
    made = new_notebook(cells=[marker, injected, cell])
    made.metadata.update(papermill=papermill, language_info={"version": "3.11.7", "name": "python"})
    return made


def test_times_paths_and_markers_go() -> None:
    """Only parameters are kept of papermill's notes, and its red cells are taken out."""
    kept = notebook.normalized(executed(), NAMES)
    assert kept.metadata.papermill == {"parameters": {"seeds": 4}}
    assert kept.metadata.language_info == {"name": "python"}
    assert [cell.id for cell in kept.cells] == ["injected-parameters", "one"]
    assert kept.cells[1].metadata == {}
    nbformat.validate(kept)


def test_normalizing_is_stable() -> None:
    """Two runs of the same notebook give the same bytes, and once is enough."""
    first, second = (notebook.normalized(executed(), NAMES) for _ in range(2))
    assert notebook.text_of(first) == notebook.text_of(second)
    assert notebook.text_of(notebook.normalized(first, NAMES)) == notebook.text_of(first)


def test_what_papermill_made_is_left_alone() -> None:
    """The notebook given is not changed."""
    given = executed(new_output("stream", text="/home/me/run/x"))
    before = notebook.text_of(given)
    notebook.normalized(given, NAMES)
    assert notebook.text_of(given) == before


def test_progress_bars_go_and_results_stay() -> None:
    """Outputs marked as progress are dropped; others keep their metadata."""
    bar = new_output("display_data", {"text/plain": "3 of 4"}, metadata={"bslib": "progress"})
    result = new_output("display_data", {"text/plain": "result"}, metadata={"other": 1})
    (kept,) = notebook.normalized(executed(bar, result), NAMES).cells[1].outputs
    assert kept.data["text/plain"] == "result"


def test_this_machines_folders_are_taken_out() -> None:
    """Printed text, tracebacks and plain results name no folder of the machine."""
    text = "/home/me/run/a.py:3: UserWarning\n/tmp/ipykernel_17/2345.py:1: UserWarning"
    outputs = [
        new_output("stream", name="stderr", text=text),
        new_output("error", ename="E", evalue="/home/me/run/x", traceback=["in /home/me/run/x"]),
        new_output("execute_result", {"text/plain": "'/home/me/run'"}, execution_count=1),
    ]
    stream, error, result = notebook.normalized(executed(*outputs), NAMES).cells[1].outputs
    assert stream.text == "./a.py:3: UserWarning\n<cell>:1: UserWarning"
    assert (error.evalue, error.traceback) == ("./x", ["in ./x"])
    assert result.data["text/plain"] == "'.'"


def test_declared_parameters(tmp_path: Path) -> None:
    """Names, types, defaults and help come from the parameters cell, as papermill reads it."""
    path = tmp_path / "a {b}.ipynb"
    path.write_text(notebook_text([], "sizes: list[int] = [8, 64]  # examples a step\n"))
    assert notebook.declared(path) == {
        "sizes": notebook.Declared("list[int]", [8, 64], "examples a step")
    }


@pytest.mark.parametrize("line", ["seeds: int = 2 + 1  # n", "seeds: int = len('abc')  # n"])
def test_a_default_that_is_computed_is_refused(tmp_path: Path, line: str) -> None:
    """Defaults are plain literals: a computed one would go stale when others are injected."""
    path = tmp_path / "a.ipynb"
    path.write_text(notebook_text([], line))
    with pytest.raises(Refusal, match="no plain literal"):
        notebook.declared(path)
