"""People who ask for an export and take no more than its beginning."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI

from tests.conftest import Caller


class Stalled:
    """Somebody who asks for an export and takes no more than its head."""

    def __init__(self, app: FastAPI, key: str, user_id: str) -> None:
        self.asked = False
        self.status = 0
        self.began = asyncio.Event()
        path = f"/v1/users/{user_id}/export"
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"test"), (b"authorization", key.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
        }
        self.taking = asyncio.ensure_future(app(self.scope, self.receive, self.send))

    async def receive(self) -> dict[str, Any]:
        """Send the request, and stay."""
        if self.asked:
            await asyncio.sleep(3600)
        self.asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        """Take the head, and then nothing."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.began.set()
            await asyncio.sleep(3600)


@contextlib.asynccontextmanager
async def stalling(
    app: FastAPI, client: Caller, *user_ids: str
) -> AsyncIterator[Sequence["asyncio.Future[None]"]]:
    """Let somebody ask for the export of each of these, and go once the block ends."""
    key = client.http.headers["authorization"]
    stalled = [Stalled(app, key, user_id) for user_id in user_ids or ("u1",)]
    try:
        async with asyncio.timeout(120):
            for each in stalled:
                await each.began.wait()
        assert {each.status for each in stalled} == {200}
        yield [each.taking for each in stalled]
    finally:
        for each in stalled:
            each.taking.cancel()
        await asyncio.gather(*(each.taking for each in stalled), return_exceptions=True)
