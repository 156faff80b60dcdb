"""The command line: ``bslib COMMAND``; ``bslib --help`` lists the commands.

Heavy modules are imported by the commands that need them, so that help comes at once. Bad input
is one message on standard error and exit status 2; a notebook that failed, or a folder that does
not verify, is exit status 1; a run that a signal ended, 130.
"""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bslib.refusal import Refusal

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bslib.book.packing import Room
    from bslib.book.plan import Plan
    from bslib.book.runner import Result

INTERRUPTED = 130
PROFILES = click.Choice(["quick", "full"])
FOLDER = click.Path(path_type=Path)
POSITIVE = click.FloatRange(0, min_open=True)


class _Refused(click.ClickException):
    exit_code = 2


class _NewFile(click.Path):
    """A file to write: it may be absent, its folder may not."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder {path.absolute().parent} to write {path.name} to")
        return path


FILE = _NewFile()


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            raise _Refused(str(refusal)) from refusal
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bslib")
def commands() -> None:
    """Execute, record, check and build the experiments on mini-batch size."""


def main() -> None:
    """Run the command line."""
    commands(prog_name="bslib")


def _run_options(command: Any) -> Any:
    for option in reversed(
        [
            click.option("--profile", type=PROFILES, default="quick", show_default=True),
            click.option("--workers", type=click.IntRange(1), help="Notebooks at once, at most."),
            click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster to run on."),
            click.option("--resume", is_flag=True, help="Only what is missing, failed or stale."),
            click.option("--rehearse", is_flag=True, help="Tiny values: does all of it work?"),
            click.option("--commit", help="Commit to record, where git cannot tell it."),
            click.option(
                "--timeout",
                type=click.FloatRange(0, min_open=True),
                default=600,
                show_default=True,
                help="Seconds that one notebook may take.",
            ),
        ]
    ):
        command = option(command)
    return command


@commands.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@_run_options
@click.option("--out", type=FOLDER, help="Run folder; default: the checkout's _build/runs/PROFILE.")
@click.option(
    "-p",
    "overrides",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A parameter and its value as YAML, such as: -p batch_sizes '[8, 64]'.",
)
def run(claims: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Execute notebooks into a run folder: all, or those of the claims, sections or names given.

    A notebook that fails does not stop the others. Other notebooks that the folder holds stay.
    """
    result, folder = _execute(claims, out, **options)
    click.echo(folder)
    sys.exit(_status(result))


@commands.command()
@click.argument("run_dirs", nargs=-1, required=True, type=FOLDER, metavar="RUN_DIR...")
@click.option("--out", type=FOLDER, required=True, help="Folder for the HTML.")
def build(run_dirs: tuple[Path, ...], out: Path) -> None:
    """Build the static HTML of one or more runs; each page from the first that holds it as ok."""
    click.echo(_build(run_dirs, out))


@commands.command()
@_run_options
@click.option(
    "--out", type=FOLDER, help="Holds runs/PROFILE and html; default: the checkout's _build."
)
def book(out: Path | None, profile: str, **options: Any) -> None:
    """Execute all notebooks, then build the HTML from them and say where it is."""
    from bslib.book import checkout

    out = (out or checkout.find().root / "_build").resolve()
    name = "rehearsal" if options["rehearse"] else profile
    result, folder = _execute((), out / "runs" / name, profile=profile, **options)
    if not result.interrupted:
        click.echo(_build([folder], out / "html"))
    sys.exit(_status(result))


@commands.command()
@click.argument("run_dir", required=False, type=FOLDER)
@click.option("--against", type=FOLDER, metavar="RUN_DIR", help="A second run to compare with.")
@click.option(
    "--stability",
    type=FOLDER,
    metavar="RUN_DIR",
    help="A run with many seeds: do draws of them give one verdict?",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the whole verdicts.")
def claims(
    run_dir: Path | None, against: Path | None, stability: Path | None, as_json: bool
) -> None:
    """List the claims; with a run its verdicts; with two, verdict by verdict."""
    from bslib.book import listing
    from bslib.book.verdicts import read_verdicts

    if stability is not None:
        if run_dir is not None or against is not None:
            raise Refusal("--stability takes its own run, and no other beside it")
        _tell_stability(stability, as_json)
        return
    if against is not None and run_dir is None:
        raise Refusal("--against compares with a run: give that run first")
    runs = [read_verdicts(folder) for folder in (run_dir, against) if folder is not None]
    click.echo(json.dumps(listing.rows(runs), indent=1) if as_json else listing.text(runs))


def _tell_stability(run_dir: Path, as_json: bool) -> None:
    from bslib.book import checkout
    from bslib.book import stability as drawn

    found = drawn.measure(run_dir, checkout.find())
    click.echo(json.dumps(drawn.rows(found), indent=1) if as_json else drawn.text(found))


@commands.command()
@click.argument("sweep", type=click.Path(path_type=Path), metavar="SWEEP.csv")
@click.option("--json", "json_file", type=FILE, help="Write the audit there, as JSON.")
@click.option("--metric", metavar="COLUMN", help="Compare batch sizes by this column.")
@click.option("--maximise/--minimise", default=None, help="Where its name does not tell.")
@click.option(
    "--where",
    nargs=2,
    multiple=True,
    metavar="COLUMN VALUE",
    help="Only rows that have it, such as: --where optimizer sgd.",
)
def audit(
    sweep: Path,
    json_file: Path | None,
    metric: str | None,
    maximise: bool | None,
    where: tuple[tuple[str, str], ...],
) -> None:
    """Say what a table of your own runs can and cannot support.

    SWEEP.csv has a row a training: batch_size, learning_rate, steps or epochs, a metric such as
    validation_accuracy, seed; and, where there are, weight_decay, data_size, steps_to_target,
    seconds, optimizer. Other common names are understood, and told.
    """
    from bslib import audit as auditing

    found = auditing.audit(sweep, metric=metric, maximise=maximise, where=where)
    if json_file is not None:
        json_file.write_text(found.dumps() + "\n", encoding="utf-8")
    click.echo(found)


@commands.command()
@click.argument("task", required=False)
@click.option("--to", type=FOLDER, help="Copy the files there, for BSLIB_DATA elsewhere.")
def data(task: str | None, to: Path | None) -> None:
    """List which tasks' data are here; with a TASK, fetch them; with --to, copy them."""
    from bslib import data as tasks

    if task is None and to is None:
        found = [tasks.availability(name) for name in tasks.TASKS]
        _table(
            (each.name, each.where if each.available else f"not here: {each.how}") for each in found
        )
        return
    names = [task] if task else [each for each in tasks.TASKS if tasks.availability(each).available]
    for name in names:
        if to is None:
            where = tasks.fetch(name).where
        else:
            copied = tasks.copy(name, to)
            where = str(copied) if copied else "nothing to copy: it needs no files"
        _table([(name, where)])


@commands.command()
@click.argument("target")
@click.option("--data", "task", metavar="TASK", help="Images for a torchvision model.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@click.option(
    "--budget",
    type=click.FloatRange(5),
    default=40,
    show_default=True,
    help="Seconds from command to report.",
)
@click.option("--json", "json_file", type=FILE, help="Write the advice there, as JSON.")
@click.option("--html", "html_file", type=FILE, help="Write the report there, as one page.")
@click.option("--memory-gb", type=POSITIVE, help="That tensors may take; default: what is there.")
@click.option("--model", help="For a task: another of the book's models than its own.")
@click.option("--optimizer", help="For a task or torchvision: sgd, momentum, adam or adamw.")
@click.option("--learning-rate", type=POSITIVE, help="The one in use.")
@click.option("--batch-size", type=click.IntRange(1), help="What that rate was found at.")
@click.option("--world-size", type=click.IntRange(1), default=1, help="Devices sharing a step.")
@click.option("--bandwidth", type=POSITIVE, help="Between devices, in gigabytes a second.")
@click.option("--latency", type=POSITIVE, help="Of a message between devices, in microseconds.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def advise(target: str, **options: Any) -> None:
    """Say which batch size to use for a model, how sure that is, and why.

    TARGET is package.module:function, which returns a bslib.advise.Problem; or one of the book's
    tasks (see "bslib data"); or a classifier of torchvision by name, without --data for memory
    and throughput alone. Devices whose network is not told are taken to be on this machine, and
    it is measured.
    """
    from bslib.advise import command

    click.echo(command.run(target, **options))


@commands.command()
@click.argument("run_dir", type=FOLDER)
@click.option("--complete", is_flag=True, help="Fail unless every claim has a finished notebook.")
def verify(run_dir: Path, complete: bool) -> None:
    """Check that a run's files are those it recorded, and list what is stale or absent."""
    from bslib import claims as catalogue
    from bslib.book import checkout
    from bslib.book.run_folder import RunFolder
    from bslib.book.verify import verify as examine

    found = examine(RunFolder(run_dir), checkout.find(), list(catalogue.CATALOGUE))
    missing = [f"claim {key}" for key in found.unclaimed] if complete else []
    kinds = {
        "broken": found.broken,
        "missing": missing,
        "unfinished": found.unfinished,
        "stale": found.stale,
        "absent": found.absent,
    }
    _table((kind, line) for kind, lines in kinds.items() for line in lines)
    click.echo(f"{found.ok} notebooks as recorded, {len(found.stale)} of them stale")
    sys.exit(1 if found.broken or missing else 0)


@commands.command()
@click.argument("run_dir", type=FOLDER)
@click.option("--to", type=FOLDER, required=True, help="An empty or new folder for the parts.")
@click.option(
    "--limit",
    type=click.FloatRange(0.1),
    default=16,
    show_default=True,
    help="Megabytes that every part stays below.",
)
@click.option("--cache", is_flag=True, help="Shared sweeps too, for a run that goes on elsewhere.")
def pack(run_dir: Path, to: Path, limit: float, cache: bool) -> None:
    """Write a run as archive parts, to carry it to another machine."""
    from bslib.book import carrying
    from bslib.book.run_folder import RunFolder

    limit_bytes = int(limit * 1_000_000)
    for path in carrying.pack(RunFolder(run_dir), to, limit_bytes=limit_bytes, cache=cache):
        click.echo(path)


@commands.command()
@click.argument("parts", nargs=-1, required=True, type=FOLDER, metavar="PART...")
@click.option("--to", type=FOLDER, required=True, help="Run folder: new, or of the same profile.")
def unpack(parts: tuple[Path, ...], to: Path) -> None:
    """Put a packed run into a run folder; in one that holds a run, notebook by notebook.

    All parts of one pack, in any order. What the pack lists as ok replaces, the rest stays.
    """
    from bslib.book import carrying
    from bslib.book.run_folder import RunFolder

    record = carrying.unpack(parts, RunFolder(to))
    ok = sum(entry.status == "ok" for entry in record.notebooks.values())
    click.echo(f"{ok} notebooks of the {record.profile} profile, from {record.device}", err=True)
    click.echo(to)


def _execute(
    names: tuple[str, ...],
    out: Path | None,
    *,
    profile: str,
    workers: int | None,
    scheduler: str | None,
    resume: bool,
    rehearse: bool,
    commit: str | None,
    timeout: float,
    overrides: tuple[tuple[str, str], ...] = (),
) -> tuple["Result", Path]:
    from bslib.book import checkout, plan, runner
    from bslib.book.display import Progress
    from bslib.book.run_folder import RunFolder, commit_of

    source = checkout.find()
    planned = plan.make(source, names, profile=profile, overrides=overrides, rehearse=rehearse)
    folder = RunFolder((out or source.root / "_build" / "runs" / planned.profile).resolve())
    runner.admit(folder, planned.profile)
    _announce(planned)
    with _pool(scheduler, workers) as (pool, room), contextlib.closing(Progress()) as display:
        result = runner.run(
            planned,
            folder,
            display,
            space=room,
            commit=commit_of(source.root) if commit is None else commit,
            timeout_s=timeout,
            resume=resume,
            root=source.root,
            executor=pool,
        )
    _summarize(planned, result)
    return result, folder.root


@contextlib.contextmanager
def _pool(scheduler: str | None, workers: int | None) -> Iterator[tuple["Executor | None", "Room"]]:
    """Yield what runs the notebooks, and the room that it has: this machine, or a cluster."""
    from bslib.book import packing

    if scheduler is None:
        yield None, packing.room(workers)
        return
    try:
        from bslib.book import cluster
    except ImportError as error:
        raise Refusal("--scheduler needs Dask: pip install 'bslib[cluster]'") from error
    with cluster.connect(scheduler, workers) as joined:
        yield joined, joined.room


def _announce(plan: "Plan") -> None:
    count = len(plan.items)
    click.echo(f"{plan.profile} profile, {count} notebooks, on {plan.device}", err=True)
    if plan.gpu_seconds is not None:
        minutes = plan.gpu_seconds / 60
        click.echo(f"about {minutes:.0f} minutes on one H200, far longer without a GPU", err=True)


def _summarize(plan: "Plan", result: "Result") -> None:
    skipped = len(plan.items) - len(result.executed)
    parts = [f"{len(result.executed)} executed", f"{len(result.failures)} not ok"]
    parts += [f"{skipped} left as they are"] if skipped and not result.interrupted else []
    parts += ["interrupted: --resume goes on from here"] if result.interrupted else []
    click.echo(", ".join(parts), err=True)


def _status(result: "Result") -> int:
    if result.interrupted:
        return INTERRUPTED
    return 1 if result.failures else 0


def _build(run_dirs: Iterable[Path], out: Path) -> Path:
    from bslib.book.build import BuildError
    from bslib.book.build import build as build_html

    try:
        return build_html(list(run_dirs), out)
    except BuildError as error:
        raise click.ClickException(f"the book cannot be built:\n{error}") from error


def _table(rows: Iterable[tuple[str, str]]) -> None:
    for first, second in rows:
        click.echo(f"{first:18} {second}")
