"""How many jobs wait, run and are dead, how old the oldest is, and how much was removed by the clock: as metrics, from servers and workers alike.

Servers tell it too, because the moment to be told is when no worker lives.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from api import jobs, removals
from api.jobs import DEAD, RUNNING, SECOND, WAITING
from api.service import Service

log = logging.getLogger(__name__)

EVERY_S = 15.0


class JobFigures:
    """The figures of the last look at the table; gauges `assent.jobs` and `assent.jobs.oldest` read them."""

    def __init__(self, service: Service, kinds: Iterable[str]) -> None:
        self._service = service
        self._none = {(kind, status): (0, 0.0) for kind in kinds for status in (WAITING, RUNNING, DEAD)}
        self._last: Mapping[tuple[str, str], tuple[int, float]] = {}
        self._removed: Mapping[str, int] = {}

    def install(self, meters: MeterProvider) -> None:
        """Let a provider observe the figures; nothing is told before the first look."""
        meter = meters.get_meter("assent")
        meter.create_observable_gauge(
            "assent.jobs", [self._counts], unit="{job}", description="Jobs that wait, run, or are dead"
        )
        meter.create_observable_gauge(
            "assent.jobs.oldest", [self._ages], unit="s", description="Age of the oldest of them"
        )
        meter.create_observable_counter(
            "assent.removed",
            [self._removals],
            unit="{row}",
            description="What ended or was removed by the clock",
        )

    def _counts(self, _options: CallbackOptions) -> Iterable[Observation]:
        for (kind, status), (count, _) in self._last.items():
            yield Observation(count, {"job.kind": kind, "job.status": status})

    def _ages(self, _options: CallbackOptions) -> Iterable[Observation]:
        for (kind, status), (_, age_s) in self._last.items():
            yield Observation(age_s, {"job.kind": kind, "job.status": status})

    def _removals(self, _options: CallbackOptions) -> Iterable[Observation]:
        for kind, number in self._removed.items():
            yield Observation(number, {"removed.kind": kind})

    async def look(self) -> None:
        """Look at the table."""
        async with self._service.database.read("") as connection:
            found = await jobs.figures(connection)
            removed = await removals.totals(connection)
        now = self._service.clock()
        ages = {key: (count, max(0, now - oldest) / SECOND) for key, (count, oldest) in found.items()}
        self._last = {**self._none, **ages}
        self._removed = {**dict.fromkeys(removals.KINDS, 0), **removed}

    async def watch(self, stop: asyncio.Event) -> None:
        """Look until told to stop; while the database is gone there are no figures rather than old ones."""
        while not stop.is_set():
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  a lost database must not end the watch
                self._last, self._removed = {}, {}
                log.warning("could not count jobs: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_S)


@contextlib.asynccontextmanager
async def told(service: Service, kinds: Iterable[str], meters: MeterProvider | None) -> AsyncIterator[None]:
    """Tell a provider of the jobs while the block runs; nothing is looked at when there is none."""
    if meters is None:
        yield
        return
    figures = JobFigures(service, kinds)
    figures.install(meters)
    stop = asyncio.Event()
    watching = asyncio.create_task(figures.watch(stop))
    yield
    stop.set()
    await asyncio.gather(watching, return_exceptions=True)
