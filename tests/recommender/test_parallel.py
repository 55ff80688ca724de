"""Tasks in other processes: the same results wherever they run, and what a dead worker left is done again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from recommender import parallel
from recommender.errors import ClusterUnreachable, NotEnoughData, WorkersLost
from recommender.history import History
from recommender.parallel import ATTEMPTS, run
from recommender.parts import Part, shard_part
from recommender.progress import Progress, quietly
from recommender.release import Recipe, TrainingConfig
from recommender.training import Given, train, train_checked
from recommender.workers import HERE, Workers
from tests.on_ray import on_ray
from tests.recommender.histories import catalogue, events, history
from tests.recommender.test_training import NOW

TWO = Workers(jobs=2)


@dataclass(frozen=True)
class Square:
    """A task that may kill its own process: as often as there is no file of that many letters."""

    number: int
    deaths: int = 0
    folder: Path = Path()

    def __call__(self, _progress: Progress) -> int:
        file = self.folder / str(self.number)
        died = len(file.read_bytes()) if file.exists() else 0
        if died < self.deaths:
            file.write_bytes(b"x" * (died + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return self.number**2


@dataclass(frozen=True)
class Waiting:
    """A task that ends once a file is there."""

    file: Path
    number: int

    def __call__(self, _progress: Progress) -> int:
        self.file.with_name(f"begun-{self.number}").touch()
        while not self.file.exists():
            time.sleep(0.1)
        return self.number


@dataclass(frozen=True)
class Failing:
    """A task that raises."""

    def __call__(self, _progress: Progress) -> int:
        raise NotEnoughData("there is nobody")


@pytest.mark.parametrize("workers", [HERE, TWO])
def test_results_come_in_the_order_of_the_tasks(workers: Workers) -> None:
    """However they ran, results stand where their tasks stood, and progress ends at one."""
    told: list[float] = []
    results = run([Square(number) for number in range(6)], workers, lambda _, part: told.append(part))
    assert results == [0, 1, 4, 9, 16, 25]
    assert told == sorted(told)


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """A process that dies in mid-task is followed by another that does the task, and nothing is lost."""
    tasks = [Square(3, deaths=2, folder=tmp_path), Square(4, folder=tmp_path)]
    assert run(tasks, TWO, quietly) == [9, 16]
    assert (tmp_path / "3").read_bytes() == b"xx"


@on_ray
def test_a_killed_worker_of_a_ray_cluster_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on a Ray cluster of this machine, which is gone afterwards with all that it wrote: who stays connected would end with it."""
    import ray  # noqa: PLC0415  an extra

    with tempfile.TemporaryDirectory(prefix="ray-") as place:  # the names of Ray's sockets are long
        monkeypatch.setattr(tempfile, "tempdir", place)
        tasks = [Square(3, deaths=2, folder=tmp_path), Square(4, folder=tmp_path)]
        assert run(tasks, Workers(backend="ray"), quietly) == [9, 16]
        assert (tmp_path / "3").read_bytes() == b"xx"
        assert not ray.is_initialized()
        assert list(Path(place).iterdir()) == []


@on_ray
def test_two_trainings_of_one_process_share_a_connection(tmp_path: Path) -> None:
    """The first that ends leaves the other its cluster; the last one closes it."""
    import ray  # noqa: PLC0415  an extra

    with tempfile.TemporaryDirectory(prefix="ray-") as place, started_ray(place) as address:
        on_ray = Workers(backend="ray", address=address)
        slow = [Waiting(tmp_path / "go", number) for number in range(2)]
        with ThreadPoolExecutor(2) as trainings:
            first = trainings.submit(run, slow, on_ray, quietly)
            while not list(tmp_path.glob("begun-*")) and not first.done():
                time.sleep(0.1)
            second = trainings.submit(run, [Square(3), Square(4)], on_ray, quietly)
            while parallel._ray_users < 2 and not second.done():
                time.sleep(0.1)
            (tmp_path / "go").touch()
            assert first.result(timeout=60) == [0, 1]
            assert second.result(timeout=60) == [9, 16]
        assert not ray.is_initialized()


@pytest.mark.parametrize("backend", ["dask", "ray"])
@pytest.mark.parametrize("scheme", ["", "tcp://"])
def test_an_address_where_nobody_listens(backend: Literal["dask", "ray"], scheme: str) -> None:
    """It is told at once, by name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"{scheme}127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(ClusterUnreachable, match=address):
            run([Square(1), Square(2)], Workers(backend=backend, address=address), quietly)


@on_ray
def test_a_ray_cluster_that_runs_already_is_used(tmp_path: Path) -> None:
    """By its address; it goes on running when the tasks are done."""
    with tempfile.TemporaryDirectory(prefix="ray-") as place, started_ray(place) as address:
        for number in (5, 6):
            tasks = [Square(number, deaths=1, folder=tmp_path), Square(4, folder=tmp_path)]
            assert run(tasks, Workers(backend="ray", address=address), quietly) == [number**2, 16]


@contextlib.contextmanager
def started_ray(place: str) -> Iterator[str]:
    """A Ray cluster of one node with two workers, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    port = address.partition(":")[2]
    head = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"),
            *("--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={place}"),
            "--include-dashboard=false",
        ],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
                break
            time.sleep(0.1)
        yield address
    finally:
        head.terminate()
        head.wait(60)


@dataclass(frozen=True, eq=False)
class Deadly:
    """Events at hand, read in a process that is killed in the middle of its shard: as often as `deaths` says."""

    history: History
    folder: Path
    deaths: int
    shard: Part

    def __call__(self, part: Part) -> History:
        file = self.folder / "deaths"
        died = len(file.read_bytes()) if file.exists() else 0
        if part == self.shard and died < self.deaths:
            file.write_bytes(b"x" * (died + 1))
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return Given(self.history)(part)


def deadly(folder: Path, deaths: int) -> tuple[Deadly, Recipe]:
    """Events of which one of three shards kills its process, and the recipe; an epoch takes long enough to die in."""
    features, topics = catalogue(24)
    config = TrainingConfig(components=32, epochs=400, shards=3)
    found = history(events(120, 15, 24), features)
    return Deadly(found, folder, deaths, shard_part(1, 3)), Recipe(features, topics, config)


def test_a_shard_whose_process_was_killed_is_trained_again(tmp_path: Path) -> None:
    """Killed twice in the middle of a shard, the release is the one of processes that lived, to the last digest."""
    source, recipe = deadly(tmp_path, 2)
    made = train_checked(source, recipe, now=NOW, workers=TWO)
    assert (tmp_path / "deaths").read_bytes() == b"xx"
    undisturbed = train_checked(Given(source.history), recipe, now=NOW)
    assert made.release.manifest == undisturbed.release.manifest
    assert made.result == undisturbed.result


def test_a_release_is_all_or_nothing(tmp_path: Path) -> None:
    """When one shard's process dies every time, there is no release of the others: WorkersLost is raised."""
    source, recipe = deadly(tmp_path, 99)
    with pytest.raises(WorkersLost):
        train_checked(source, recipe, now=NOW, workers=TWO)
    assert (tmp_path / "deaths").read_bytes() == b"x" * ATTEMPTS


def test_workers_that_always_die_are_given_up(tmp_path: Path) -> None:
    """When every try ends with a dead worker, WorkersLost is raised, and there is no result at all."""
    tasks = [Square(3, deaths=99, folder=tmp_path), Square(4, folder=tmp_path)]
    with pytest.raises(WorkersLost):
        run(tasks, TWO, quietly)


@pytest.mark.parametrize("workers", [HERE, TWO])
def test_a_tasks_own_error_is_raised(workers: Workers) -> None:
    """What a task raises is raised here, in whichever process it ran."""
    with pytest.raises(NotEnoughData, match="nobody"):
        run([Failing(), Failing()], workers, quietly)


@pytest.mark.parametrize("workers", [Workers(jobs=2), Workers(jobs=3)])
def test_shards_trained_in_other_processes_have_the_same_bytes(workers: Workers) -> None:
    """One process or several, however many, make the same release."""
    features, topics = catalogue(24)
    found = history(events(120, 15, 24), features)
    config = TrainingConfig(components=8, epochs=2, shards=3)
    here, there = (train(found, features, topics, config, now=NOW, workers=each) for each in (HERE, workers))
    assert there.manifest.digest == here.manifest.digest
    assert there.manifest.shards == here.manifest.shards
