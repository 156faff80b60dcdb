"""A checkout of tiny notebooks that import nothing, for tests of what runs notebooks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bslib.book.kernel import Watch
from bslib.book.plan import Item
from bslib.book.run_folder import Entry

PARAMETERS = """\
seeds: int = 3  # repeats
batch_sizes: list = [8, 64]  # examples a step
device: str = "cpu"  # where
"""
LEDGER_PARAMETERS = 'quick_dir: str = ""  # a run\nfull_dir: str = ""  # a run'


def notebook_text(cells: Sequence[str] = (), parameters: str = PARAMETERS, **metadata: Any) -> str:
    """Return the file of a notebook with a title, a parameters cell and ``cells``."""
    tagged = {"tags": ["parameters"]}
    made = [
        new_markdown_cell("# A question?", id="title"),
        new_code_cell(parameters, id="parameters", metadata=tagged),
        *(new_code_cell(source, id=f"cell-{place}") for place, source in enumerate(cells)),
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    about = {"bslib": metadata, "kernelspec": kernel}
    return str(nbformat.writes(new_notebook(cells=made, metadata=about)))


class Silent:
    """A display that shows nothing."""

    def begin(self, total: int) -> None:
        pass

    def tick(self, running: Mapping[Item, Watch]) -> None:
        pass

    def finished(self, item: Item, entry: Entry) -> None:
        pass


def make_checkout(root: Path, notebooks: dict[str, str]) -> Path:
    """Write a checkout whose table of contents lists ``notebooks`` (path to content)."""
    names = [name.removesuffix(".ipynb") for name in notebooks]
    toc = {"root": "chapters/index", "parts": [{"chapters": [{"file": name} for name in names]}]}
    (root / "chapters").mkdir(parents=True)
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    for name, text in notebooks.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
