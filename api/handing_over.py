"""How an export reaches whoever asked: gathered as fast as the database gives it, sent as fast as they take it.

A connection, and the moment that it reads, is held while an export is gathered, and not while it is sent: connections
are few, and deleted bytes cannot leave the database while somebody reads a moment before the deletion.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, aclosing, closing, contextmanager
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from api.problems import NO_STORE, Problem
from api.spool import Spool

GATHERED_AT_ONCE = 4
"""Exports that hold a connection at a time; others wait for their turn."""
GATHERED_WITHIN_S = 60.0
"""Seconds that gathering may take, waiting for a turn included; a shorter deadline of all requests goes before."""
OF_A_PERSON, OF_AN_APP, IN_ALL = 2, 16, 32
"""Exports under way at a time in this process, gathered or sent. One app leaves room for others."""
CHUNK_WITHIN_S = 30.0
"""Seconds after which somebody who does not take the next chunk is cut off."""
TAKEN_WITHIN_S = 900.0
"""Seconds after which somebody who takes an export, however slowly, is cut off: their place is others' too."""
RETRY_AFTER_S = 30


class Busy(Problem):
    """Too many exports are under way: of the person or the app (429), or in all (503)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, code, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


class Exports:
    """The exports that are under way in this process."""

    def __init__(self) -> None:
        self.turn = asyncio.Semaphore(GATHERED_AT_ONCE)
        self._under_way: list[tuple[str, bytes]] = []

    @contextmanager
    def place(self, app_id: str, user_hash: bytes) -> Iterator[None]:
        """Take a place for an export of somebody; Busy when there is none."""
        whose = (app_id, user_hash)
        if self._under_way.count(whose) >= OF_A_PERSON:
            raise Busy(429, "rate_limited", "exports of this person are under way, try again")
        if sum(app == app_id for app, _ in self._under_way) >= OF_AN_APP:
            raise Busy(429, "rate_limited", "many exports of this app are under way, try again")
        if len(self._under_way) >= IN_ALL:
            raise Busy(503, "unavailable", "many exports are under way, try again")
        self._under_way.append(whose)
        try:
            yield
        finally:
            self._under_way.remove(whose)


class Handing:
    """Hands one export over; its place and its bytes are kept until `until_sent` is closed."""

    def __init__(self, exports: Exports, until_sent: ExitStack) -> None:
        self._exports = exports
        self._until_sent = until_sent

    async def over(
        self,
        app_id: str,
        user_hash: bytes,
        chunks: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str] = NO_STORE,
    ) -> StreamingResponse:
        """Gather an export of somebody, and answer with it. What goes wrong until it is whole is an error as any other.

        Raises:
            Busy: when too many exports are under way.
            TimeoutError: when it could not be gathered in time.
        """
        self._until_sent.enter_context(self._exports.place(app_id, user_hash))
        spool = self._until_sent.enter_context(closing(Spool()))
        async with asyncio.timeout(GATHERED_WITHIN_S), self._exports.turn:
            await spool.fill(chunks)
        sized = {**headers, "Content-Length": str(spool.size)}
        return _Timely(spool.chunks(), media_type=media_type, headers=sized)


async def _handing(request: Request) -> AsyncIterator[Handing]:
    """Return who hands an export over; FastAPI comes back here when the answer was sent, or nobody takes it any more."""
    with ExitStack() as until_sent:
        yield Handing(request.app.state.exports, until_sent)


HandingDep = Annotated[Handing, Depends(_handing, scope="request")]


class _Timely(StreamingResponse):
    """Cuts off whoever does not take what is sent in time."""

    async def stream_response(self, send: Send) -> None:
        """Send the chunks; whoever does not take the next, or all of them, in time counts as gone."""

        async def soon(message: Message) -> None:
            async with asyncio.timeout(CHUNK_WITHIN_S):
                await send(message)

        chunks = aiter(self.body_iterator)
        async with aclosing(chunks):  # type: ignore[type-var]  # a generator: see `Handing.over`
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await super().stream_response(soon)
