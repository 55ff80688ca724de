"""How much a request may carry, how often a key may ask, and how long an answer may take: beyond, a problem.

A layer that has nothing to do after the application returns what the application does, and is no coroutine around it:
each is one more to wake whenever a request waits.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, too_large, unavailable

_MOST_DIGITS = 18


class LimitedBody:
    """Refuses bodies of more than `largest` bytes (413), whether their length is told or not.

    FastAPI's own `max_body_size` answers in plain text, and puts that in place of any answer that we give.
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run the application on a body that is counted."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        if self._beyond(Headers(scope=scope).get("content-length", "")):
            return too_large(self._largest).response()(scope, receive, send)
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise too_large(self._largest)
            return message

        return self._app(scope, counted, send)

    def _beyond(self, told: str) -> bool:
        return told.isdecimal() and (len(told) > _MOST_DIGITS or int(told) > self._largest)


class Buckets:
    """A token bucket per key: `rate` requests per second, and a second's worth at once. This process's alone.

    Memory is bounded: of more than `most` keys those that asked longest ago are forgotten, and begin afresh.
    """

    def __init__(
        self, rate: float, *, clock: Callable[[], float] = time.monotonic, most: int = 10_000
    ) -> None:
        self._rate = rate
        self._burst = max(rate, 1.0)
        self._clock = clock
        self._most = most
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str) -> None:
        """Take a token of a key; a problem that says when the next is there (429) when there is none."""
        if not self._rate:
            return
        now = self._clock()
        tokens, at = self._filled.get(key_id, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        if tokens < 1:
            seconds = int((1 - tokens) / self._rate) + 1
            raise Problem(
                429, "rate_limited", "this key asks too often", headers={"Retry-After": str(seconds)}
            )
        self._filled[key_id] = (tokens - 1, now)
        self._filled.move_to_end(key_id)
        if len(self._filled) > self._most:
            self._filled.popitem(last=False)


class Deadline:
    """Answers 503 when nothing was answered within `seconds`, whatever the request waits for.

    The request is told to stop and not waited for: what waits for a database that hangs may take long to let go.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._letting_go: set[asyncio.Task[None]] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run the application for so long."""
        if scope["type"] != "http" or scope["path"].startswith(KEEPS_ITS_OWN_TIME):
            return self._app(scope, receive, send)
        return self._in_time(scope, receive, send)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = given_up = False

        async def watched(message: Message) -> None:
            nonlocal begun
            if not given_up:
                begun = True
                await send(message)

        working = asyncio.create_task(self._run(scope, receive, watched))
        try:
            await asyncio.wait({working}, timeout=self._seconds)
        except asyncio.CancelledError:
            working.cancel()
            raise
        if working.done() or begun:
            await working
            return
        given_up = True
        working.cancel()
        self._letting_go.add(working)
        working.add_done_callback(self._let_go)
        await unavailable().response()(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _let_go(self, task: "asyncio.Task[None]") -> None:
        self._letting_go.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, or the loop would complain that nobody did


KEEPS_ITS_OWN_TIME = "/v1/recommendations"
"""Where the route itself sees to a shorter deadline, reading included: a task for each request would cost it some percent."""
