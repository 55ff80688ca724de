"""Tasks on Dask clusters whose workers die: real ones, of two processes."""

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.scheduler import Scheduler

from recommender import dask_cluster
from recommender.errors import ClusterUnreachable, NotEnoughData, WorkersLost
from recommender.parallel import Task, run
from recommender.progress import Progress, quietly
from recommender.training import Given, train_checked
from recommender.workers import Workers
from tests.recommender.test_parallel import Square, Waiting, deadly
from tests.recommender.test_training import NOW

# Dask leaves sockets to the garbage collector when it closes.
pytestmark = pytest.mark.filterwarnings(
    "default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning"
)

DEATHS_COUNTED = 2
"""How many deaths make Dask give up a task on the cluster of these tests."""


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A run that waits for ever fails its test, long after a busy machine would have ended it."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("the run does not end"))
    signal.alarm(180)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes with nannies that start them anew, however long that takes here."""
    rules = {
        "distributed.scheduler.allowed-failures": DEATHS_COUNTED - 1,
        "distributed.deploy.lost-worker-timeout": "1h",
    }
    with (
        dask.config.set(rules),
        LocalCluster(  # type: ignore[no-untyped-call]  # Dask leaves it untyped
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as started,
    ):
        yield started
    gc.collect()


@pytest.fixture
def workers(cluster: Any) -> Workers:
    """Where to find it."""
    return Workers(backend="dask", address=cluster.scheduler_address)


@dataclass
class ByHand:
    """A scheduler and its workers, which nobody starts anew."""

    address: str
    scheduler: subprocess.Popen[bytes]

    @property
    def workers(self) -> Workers:
        return Workers(backend="dask", address=self.address)


@contextlib.contextmanager
def started(folder: Path, workers: int) -> Iterator[ByHand]:
    """A cluster of processes without nannies."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with contextlib.ExitStack() as processes:

        def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.{module}", "--host=127.0.0.1", *arguments]
            quiet = subprocess.DEVNULL
            process = processes.enter_context(subprocess.Popen(command, stdout=quiet, stderr=quiet))
            processes.callback(process.kill)
            return process

        scheduler = start("dask_scheduler", f"--port={port}", "--dashboard-address=127.0.0.1:0")
        for number in range(workers):
            own = f"--local-directory={folder / f'worker-{number}'}"
            start("dask_worker", address, "--no-nanny", "--nthreads=1", "--no-dashboard", own)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]  # as above
            client.wait_for_workers(workers, timeout=60)
        yield ByHand(address, scheduler)


@dataclass(frozen=True)
class Raising:
    """A task that raises."""

    error: BaseException

    def __call__(self, _progress: Progress) -> int:
        raise self.error


@pytest.mark.parametrize("deaths", [1, DEATHS_COUNTED])
def test_a_killed_worker_is_replaced(cluster: Any, workers: Workers, tmp_path: Path, deaths: int) -> None:
    """Its nanny starts another, and the task is done again, also when Dask itself has given it up; nothing stays there."""
    told: list[float] = []
    tasks = [Square(3, deaths, tmp_path), Square(4, folder=tmp_path), Square(5, folder=tmp_path)]
    assert run(tasks, workers, lambda _, part: told.append(part)) == [9, 16, 25]
    assert (tmp_path / "3").read_bytes() == b"x" * deaths
    assert told == [1 / 3, 2 / 3, 1]
    assert_empty(cluster)


def test_workers_that_always_die_are_given_up(cluster: Any, workers: Workers, tmp_path: Path) -> None:
    """Dask gives the task up twice; then WorkersLost is raised, and nothing stays on the cluster."""
    with pytest.raises(WorkersLost):
        run([Square(3, 99, tmp_path), Square(4, folder=tmp_path)], workers, quietly)
    assert (tmp_path / "3").read_bytes() == b"x" * 2 * DEATHS_COUNTED
    assert_empty(cluster)


@pytest.mark.parametrize("error", [NotEnoughData("nobody"), OSError(28, "full"), SystemExit(3)], ids=repr)
def test_a_tasks_own_error_is_raised(cluster: Any, workers: Workers, error: BaseException) -> None:
    """As itself, be it one that Dask raises as well or one that would end a worker; the cluster keeps not even its words."""
    tasks: list[Task[int]] = [Raising(error), Square(4)]
    with pytest.raises(type(error)) as raised:
        run(tasks, workers, quietly)
    assert raised.value.args == error.args
    assert_empty(cluster)
    kept = [each.exception_text for each in cluster.scheduler.erred_tasks]
    assert repr(error) not in kept


def assert_empty(cluster: Any) -> None:
    """The scheduler, which is told at the end of a run, knows of no task any more, and no worker holds a result."""
    deadline = time.monotonic() + 60
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cluster.scheduler.tasks == {}
    with Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]  # as above
        client.wait_for_workers(2, timeout=60)
        while any(client.run(held).values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(client.run(held).values())


def held(dask_worker: Any) -> list[str]:
    """The names of what a worker holds; it runs there."""
    return [*dask_worker.state.tasks, *dask_worker.data]


def test_a_shard_whose_worker_was_killed_is_trained_again(workers: Workers, tmp_path: Path) -> None:
    """Killed in the middle of a shard, the release is the one of processes that lived, to the last digest."""
    source, recipe = deadly(tmp_path, 1)
    made = train_checked(source, recipe, now=NOW, workers=workers)
    assert (tmp_path / "deaths").read_bytes() == b"x"
    undisturbed = train_checked(Given(source.history), recipe, now=NOW)
    assert made.release.manifest == undisturbed.release.manifest
    assert made.result == undisturbed.result


def test_a_cluster_of_this_machine_is_started_and_left(tmp_path: Path) -> None:
    """It replaces a worker that died, and its dashboard is for this machine alone."""
    seen: list[str] = []
    before = schedulers()
    tasks = [Square(3, deaths=1, folder=tmp_path), Square(4, folder=tmp_path)]

    def look(_step: str, _part: float) -> None:
        seen.extend(each.http_server.address for each in schedulers() - before)

    assert run(tasks, Workers(backend="dask"), look) == [9, 16]
    assert set(seen) == {"127.0.0.1"}
    assert schedulers() == before


def schedulers() -> set[Any]:
    """The schedulers that run in this process."""
    known: Iterable[Any] = Scheduler._instances
    return {each for each in known if each.status.name == "running"}


def test_a_worker_that_is_gone_for_good_leaves_its_tasks_to_the_other(tmp_path: Path) -> None:
    """Without a nanny nobody starts it anew."""
    with started(tmp_path, workers=2) as cluster:
        tasks = [Square(3, deaths=1, folder=tmp_path), Square(4, folder=tmp_path)]
        assert run(tasks, cluster.workers, quietly) == [9, 16]
        assert (tmp_path / "3").read_bytes() == b"x"


def test_a_cluster_without_workers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last one is gone and none comes within the time, WorkersLost is raised."""
    monkeypatch.setattr(dask_cluster, "PATIENCE_S", 1.0)
    monkeypatch.setattr(dask_cluster, "LOOK_S", 0.1)
    with started(tmp_path, workers=1) as cluster, pytest.raises(WorkersLost, match="no worker for 1 s"):
        run([Square(3, deaths=99, folder=tmp_path), Square(4, folder=tmp_path)], cluster.workers, quietly)
    assert (tmp_path / "3").read_bytes() == b"x"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "silent"])
def test_a_scheduler_that_is_lost_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Whether it is gone or says nothing any more, ClusterUnreachable is raised, with its address."""
    monkeypatch.setattr(dask_cluster, "LOOK_S", 0.1)
    with started(tmp_path, workers=1) as cluster, ThreadPoolExecutor(1) as trainings:
        training = trainings.submit(run, [Waiting(tmp_path / "go", 0)] * 2, cluster.workers, quietly)
        while not (tmp_path / "begun-0").exists() and not training.done():
            time.sleep(0.1)
        assert not training.done()
        monkeypatch.setattr(dask_cluster, "ANSWER_S", 1.0)
        os.kill(cluster.scheduler.pid, how)
        with pytest.raises(ClusterUnreachable, match=cluster.address):
            training.result(timeout=120)
        (tmp_path / "go").touch()
