"""What a run executes again, and what it leaves; no kernels here, but a stand-in for them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_checkout import LEDGER_PARAMETERS, Silent, make_checkout, notebook_text

from bslib.book import plan, runner
from bslib.book.checkout import Checkout
from bslib.book.execute import Job, Outcome
from bslib.book.kernel import Watch
from bslib.book.packing import Room
from bslib.book.plan import Item
from bslib.book.run_folder import RunFolder

ONE, TWO = "chapters/3-increasing/one.ipynb", "chapters/3-increasing/two.ipynb"
LEDGER = "chapters/ledger.ipynb"
STARTED = "2025-01-01T00:00:00+00:00"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    notebooks = {path: notebook_text([f"print({path!r})"]) for path in (ONE, TWO)}
    ledger = notebook_text(["print(1)"], LEDGER_PARAMETERS)
    return make_checkout(tmp_path / "book", {**notebooks, LEDGER: ledger})


@pytest.fixture(autouse=True)
def statuses(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Notebooks end at once, as ok unless said otherwise, and leave their source behind."""
    statuses: dict[str, str] = {}

    def execute(job: Job, watch: Watch) -> Outcome:
        return Outcome(job.path, statuses.get(job.path, "ok"), STARTED, 1.0, job.source)

    monkeypatch.setattr(runner, "execute", execute)
    return statuses


def run(root: Path, *, resume: bool = True, **options: Any) -> set[str]:
    """Run into ``root/run`` and return the paths that were executed."""
    made = plan.make(Checkout(root), **options)
    folder = RunFolder(root / "run")
    result = runner.run(made, folder, Silent(), space=Room(2, 2), resume=resume)
    return set(result.executed)


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def drop_from_record(folder: RunFolder) -> None:
    record = folder.read()
    kept = {path: entry for path, entry in record.notebooks.items() if path != TWO}
    folder.write(replace(record, notebooks=kept))


def fail_in_record(folder: RunFolder) -> None:
    record = folder.read()
    failed = replace(record.notebooks[TWO], status="failed")
    folder.write(replace(record, notebooks={**record.notebooks, TWO: failed}))


def test_without_resume_everything_is_executed_anew(root: Path) -> None:
    """A plain run trusts nothing that is there."""
    assert run(root, resume=False) == {ONE, TWO, LEDGER}
    assert run(root, resume=False) == {ONE, TWO, LEDGER}


def test_a_finished_run_resumes_to_nothing(root: Path) -> None:
    """Not even the ledger is executed, and the record is left as it is."""
    assert run(root) == {ONE, TWO, LEDGER}
    before = (root / "run" / "run.json").read_bytes()
    assert run(root) == set()
    assert (root / "run" / "run.json").read_bytes() == before


def test_prose_is_not_executed_again(root: Path) -> None:
    """An edited sentence leaves the results as they are."""
    run(root)
    edit(root / TWO, "A question?", "A better question?")
    assert run(root) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: edit(root / TWO, "print(", "print(2, "),
        lambda root: (root / "run" / TWO).unlink(),
        lambda root: edit(root / "run" / TWO, "print(", "print(2, "),
        lambda root: drop_from_record(RunFolder(root / "run")),
        lambda root: fail_in_record(RunFolder(root / "run")),
    ],
    ids=["stale", "file missing", "file changed", "not recorded", "failed"],
)
def test_what_is_not_current_is_executed_and_the_ledger_after_it(
    root: Path, change: Callable[[Path], Any]
) -> None:
    """Only what has to be, and then the ledger, which reads it."""
    run(root)
    change(root)
    assert run(root) == {TWO, LEDGER}
    assert run(root) == set()


def test_other_parameters_are_executed(root: Path) -> None:
    """Recorded values count, whether they came from the command line or from the notebook."""
    run(root)
    assert run(root, names=["two"], overrides=[("seeds", "5")]) == {TWO}
    assert run(root, names=["two"], overrides=[("seeds", "5")]) == set()
    assert RunFolder(root / "run").read().notebooks[TWO].parameters["seeds"] == 5
    assert run(root) == {TWO, LEDGER}


def test_notebooks_that_are_not_selected_stay(root: Path) -> None:
    """A run of one notebook keeps what the folder holds of the others."""
    run(root)
    before = RunFolder(root / "run").read().notebooks[ONE]
    assert run(root, names=["two"], resume=False) == {TWO}
    assert RunFolder(root / "run").read().notebooks[ONE] == before


def test_what_is_cut_short_does_not_replace_what_was_finished(
    root: Path, statuses: dict[str, str]
) -> None:
    """A second run that is stopped leaves the first one's notebook and entry as they are."""
    run(root)
    before = RunFolder(root / "run").read().notebooks[TWO]
    statuses[TWO] = "interrupted"
    assert TWO in run(root, resume=False)
    assert RunFolder(root / "run").read().notebooks[TWO] == before


def test_an_error_of_the_runner_ends_its_notebooks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say, leaves no kernel running behind the error."""

    class Broken(Silent):
        def tick(self, running: Mapping[Item, Watch]) -> None:
            raise OSError("no space left")

    def execute(job: Job, watch: Watch) -> Outcome:
        while not watch.reason:
            time.sleep(0.01)
        return Outcome(job.path, watch.reason, STARTED, 1.0, None)

    monkeypatch.setattr(runner, "execute", execute)
    with pytest.raises(OSError, match="no space"):
        runner.run(plan.make(Checkout(root)), RunFolder(root / "run"), Broken(), space=Room(2, 2))
