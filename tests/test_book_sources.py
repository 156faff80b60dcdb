"""A notebook's source hash: what makes a result stale, and what does not."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from small_checkout import notebook_text

from bslib.book.checkout import PACKAGE
from bslib.book.sources import Sources, source_hash

PARAMETERS = 'task: str = "digits"  # data\nseeds: int = 3  # n\n'
VALUES: dict[str, Any] = {"task": "digits", "seeds": 3}

FILES = {
    "__init__.py": '"""The package."""\n__version__ = "1"\n',
    "measure/__init__.py": "from .variance import variance\n",
    "measure/variance.py": (
        '"""Prose."""\nfrom ..stats import mean\n'
        'def variance(x):\n    """More."""\n    return mean(x) + 1\n'
    ),
    "stats.py": "def mean(x):\n    return 2\n",
    "other.py": "def other():\n    return 3\n",
    "lazy.py": "def load():\n    from bslib import other\n    return other\n",
    "cli.py": "from bslib import stats\nCLI = 1\n",
    "book/__init__.py": "from bslib import stats\nBOOK = 1\n",
    "data/__init__.py": "from bslib.data.registry import TASKS\n",
    "data/registry.py": (
        'TASKS: dict = {"digits": Entry(module="bslib.data.digits", count=1),'
        ' "images": Entry(module="bslib.data.images", count=2)}\n'
    ),
    "data/digits.py": 'TASK = Task(model="mlp")\n',
    "data/images.py": 'TASK = Task(model="cnn")\n',
    "models/__init__.py": "from bslib.models.registry import MODELS\n",
    "models/registry.py": (
        'MODELS = {"mlp": Entry("bslib.models.mlp", "text"),'
        ' "cnn": Entry("bslib.models.cnn", "text")}\n'
    ),
    "models/mlp.py": "WIDTH = 64\n",
    "models/cnn.py": "WIDTH = 32\n",
    "claims/__init__.py": "from bslib.claims import judge\nfrom bslib.claims.catalogue import X\n",
    "claims/judge.py": "LEVEL = 0.95\n",
    "claims/catalogue.py": (
        'CLAIMS = (Claim(key="3.3", arms=(Arm("early", 1), Arm("late", 2))),'
        ' Claim(key="3.4", arms=(Arm("plot", 3),)))\n'
        'SHARED = Claim(key="3.3", arms=(Arm("shared", 4),))\n'
    ),
    "parameters.py": 'RULES: dict = {"seeds": Rule("int", 2), "steps": Rule("int", 4)}\n',
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "bslib"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def notebook(*cells: str, claim: str = "3.3") -> nbformat.NotebookNode:
    return nbformat.reads(notebook_text(cells, PARAMETERS, claim=claim), as_version=4)


ALL = notebook("from bslib import claims, data, measure, models, parameters\nmeasure.variance(1)")


def edited(package: Path, name: str, old: str, new: str) -> bool:
    """Say whether an edit of the package makes ``ALL``, run on digits, stale."""
    before = source_hash(ALL, VALUES, package)
    text = (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new))
    return source_hash(ALL, VALUES, package) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("measure/variance.py", "+ 1", "+ 2"),
        ("stats.py", "return 2", "return 3"),  # through a relative import of an import
        ("measure/__init__.py", "variance\n", "variance\nX = 1\n"),
        ("claims/judge.py", "0.95", "0.99"),  # a submodule named by `from package import`
        ("claims/catalogue.py", 'Arm("late", 2)', 'Arm("late", 3)'),
        ("claims/catalogue.py", 'Arm("shared", 4)', 'Arm("shared", 5)'),
        ("data/digits.py", "Task(", "Task(1, "),
        ("data/registry.py", "count=1", "count=9"),
        ("models/mlp.py", "64", "65"),  # the task's default model
        ("models/registry.py", 'mlp", "text"', 'mlp", "words"'),
        ("parameters.py", 'Rule("int", 2)', 'Rule("int", 3)'),
    ],
)
def test_what_is_used_makes_stale(package: Path, name: str, old: str, new: str) -> None:
    """A changed line in anything imported, or in a table's entry that is used, changes the hash."""
    assert edited(package, name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("measure/variance.py", "Prose.", "Better prose, with a formula."),
        ("measure/variance.py", "More.", "Less."),
        ("stats.py", "def mean(x):", "def mean(x):  # a comment\n"),
        ("stats.py", "return 2", "return (2)"),
        ("__init__.py", '"1"', '"2"'),
        ("other.py", "3", "4"),
        ("cli.py", "1", "2"),
        ("book/__init__.py", "1", "2"),
        ("claims/catalogue.py", 'Arm("plot", 3)', 'Arm("plot", 4)'),
        ("claims/catalogue.py", "CLAIMS = (", 'CLAIMS = (Claim(key="9.9"), '),
        ("data/images.py", "Task(", "Task(1, "),
        ("data/registry.py", "count=2", "count=9"),
        ("models/cnn.py", "32", "33"),
        ("parameters.py", 'Rule("int", 4)', 'Rule("int", 5)'),
        ("parameters.py", "RULES: dict = {", 'RULES: dict = {"new": Rule("str"), '),
    ],
)
def test_what_is_not_used_makes_nothing_stale(package: Path, name: str, old: str, new: str) -> None:
    """Docstrings, comments, other modules and other entries of tables leave the hash alone."""
    assert not edited(package, name, old, new)


def test_the_effective_task_counts(package: Path) -> None:
    """Run on another task, a notebook depends on that one's module, and on its model's."""
    names = set(Sources(package).modules(ALL, {**VALUES, "task": "images"}))
    assert {"bslib.data.images", "bslib.models.cnn"} <= names
    assert not {"bslib.data.digits", "bslib.models.mlp"} & names


def test_a_model_named_in_a_cell_counts(package: Path) -> None:
    """A notebook that builds another model than its task's default depends on that one too."""
    builds = notebook("from bslib import data, models\nmodels.build('cnn', 1)")
    names = set(Sources(package).modules(builds, VALUES))
    assert {"bslib.models.cnn", "bslib.models.mlp"} <= names


def test_an_import_inside_a_function_counts(package: Path) -> None:
    """A module that is imported late is imported."""
    assert "bslib.other" in Sources(package).modules(notebook("import bslib.lazy"), VALUES)


def test_a_notebook_that_imports_nothing_depends_on_nothing(package: Path) -> None:
    """Whatever happens to the package, its hash stays."""
    assert Sources(package).modules(notebook("1 + 1"), VALUES) == {}


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_edit_makes_stale_just_those_that_import_it(package: Path, name: str) -> None:
    """Of two notebooks with different imports, only the one that imports it is stale."""
    books = {"measure": notebook("import bslib.measure"), "other": notebook("import bslib.other")}
    users = {"measure/__init__.py", "measure/variance.py", "stats.py"}
    expected = {"measure": name in users, "other": name == "other.py"}
    before = {each: source_hash(made, VALUES, package) for each, made in books.items()}
    (package / name).write_text((package / name).read_text() + "CHANGED = 1\n")
    after = {each: source_hash(made, VALUES, package) for each, made in books.items()}
    assert {each: after[each] != before[each] for each in books} == expected


def test_prose_makes_nothing_stale_and_code_does(package: Path) -> None:
    """Markdown cells and injected values are not hashed; code cells are."""
    before = source_hash(ALL, VALUES, package)
    prose = nbformat.from_dict(ALL)
    prose.cells[0].source = "# Another title"
    injected = nbformat.v4.new_code_cell("seeds = 9", metadata={"tags": ["injected-parameters"]})
    prose.cells.insert(2, injected)
    assert source_hash(prose, VALUES, package) == before
    prose.cells[-1].source += "\nmeasure.variance(2)"
    assert source_hash(prose, VALUES, package) != before


@pytest.mark.parametrize("cell", ["%matplotlib inline\nimport bslib.other", "import bslib.other"])
def test_magics_do_not_hide_imports(package: Path, cell: str) -> None:
    """A cell with a magic line is still read for what it imports."""
    assert "bslib.other" in Sources(package).modules(notebook(cell), VALUES)


def test_a_cell_that_is_not_python_is_hashed_as_text(package: Path) -> None:
    """A syntax error is found when the notebook is run, not here."""
    assert source_hash(notebook("def"), VALUES, package) != source_hash(
        notebook("de"), VALUES, package
    )


def test_the_real_package_docstrings_do_not_count(tmp_path: Path) -> None:
    """In a copy of this package, every module's docstring may change and nothing is stale."""
    copy = tmp_path / "bslib"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "static"))
    uses = notebook("from bslib import data, models, noise, parameters, plots, stats")
    before = source_hash(uses, VALUES, PACKAGE)
    assert source_hash(uses, VALUES, copy) == before
    for path in copy.rglob("*.py"):
        path.write_text(path.read_text().replace('"""', '"""Changed. ', 1))
    assert source_hash(uses, VALUES, copy) == before
    measure = copy / "noise" / "batch_variance.py"
    measure.write_text(measure.read_text() + "\nCHANGED = 1\n")
    assert source_hash(uses, VALUES, copy) != before
