"""Notebooks on the machines of a Dask cluster, through the same runner as on one machine.

A worker that is lost takes its notebooks with it; the scheduler hands them to another. Workers
need this very package; a folder that they share with the runner serves the sweeps that notebooks
share, and where there is none each notebook computes its own.
"""

import logging
import re
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed

from bslib import device, sweeps
from bslib.book.execute import Job, Outcome, execute
from bslib.book.kernel import Watch
from bslib.book.packing import Room
from bslib.refusal import Refusal

CONNECT_S = 10
POLL_S = 0.5


class Cluster(Executor):
    """A pool whose threads are a cluster's: takes what the runner hands to its local one.

    Attributes:
        room: all workers' threads, as cores.
    """

    def __init__(self, client: distributed.Client) -> None:
        self.client = client
        self.pool = client.get_executor(pure=False)
        threads = sum(client.nthreads().values())
        self.room = Room(threads, threads)

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Execute a job (the first argument) on some worker, until its watch (the second) ends it.

        ``function`` is what would run here, :func:`bslib.book.execute.execute`.
        """
        job, watch = args
        stop = f"bslib-{uuid.uuid4()}"
        watch.elsewhere = distributed.Event(stop, client=self.client).set
        future: Future[Any] = self.pool.submit(_there, job, stop)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; it runs on."""
        self.client.close()


@contextmanager
def connect(address: str, workers: int | None = None) -> Iterator[Cluster]:
    """Join a cluster by its scheduler's address (``tcp://host:8786``).

    Args:
        address: of the scheduler.
        workers: notebooks at once, at most.

    Raises:
        Refusal: nobody answers there, there are no workers, or one of them has another version
            of this package; or the address has no port.
    """
    if not re.search(r":\d+$", address):
        raise Refusal(
            f"a scheduler's address ends in its port, such as tcp://host:8786, not {address!r}"
        )
    try:
        with _quiet():
            client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Refusal(f"no scheduler answers at {address!r}: {error}") from error
    with client:
        versions = client.run(_version)
        if not versions:
            raise Refusal(f"the scheduler at {address} has no workers: start some with dask worker")
        other = [name for name, each in versions.items() if each != sweeps.source_hash()]
        if other:
            raise Refusal(f"workers with another version of bslib than here: {', '.join(other)}")
        cluster = Cluster(client)
        if workers is not None:
            cluster.room = replace(cluster.room, workers=min(workers, cluster.room.workers))
        yield cluster


def _version() -> str:
    return sweeps.source_hash()


def _there(job: Job, stop: str) -> Outcome:
    """Execute a job on this worker; say on which hardware, for the record."""
    watch = Watch()
    finished = threading.Event()
    # The task's own thread knows its worker's client; the listener's does not.
    asked = distributed.Event(stop, client=distributed.get_client())
    listener = threading.Thread(target=_listen, args=(asked, watch, finished), daemon=True)
    listener.start()
    try:
        with _folder(job) as at_home:
            outcome = execute(at_home, watch)
    finally:
        finished.set()
        listener.join()
    return replace(outcome, device=_hardware(job))


def _listen(asked: distributed.Event, watch: Watch, finished: threading.Event) -> None:
    while not finished.wait(POLL_S):
        if asked.is_set():
            watch.end("interrupted")
            return


@contextmanager
def _folder(job: Job) -> Iterator[Job]:
    """Where the runner's folder is not on this machine, work in one that goes away again."""
    if Path(job.cwd).is_dir():
        yield job
        return
    with tempfile.TemporaryDirectory() as folder:
        env = {**job.env, sweeps.FOLDER: str(Path(folder) / ".cache")}
        yield replace(job, cwd=folder, env=env, names={**job.names, folder: "."})


def _hardware(job: Job) -> str:
    return device.describe(device.resolve(str(job.parameters.get("device", "auto"))))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep a failed connection's log lines back; the refusal says it in one."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
