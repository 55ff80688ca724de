"""How much a request may carry: more is answered with a problem, before it is read where its length is told."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem

_MOST_DIGITS = 18


class LimitedBody:
    """Refuses bodies of more than `largest` bytes (413), whether their length is told or not.

    FastAPI's own `max_body_size` answers in plain text, and puts that in place of any answer that we give.
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application on a body that is counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._beyond(Headers(scope=scope).get("content-length", "")):
            await self._problem().response()(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise self._problem()
            return message

        await self._app(scope, counted, send)

    def _beyond(self, told: str) -> bool:
        return told.isdecimal() and (len(told) > _MOST_DIGITS or int(told) > self._largest)

    def _problem(self) -> Problem:
        return Problem(413, "payload_too_large", f"a body may have up to {self._largest} bytes")
