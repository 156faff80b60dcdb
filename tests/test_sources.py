"""The book's sources hold together: pages, catalogue, profiles, and the shape of a notebook."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from bslib import claims, parameters

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "chapters").rglob("*.ipynb"))
PAGES = sorted((ROOT / "chapters").rglob("*.md"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def claim_of(path: Path) -> str | None:
    return read(path).metadata["bslib"].get("claim")


CLAIM_NOTEBOOKS = [path for path in NOTEBOOKS if claim_of(path)]


def name(path: Path) -> str:
    return path.stem


def toc_files() -> set[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())

    def walk(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(walk, node))
        if isinstance(node, dict):
            own = {node[key] for key in ("root", "file") if key in node}
            return own | set().union(*map(walk, node.values()))
        return set()

    return walk(toc)


def test_contents_list_every_page_and_nothing_else() -> None:
    """Every file in _toc.yml exists, and every page is in it."""
    there = {str(p.relative_to(ROOT).with_suffix("")) for p in [*NOTEBOOKS, *PAGES]}
    assert toc_files() == there


def test_each_claim_has_one_page() -> None:
    """A claim has at most one notebook, which lies in the claim's section."""
    keys = [claim_of(path) for path in CLAIM_NOTEBOOKS]
    assert len(set(keys)) == len(keys)
    for path in CLAIM_NOTEBOOKS:
        assert path.parent.name == claims.claim(str(claim_of(path))).section


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebooks_carry_no_outputs_and_no_machine(path: Path) -> None:
    """Outputs, execution counts and a machine's metadata stay out of git."""
    notebook = read(path)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"bslib", "kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(path):
        assert not cell.outputs
        assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_one_cell_of_typed_commented_literals(path: Path) -> None:
    """The parameters cell holds plain literals, one a line, typed as their rule says."""
    (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    lines = cell.source.splitlines()
    statements = ast.parse(cell.source).body
    assert len(lines) == len(statements)
    for line, statement in zip(lines, statements, strict=True):
        assert isinstance(statement, ast.AnnAssign)
        assert isinstance(statement.target, ast.Name)
        assert statement.value is not None
        assert re.search(r"  # \S", line), f"no help: {line}"
        ast.literal_eval(statement.value)
        rule = parameters.RULES[statement.target.id]
        assert ast.unparse(statement.annotation) == rule.type.partition("[")[0]


def declared(path: Path) -> dict[str, Any]:
    (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    found = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.AnnAssign)
        assert isinstance(statement.target, ast.Name)
        assert statement.value is not None
        found[statement.target.id] = ast.literal_eval(statement.value)
    return found


@pytest.mark.parametrize("path", CLAIM_NOTEBOOKS, ids=name)
def test_a_claim_page_has_its_anatomy(path: Path) -> None:
    """Four to eight parameters; six to fourteen short code cells; prose of a page's length."""
    cells = code_cells(path)
    lines = [line for cell in cells for line in cell.source.splitlines() if line.strip()]
    words = sum(len(c.source.split()) for c in read(path).cells if c.cell_type == "markdown")
    assert 4 <= len(declared(path)) <= 8
    assert 6 <= len(cells) <= 14
    assert len(lines) <= 60
    assert 600 <= words <= 1_200


@pytest.mark.parametrize("path", CLAIM_NOTEBOOKS, ids=name)
def test_cells_call_and_prose_argues(path: Path) -> None:
    """No function, class or loop is written on a page; its last cell of code is the verdict."""
    banned = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While)
    for cell in code_cells(path):
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, banned)]
    assert code_cells(path)[-1].source.startswith(f'claims.judge("{claim_of(path)}"')


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_the_check_cell_checks_every_parameter(path: Path) -> None:
    """Everything declared is handed to the check, under its own name."""
    source = "\n".join(cell.source for cell in code_cells(path))
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    (check,) = [c for c in calls if ast.unparse(c.func) == "parameters.check"]
    assert [keyword.arg for keyword in check.keywords] == list(declared(path))
    for keyword in check.keywords:
        assert ast.unparse(keyword.value) == keyword.arg


@pytest.mark.parametrize("path", CLAIM_NOTEBOOKS, ids=name)
def test_the_full_profile_is_accepted(path: Path) -> None:
    """A full-profile file changes declared parameters only, within the rules, and says its cost."""
    text = (ROOT / "profiles" / "full" / f"{path.stem}.yaml").read_text()
    cost = re.match(r"# gpu_seconds: (\d+)\n", text)
    assert cost is not None
    assert int(cost[1]) <= 60
    changes = yaml.safe_load(text)
    assert set(changes) <= set(declared(path))
    assert not parameters.problems({**declared(path), **changes})
    assert changes["seeds"] >= 8


def test_the_full_profile_has_an_order() -> None:
    """Its files say which notebook comes first where a GPU is had for minutes: one a place."""
    files = (ROOT / "profiles" / "full").glob("*.yaml")
    places = [re.findall(r"^# priority: (\d+)$", file.read_text(), re.MULTILINE) for file in files]
    assert sorted(int(place) for (place,) in places) == list(range(1, len(CLAIM_NOTEBOOKS) + 1))


@pytest.mark.parametrize("path", CLAIM_NOTEBOOKS, ids=name)
def test_defaults_pass_their_own_check(path: Path) -> None:
    """A notebook's defaults are within the rules, with at least three seeds."""
    assert not parameters.problems(declared(path))
    assert declared(path)["seeds"] >= 3


@pytest.mark.parametrize("path", CLAIM_NOTEBOOKS, ids=name)
def test_figures_have_captions_and_alt_text(path: Path) -> None:
    """Every cell that draws carries a caption, a name and a text for who cannot see it."""
    drawing = [c for c in code_cells(path) if "plots.label(" in c.source]
    assert drawing
    for cell in drawing:
        figure, image = cell.metadata.mystnb.figure, cell.metadata.mystnb.image
        assert len(figure.caption) > 40
        assert figure.name.startswith("fig-")
        assert len(image.alt) > 40


def test_figures_are_named_apart() -> None:
    """A figure's name is a label of the whole book."""
    cells = [cell for path in NOTEBOOKS for cell in code_cells(path)]
    names = [cell.metadata.mystnb.figure.name for cell in cells if "mystnb" in cell.metadata]
    assert len(set(names)) == len(names)


MEASURED = re.compile(r"\d+\.\d+|\d\s*%|\u00d7")


def allowed(markdown: str) -> str:
    """Drop what may hold numbers: the criterion's cell, mathematics, code, citations, glue."""
    if markdown.startswith("## The criterion"):
        return ""
    markdown = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", markdown, flags=re.DOTALL)
    return re.sub(r"\{(glue|cite)[^}]*\}|^\d+\. ", "", markdown, flags=re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_no_measured_number_stands_in_prose(path: Path) -> None:
    """Decimals and percentages in prose come from a cell, never from the keyboard."""
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert not MEASURED.search(allowed(cell.source)), cell.source


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_measured_number_stands_on_a_page(path: Path) -> None:
    """The same on pages without code."""
    assert not MEASURED.search(allowed(path.read_text()))


def test_suppress_warnings_is_not_used() -> None:
    """A warning is mended, not silenced."""
    assert "suppress_warnings" not in (ROOT / "_config.yml").read_text()
