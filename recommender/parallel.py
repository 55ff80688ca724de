"""Tasks side by side: in this process, in processes of this machine, on a Dask cluster or on a Ray cluster.

joblib hands them over, but for Dask (`recommender.dask_cluster`). A task is a pure function of what it is given and what
it reads; so neither where it runs nor how often it is tried changes what comes out.
"""

import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import BrokenProcessPool, cpu_count

from recommender.errors import ClusterUnreachable, WorkersLost
from recommender.progress import Progress, quietly
from recommender.workers import Workers

T = TypeVar("T")
Task = Callable[[Progress], T]
"""Told whom to tell of its progress; picklable, when it may run in another process."""

ATTEMPTS = 4
"""How often what a dead worker left undone is tried."""
CALL_S = 5.0
"""Seconds that a cluster gets to pick up."""


def run(tasks: Sequence[Task[T]], workers: Workers, progress: Progress) -> list[T]:
    """Run tasks and return their results in order; the first exception of a task is raised.

    Raises:
        ClusterUnreachable: nobody listens at the address of the cluster, or no longer.
        WorkersLost: the workers died each time, or none is left.
    """
    jobs = min(workers.jobs or cpu_count(), len(tasks)) if workers.backend == "processes" else -1
    if jobs in {0, 1}:
        return [task(_part_of(progress, number, len(tasks))) for number, task in enumerate(tasks)]
    _call(workers.address)
    done: dict[int, T] = {}

    def keep(number: int, result: T) -> None:
        done[number] = result
        progress("training", len(done) / len(tasks))

    if workers.backend == "dask":
        from recommender.dask_cluster import outcomes  # noqa: PLC0415  an extra

        with closing(outcomes(tasks, workers.address)) as coming:
            for number, tried in coming:
                keep(number, tried.result())
    else:
        with _connected(workers):
            _persistently(tasks, workers, jobs, done.keys(), keep)
    return [done[number] for number in range(len(tasks))]


def _persistently(
    tasks: Sequence[Task[T]],
    workers: Workers,
    jobs: int,
    done: Collection[int],
    keep: Callable[[int, T], None],
) -> None:
    """Do again what was under way in workers that died."""
    for _ in range(ATTEMPTS):
        waiting = [number for number in range(len(tasks)) if number not in done]
        try:
            with _backend(workers), Parallel(n_jobs=jobs, return_as=_as_they_come(workers)) as parallel:
                for number, result in parallel(delayed(_numbered)(n, tasks[n]) for n in waiting):
                    keep(number, result)
        except _died(workers):
            continue
        return
    raise WorkersLost(f"workers died {ATTEMPTS} times")


def _numbered(number: int, task: Task[T]) -> tuple[int, T]:
    return number, task(quietly)


def _part_of(progress: Progress, number: int, of: int) -> Progress:
    """Progress within one of several equal parts, told as progress of the whole."""
    return lambda step, part: progress(step, (number + part) / of)


def _as_they_come(workers: Workers) -> str:
    """How joblib hands results over: one by one where it can, so that a death costs what was under way alone."""
    return "list" if workers.backend == "ray" else "generator_unordered"


def _call(address: str) -> None:
    """See that somebody listens at `host:port`, with a scheme before it or without.

    Ray looks for a cluster for minutes, and then ends in an error of its insides.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CALL_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterUnreachable(
            f"no training cluster answers at {address} ({type(error).__name__})"
        ) from None


_ray = Lock()
_ray_session = ExitStack()
_ray_users = 0
"""How many trainings of this process, which has one connection to Ray, need it at the moment."""


@contextmanager
def _connected(workers: Workers) -> Iterator[None]:
    """Hold on to a Ray cluster, for as long as there are tasks; processes are started each time they are tried.

    A process that stays connected is ended by Ray when the cluster goes, whatever it does by then.
    """
    global _ray_users  # noqa: PLW0603  the connection is the process's, as Ray has it
    if workers.backend != "ray":
        yield
        return
    with _ray:
        if _ray_users == 0:
            _ray_session.enter_context(_session(workers.address))
        _ray_users += 1
    try:
        yield
    finally:
        with _ray:
            _ray_users -= 1
            if _ray_users == 0:
                _ray_session.close()


@contextmanager
def _session(address: str) -> Iterator[None]:
    """Connect to Ray, and disconnect; a connection that somebody else made is left alone."""
    import ray  # noqa: PLC0415  an extra

    if ray.is_initialized():
        yield
        return
    with _reached(address) as how:
        ray.init(**how)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _reached(address: str) -> Iterator[Mapping[str, Any]]:
    """Say how to reach a Ray cluster, or to start one here that tells nobody of itself and leaves nothing behind."""
    if address:
        yield {"address": address}
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its logs go with it, and so does what of the tasks found no room in memory. Ray opens its own folder to
    # everybody; the one around it is ours alone.
    with TemporaryDirectory(prefix="assent-ray-") as folder:
        yield {
            "address": "local",  # not one that happens to run here
            "_node_ip_address": "127.0.0.1",
            "include_dashboard": False,
            "_temp_dir": f"{folder}/ray",
        }


@contextmanager
def _backend(workers: Workers) -> Iterator[None]:
    match workers.backend:
        case "processes":
            # No arrays in shared files: what a task carries stays in the pipe to the process that does it.
            with parallel_config("loky", max_nbytes=None):
                yield
        case "ray":
            from ray.util.joblib import register_ray  # noqa: PLC0415  an extra

            register_ray()
            with parallel_config("ray"):
                yield


def _died(workers: Workers) -> tuple[type[BaseException], ...]:
    """What is raised when a worker is gone."""
    match workers.backend:
        case "processes":
            return (BrokenProcessPool,)
        case _:
            from ray.exceptions import RayActorError, WorkerCrashedError  # noqa: PLC0415  an extra

            return RayActorError, WorkerCrashedError
