"""Many notebooks: packed onto the machine, recorded one by one, ended cleanly by a signal."""

import signal
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bslib.book.execute import Job, Outcome, execute
from bslib.book.kernel import Watch, environment
from bslib.book.packing import Room
from bslib.book.plan import Item, Plan
from bslib.book.run_folder import Entry, Provenance, Record, RunFolder, file_hash, versions
from bslib.book.verdicts import data_checksum
from bslib.refusal import Refusal

TIMEOUT_S = 600.0
POLL_S = 0.2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Display(Protocol):
    """Shows how a run goes."""

    def begin(self, total: int) -> None:
        """Say how many notebooks will be executed."""

    def tick(self, running: Mapping[Item, Watch]) -> None:
        """Show where the running notebooks are; called several times a second."""

    def finished(self, item: Item, entry: Entry) -> None:
        """Show that a notebook has ended."""


@dataclass(frozen=True)
class Result:
    """How a run ended: what was executed now, and whether a signal ended it."""

    executed: dict[str, Entry]
    interrupted: bool

    @property
    def failures(self) -> dict[str, Entry]:
        """The notebooks executed now that are not ok."""
        return {path: entry for path, entry in self.executed.items() if entry.status != "ok"}


def admit(folder: RunFolder, profile: str) -> None:
    """Refuse a folder that a run of this profile cannot be written into."""
    if folder.exists():
        recorded = folder.read().profile
        if recorded != profile:
            raise Refusal(
                f"{folder.root} holds a run of profile {recorded!r}, not {profile!r}; "
                "give another folder"
            )
    elif folder.root.exists() and not folder.root.is_dir():
        raise Refusal(f"{folder.root} is a file; give a folder")
    elif folder.root.is_dir() and any(folder.root.iterdir()):
        raise Refusal(f"{folder.root} is not empty and holds no run; give another folder")


def run(
    plan: Plan,
    folder: RunFolder,
    display: Display,
    *,
    space: Room,
    commit: str = "",
    timeout_s: float = TIMEOUT_S,
    resume: bool = False,
    root: Path | None = None,
    executor: Executor | None = None,
) -> Result:
    """Execute a plan into a run folder; the folder is valid whenever and however this ends.

    Args:
        plan: from :func:`bslib.book.plan.make`.
        folder: empty, new, or a run of the same profile.
        display: told of progress.
        space: what the notebooks are packed into.
        commit: of the checkout, for the record.
        timeout_s: how long one notebook may take.
        resume: execute only what is missing, failed, stale or was run with other parameters.
        root: the checkout, whose name is taken out of outputs.
        executor: runs the notebooks; by default, threads that each wait for a kernel.

    Raises:
        Refusal: the folder cannot be written into, or another runner does so.
    """
    folder = RunFolder(folder.root.resolve())
    admit(folder, plan.profile)
    with folder.lock():
        session = _Session(plan, folder, display, commit, timeout_s, root, resume)
        with executor or ThreadPoolExecutor(space.workers) as pool, _signals(session.stop):
            try:
                return session.run(space, pool)
            finally:
                session.end_all()


class _Session:
    """One run in progress: the only writer of its folder."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        display: Display,
        commit: str,
        timeout_s: float,
        root: Path | None,
        resume: bool,
    ) -> None:
        self.folder, self.display, self.timeout_s = folder, display, timeout_s
        self.names = _names(folder.root, root)
        self.begun = time.monotonic()
        before = folder.read() if folder.exists() else None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self.record = Record(plan.profile, plan.device, versions(), commit, started)
        self.seconds_before = 0.0
        if before is not None:
            self.record = replace(self.record, notebooks=before.notebooks)
        if before is not None and resume:
            self.record = replace(self.record, started=before.started)
            self.seconds_before = before.seconds
        self.waiting = _due(plan.items, self.record, folder) if resume else list(plan.items)
        self.running: dict[Item, Watch] = {}
        self.executed: dict[str, Entry] = {}
        self.stopped = threading.Event()

    def stop(self) -> None:
        """Ask for the end; ``run`` sees it within a moment."""
        self.stopped.set()

    def end_all(self) -> None:
        """Kill the kernels that run."""
        for watch in self.running.values():
            watch.end("interrupted")

    def run(self, space: Room, pool: Executor) -> Result:
        """Start what fits, take in what is done, until nothing is left or a signal comes."""
        self.folder.sweep()
        self.display.begin(len(self.waiting))
        if self.waiting:
            self.folder.write(self._timed(self.record))
        futures: dict[Future[Outcome], Item] = {}
        while self.waiting or futures:
            if self.stopped.is_set():
                self.waiting.clear()
                self.end_all()
            while (item := space.next(self.waiting, list(self.running))) is not None:
                self.waiting.remove(item)
                self.running[item] = watch = Watch()
                futures[pool.submit(execute, self._job(item, space), watch)] = item
            done, _ = wait(futures, POLL_S, FIRST_COMPLETED)
            for future in done:
                item = futures.pop(future)
                self._take(item, _outcome(future, item))
            self.display.tick(self.running)
        return Result(self.executed, self.stopped.is_set())

    def _take(self, item: Item, outcome: Outcome) -> None:
        del self.running[item]
        entry = self._entry(item, outcome)
        kept = self.record.notebooks.get(item.page.path)
        if outcome.status != "interrupted" or kept is None:
            # What a signal cut short does not replace what an earlier run finished.
            record = self._timed(self.record)
            self.record = self.folder.store(record, item.page.path, entry, outcome.notebook)
        self.executed[item.page.path] = self.record.notebooks[item.page.path]
        if outcome.status == "interrupted":
            self.executed[item.page.path] = entry
        self.display.finished(item, entry)

    def _timed(self, record: Record) -> Record:
        seconds = self.seconds_before + time.monotonic() - self.begun
        return replace(record, seconds=round(seconds, 2))

    def _job(self, item: Item, space: Room) -> Job:
        cache = self.folder.root / ".cache"
        extra = {"BSLIB_PROFILE": self.record.profile, "BSLIB_CACHE": str(cache)}
        return Job(
            item.page.path,
            item.source,
            item.injected,
            str(self.folder.root),
            environment(space.cores_of(item), extra),
            self.timeout_s,
            self.names,
        )

    def _entry(self, item: Item, outcome: Outcome) -> Entry:
        provenance = Provenance(
            outcome.device or item.device,
            self.record.versions,
            self.record.commit,
            outcome.started,
            self.record.profile,
            data_checksum(outcome.notebook or ""),
        )
        return Entry(
            item.page.claim,
            outcome.status,
            outcome.seconds,
            item.parameters,
            item.source_hash,
            provenance,
            error=outcome.error,
        )


def _outcome(future: "Future[Outcome]", item: Item) -> Outcome:
    """Return what became of a notebook; a pool that lost it made it fail."""
    try:
        return future.result()
    except (Exception, CancelledError) as error:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        lost = f"lost by the pool that ran it: {type(error).__name__}"
        return Outcome(item.page.path, "failed", now, 0.0, None, lost)


def _names(folder: Path, root: Path | None) -> dict[str, str]:
    """Return what outputs say in place of this machine's folders; the longest come first."""
    python = sysconfig.get_paths()
    names = {str(folder): ".", python["purelib"]: "<packages>", python["stdlib"]: "<python>"}
    names |= {str(root): "."} if root else {}
    return dict(sorted(names.items(), key=lambda pair: -len(pair[0])))


def _due(items: Sequence[Item], record: Record, folder: RunFolder) -> list[Item]:
    """Return what must be executed again: and the ledger, where anything must."""
    due = [item for item in items if not _is_current(item, record, folder)]
    return [item for item in items if item in due or (item.last and due)]


def _is_current(item: Item, record: Record, folder: RunFolder) -> bool:
    entry = record.notebooks.get(item.page.path)
    file = folder.root / item.page.path
    return (
        entry is not None
        and entry.status == "ok"
        and entry.source_hash == item.source_hash
        and entry.parameters == item.parameters
        and file.is_file()
        and file_hash(file) == entry.file_hash
    )


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on Ctrl-C, a request to end, or a terminal that closes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    for each, handler in before.items():
        if each != signal.SIGHUP or handler != signal.SIG_IGN:  # ignored under nohup
            signal.signal(each, lambda number, frame: stop())
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
