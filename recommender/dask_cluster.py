"""Tasks on a Dask cluster, by Dask's own futures.

joblib's way to Dask waits for ever for a task that Dask gave up (`docs/decisions/0030-dask-is-asked-itself.md`).
"""

import asyncio
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import dask
from distributed import Client
from distributed.scheduler import KilledWorker, NoWorkerError

from recommender.errors import ClusterUnreachable, WorkersLost
from recommender.parallel import Task
from recommender.progress import quietly

T = TypeVar("T")

PATIENCE_S = 300.0
"""Seconds that a cluster may be without any worker; Dask itself waits as long for one that is silent."""
ANSWER_S = 60.0
"""Seconds that a scheduler gets to say which workers there are."""
LOOK_S = 5.0
"""Seconds after which, when nothing arrived, the workers are looked for."""


@dataclass(frozen=True)
class Tried(Generic[T]):
    """What came of a task: what it raised is kept apart from what Dask raises."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        """Give what the task returned, or raise what it raised."""
        if self.error:
            raise self.error
        return self.value  # type: ignore[return-value]  # there, when there is no error


def outcomes(tasks: Sequence[Task[T]], address: str) -> Generator[tuple[int, Tried[T]]]:
    """Do tasks on the cluster at an address, or on one of this machine; give what came of each, with its number, as it comes.

    Nothing of them stays on the cluster afterwards.

    Raises:
        ClusterUnreachable: the scheduler does not answer, or no longer.
        WorkersLost: the workers of a task died each time, or all are gone for `PATIENCE_S`.
    """
    with _reported(address), _client(address) as client:
        asked = client.sync(_ask, client, tasks)
        try:
            while asked:
                for each in client.sync(_ended, client, asked.keys()):
                    yield asked.pop(each), each.result()
        finally:
            client.sync(_leave, asked.keys())


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """Connect to a cluster, or start one that listens on this machine alone."""
    if address:
        with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]  # Dask leaves it untyped
            yield client
        return
    with (
        # A worker that its nanny starts anew has as long to be there again.
        dask.config.set({"distributed.deploy.lost-worker-timeout": PATIENCE_S}),
        Client(set_as_default=False, dashboard_address="127.0.0.1:0") as client,  # type: ignore[no-untyped-call]  # as above
    ):
        yield client


@contextmanager
def _reported(address: str) -> Iterator[None]:
    """Say in our words that the scheduler is gone: what was asked of it is cancelled, or it is not to be reached."""
    try:
        yield
    except (CancelledError, OSError) as error:
        raise ClusterUnreachable(
            f"the training cluster at {address or 'this machine'} is lost ({type(error).__name__})"
        ) from error
    except NoWorkerError as error:  # a cluster may have a bound of its own
        raise WorkersLost("the cluster has had no worker for too long") from error


async def _ask(client: Any, tasks: Sequence[Task[Any]]) -> dict[asyncio.Task[Any], int]:
    # In one go, so that what is too much at once waits with the scheduler: workers die with what waits in them.
    futures = client.map(_try, tasks, pure=False)
    return {
        asyncio.create_task(_insist(client, task, future)): number
        for number, (task, future) in enumerate(zip(tasks, futures, strict=True))
    }


async def _insist(client: Any, task: Task[Any], future: Any) -> Any:
    """Ask once more for what Dask gave up, which counts a death against what only waited in the worker, too."""
    try:
        with suppress(KilledWorker):
            return await future
        return await client.submit(_try, task, pure=False)
    except KilledWorker as error:
        raise WorkersLost("the workers died each time") from error


def _try(task: Task[T]) -> Tried[T]:
    """Do a task; Dask keeps the words of what a task raises, be it a database's error with what it was asked."""
    try:
        return Tried(task(quietly))
    except BaseException as error:  # noqa: BLE001  raised where the result is taken
        return Tried(error=error)


async def _ended(client: Any, asked: Collection[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Wait for some of what was asked, as long as there are workers."""
    seen = time.monotonic()
    while True:
        ended, _ = await asyncio.wait(asked, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        if ended:
            return ended
        if await asyncio.wait_for(client.nthreads(), ANSWER_S):
            seen = time.monotonic()
        elif time.monotonic() - seen > PATIENCE_S:
            raise WorkersLost(f"the cluster has had no worker for {PATIENCE_S:.0f} seconds")


async def _leave(asked: Collection[asyncio.Task[Any]]) -> None:
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
