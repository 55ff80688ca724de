"""When a request arrived, and which changes of a person it can have known: those that were over by then.

A yes never knows more than the ledger had when its request arrived. The first read of the ledger comes later than that: a
body is read before it, a key is looked up, a connection waited for. What this process recorded in between it knows
itself, exactly. What another process recorded in between, the ledger's times tell (`consent.changes.Request.arrived`).
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

Person = tuple[str, bytes]
"""A person by their app and their keyed hash."""


class Arrival(NamedTuple):
    """When the server first saw a request."""

    tick: int
    """In nanoseconds of this machine since its start: what orders it among what else this process does."""
    at: int
    """By the service's clock, in microseconds, UTC: what other processes' times are compared with."""


class Arriving:
    """Notes on each request when it arrived, before anything else looks at it; goes around all other layers."""

    def __init__(self, app: ASGIApp, clock: Callable[[], int]) -> None:
        self._app = app
        self._clock = clock

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run the application on a request that says when it arrived, as `scope["arrival"]`."""
        if scope["type"] == "http":
            scope["arrival"] = Arrival(time.monotonic_ns(), self._clock())
        return self._app(scope, receive, send)


@dataclass(frozen=True)
class Known:
    """What someone can have known of the ledger when they chose."""

    lines: int
    """How many of its lines at most."""
    arrived: int | None
    """None when that is exact; else lines of a later time than this (microseconds, UTC) are unknown as well."""


@dataclass(eq=False)
class Change:
    """Something under way that may change a person."""

    whose: Person
    place: int | None = None
    over: int | None = None

    def takes(self, place: int) -> None:
        """Say the first place it takes in the ledger, before it commits."""
        self.place = place


class Changes:
    """The changes of consent that this process has under way, or saw end not long ago.

    Memory is bounded by time: a change is forgotten `lasting_s` seconds after it ended, when no request is left that
    arrived before.
    """

    def __init__(self, lasting_s: float) -> None:
        self._lasting = int(lasting_s * 1_000_000_000)
        self._of: dict[Person, list[Change]] = {}
        self._ended: deque[Change] = deque()

    @asynccontextmanager
    async def under_way(self, app_id: str, user_hash: bytes) -> AsyncIterator[Change]:
        """Do something that may change a person. It is over when the block ends, whatever came of it: before, nobody was told."""
        change = Change((app_id, user_hash))
        self._of.setdefault(change.whose, []).append(change)
        try:
            yield change
        finally:
            change.over = time.monotonic_ns()
            self._ended.append(change)
            self._forget(change.over - self._lasting)

    def known(
        self, app_id: str, user_hash: bytes, arrival: Arrival, *, size: int, as_of: int | None
    ) -> Known:
        """Return what whoever sent a request about a person can have known of the ledger.

        Every change that was not over when the request arrived was, to them, still to come.

        Args:
            app_id: the app.
            user_hash: the person.
            arrival: when the request arrived.
            size: how many lines the ledger has, as it was read since.
            as_of: how many of them the request says it knows. Who names a place that is there has seen it.
        """
        seen = as_of is not None and as_of <= size
        unknown = [
            each.place
            for each in self._of.get((app_id, user_hash), [])
            if each.place is not None and (each.over is None or each.over >= arrival.tick)
        ]
        lines = min([as_of if as_of is not None and seen else size, *unknown])
        return Known(lines, None if seen else arrival.at)

    def _forget(self, before: int) -> None:
        while self._ended and (self._ended[0].over or 0) < before:
            gone = self._ended.popleft()
            left = self._of[gone.whose]
            left.remove(gone)
            if not left:
                del self._of[gone.whose]
