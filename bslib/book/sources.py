"""What a notebook's results depend on, as one hash: its code and the parts of ``bslib`` it uses.

The hash covers the code cells and the syntax trees, docstrings stripped, of every ``bslib``
module imported, transitively, the command line and this package excepted. So neither prose nor
comments in the package make a result stale, and a changed line of measuring code makes stale
just the notebooks that import it.

Tables (of claims, tasks, models, rules) are data: of each, only the entries that a notebook uses
are hashed, and the modules that these name are followed like imports.
"""

import ast
import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from bslib.book.checkout import PACKAGE

ROOT = "bslib"
EXCEPTED = ("bslib.cli", "bslib.__main__", "bslib.book")
TABLES = {
    "bslib.claims.catalogue",
    "bslib.data.registry",
    "bslib.models.registry",
    "bslib.parameters",
}
# Absent in some versions of Python, or of no meaning.
SKIPPED_FIELDS = {"type_params", "type_ignores", "type_comment", "kind", "ctx"}


@dataclass(frozen=True)
class Sources:
    """The package whose modules notebooks import."""

    package: Path = PACKAGE
    _trees: dict[str, ast.Module] = field(default_factory=dict, repr=False, compare=False)

    def digest(self, notebook: NotebookNode, parameters: Mapping[str, Any]) -> str:
        """Return the hash of a notebook's sources, run with these effective parameters."""
        modules = self.modules(notebook, parameters)
        hashed = hashlib.sha256()
        for text in (*_code(notebook), *(f"{name}\n{modules[name]}" for name in sorted(modules))):
            hashed.update(f"{len(text)}\n{text}\n".encode())
        return hashed.hexdigest()

    def modules(self, notebook: NotebookNode, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return the syntax trees that a notebook depends on, as text, by module name."""
        cells = _cells_tree(notebook)
        imported = list(self._imports(cells, ROOT))
        used = {notebook.metadata.get("bslib", {}).get("claim"), *parameters}
        used |= {value for value in parameters.values() if isinstance(value, str)}
        used |= _strings(_cells_tree(notebook, skip_tag="parameters"))
        # A task's module names its model, so that the tables are read twice.
        tasks = self._walk(["bslib.data.registry"], used)
        used |= {text for name in tasks if name not in TABLES for text in _strings(tasks[name])}
        return {name: _dump(tree) for name, tree in self._walk(imported, used).items()}

    def _walk(self, start: Iterable[str], used: set[str]) -> dict[str, ast.Module]:
        reached: dict[str, ast.Module] = {}
        ahead = list(start)
        while ahead:
            name = ahead.pop()
            if name in reached or not self._exists(name) or _excepted(name):
                continue
            tree = self._tree(name)
            if name in TABLES:
                tree = _entries_used(tree, used)
                ahead += _strings(tree)
            reached[name] = tree
            ahead += self._imports(tree, name)
        return reached

    def _imports(self, tree: ast.AST, module: str) -> Iterator[str]:
        """Yield dotted names that an import may load: the module, its parents, its names."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from _with_parents(alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node, module)
                yield from _with_parents(base)
                yield from (f"{base}.{alias.name}" for alias in node.names)

    def _base(self, node: ast.ImportFrom, module: str) -> str:
        if node.level == 0:
            return node.module or ""
        up = node.level - self._path(module).name.startswith("__init__")
        parts = module.split(".")[: len(module.split(".")) - up]
        return ".".join([*parts, node.module] if node.module else parts)

    def _path(self, name: str) -> Path:
        path = self.package.joinpath(*name.split(".")[1:])
        return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")

    def _exists(self, name: str) -> bool:
        return name.split(".")[0] == ROOT and self._path(name).is_file()

    def _tree(self, name: str) -> ast.Module:
        if name not in self._trees:
            text = self._path(name).read_text(encoding="utf-8")
            self._trees[name] = _stripped(ast.parse(text))
        return self._trees[name]


def source_hash(
    notebook: NotebookNode, parameters: Mapping[str, Any], package: Path = PACKAGE
) -> str:
    """Return the hash of a notebook's sources (see the module); ``package`` is bslib's folder."""
    return Sources(package).digest(notebook, parameters)


def _code(notebook: NotebookNode) -> list[str]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [each.source for each in cells if "injected-parameters" not in _tags(each)]


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _cells_tree(notebook: NotebookNode, skip_tag: str = "injected-parameters") -> ast.Module:
    """Parse the code cells; one that is not plain Python has no imports to follow."""
    body: list[ast.stmt] = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and skip_tag not in _tags(cell):
            lines = [line for line in cell.source.splitlines() if line[:1] not in ("%", "!")]
            try:
                body += ast.parse("\n".join(lines)).body
            except SyntaxError:
                continue
    return ast.Module(body, [])


def _excepted(name: str) -> bool:
    # The package itself imports nothing; its version number changes no result.
    return name == ROOT or any(name == each or name.startswith(f"{each}.") for each in EXCEPTED)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _strings(tree: ast.AST) -> set[str]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def _stripped(tree: ast.Module) -> ast.Module:
    """Remove docstrings, and every other string that stands as a statement."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _entries_used(tree: ast.Module, used: set[str]) -> ast.Module:
    """Return a table's module with only the entries whose keys are used."""
    kept = copy.deepcopy(tree)
    for node in kept.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            _Entries(used).visit(node)
    return kept


class _Entries(ast.NodeTransformer):
    """Drops unused entries of tables: ``{"key": ...}`` or ``(Claim(key="key", ...), ...)``."""

    def __init__(self, used: set[str]) -> None:
        self.used = used

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        items = zip(node.keys, node.values, strict=True)
        kept = [(key, value) for key, value in items if self._used(_text(key))]
        return ast.Dict([key for key, _ in kept], [value for _, value in kept])

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return ast.Tuple(self._entries(node.elts), node.ctx)

    def visit_List(self, node: ast.List) -> ast.AST:
        return ast.List(self._entries(node.elts), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _key(node) is not None:
            return node  # an entry: all of it counts
        node.args = self._entries(node.args)
        return self.generic_visit(node)

    def _entries(self, nodes: list[ast.expr]) -> list[ast.expr]:
        return [each for each in nodes if self._used(_key(each))]

    def _used(self, key: str | None) -> bool:
        return key is None or key in self.used


def _key(entry: ast.expr) -> str | None:
    """Return the key of an entry ``Claim(key="3.3", ...)`` or ``Claim("3.3", ...)``."""
    if not isinstance(entry, ast.Call):
        return None
    named = [keyword.value for keyword in entry.keywords if keyword.arg == "key"]
    return _text(next(iter(named or entry.args), None))


def _text(node: ast.expr | None) -> str | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else None  # type: ignore[union-attr]


def _dump(node: Any) -> str:
    """Return a syntax tree as text that is the same in every version of Python."""
    if isinstance(node, ast.AST):
        pairs = ((name, getattr(node, name, None)) for name in node._fields)
        shown = (
            f"{name}={_dump(value)}"
            for name, value in pairs
            if name not in SKIPPED_FIELDS and value is not None and value != []
        )
        return f"{type(node).__name__}({', '.join(shown)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    return repr(node)
