"""One page's notebook: the checkout's prose around the code cells that a run executed.

Prose may be mended without executing anything again, so a page takes its markdown, captions and
alternative texts from the checkout and its outputs from the run, as long as the code is the same.
"""

import copy

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from bslib.book.notebook import INJECTED


def same_code(source: NotebookNode, recorded: NotebookNode) -> bool:
    """Say whether both have the same code cells (by id and text), papermill's own left out."""
    return _code(source) == _code(recorded)


def graft(source: NotebookNode, recorded: NotebookNode) -> NotebookNode:
    """Return ``source`` with the outputs of ``recorded``, whose code is the same."""
    executed = {cell.id: cell for cell in recorded.cells if cell.cell_type == "code"}
    injected = next((cell for cell in recorded.cells if is_injected(cell)), None)
    page = copy.deepcopy(source)
    page.cells = []
    for cell in copy.deepcopy(source.cells):
        if cell.cell_type == "code":
            cell.outputs = copy.deepcopy(executed[cell.id].outputs)
            cell.execution_count = executed[cell.id].execution_count
        page.cells.append(cell)
        if injected is not None and "parameters" in cell.metadata.get("tags", []):
            page.cells.append(copy.deepcopy(injected))
    return page


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without papermill's notes, but that of a failure."""
    page = copy.deepcopy(notebook)
    if "exception" not in page.metadata.get("papermill", {}):
        page.metadata.pop("papermill", None)
    return page


def for_download(page: NotebookNode) -> NotebookNode:
    """Return ``page`` as a notebook to run: its own defaults hold, the run's are told in words.

    A recorded run may have been made for another machine; opened and run, a page uses what its
    parameters cell says.
    """
    notebook = copy.deepcopy(page)
    for place, cell in enumerate(notebook.cells):
        if is_injected(cell):
            text = "The outputs in this copy were made with\n\n```python\n{}\n```\n\n{}".format(
                cell.source.removeprefix("# Parameters\n").strip(),
                "Run again, the notebook uses the parameters of the cell above.",
            )
            notebook.cells[place] = new_markdown_cell(text, id=INJECTED)
    return notebook


def is_injected(cell: NotebookNode) -> bool:
    """Say whether papermill put this cell there, to set parameters."""
    return INJECTED in cell.metadata.get("tags", [])


def _code(notebook: NotebookNode) -> list[tuple[str, str]]:
    return [
        (cell.id, cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code" and not is_injected(cell)
    ]
