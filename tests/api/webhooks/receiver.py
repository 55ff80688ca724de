"""A real HTTP server on this machine that receives webhooks, and fails in the ways that servers fail."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Got:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body, read as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Receiver:
    """Answers each request with the next of `behaviours`, and with 204 when there is none left.

    A behaviour is a status, or `hang`, `close` (says nothing and closes), `redirect`, `flood` (a body without an end),
    `drip` (a head that never ends).
    """

    port: int = 0
    got: list[Got] = field(default_factory=list)
    behaviours: list[int | str] = field(default_factory=list)
    elsewhere: str = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hooks"

    def will(self, *behaviours: int | str) -> None:
        """Decide how the next requests are answered."""
        self.behaviours += behaviours

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The bodies of everything that came."""
        return [each.document for each in self.got]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request and answer it."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.got.append(Got(line, headers, body))
            await self._behave(self.behaviours.pop(0) if self.behaviours else 204, reader, writer)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.close()
            await writer.wait_closed()

    async def _behave(
        self, behaviour: int | str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match behaviour:
            case int():
                writer.write(f"HTTP/1.1 {behaviour} Whatever\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            case "redirect":
                writer.write(
                    f"HTTP/1.1 307 Over There\r\nlocation: {self.elsewhere}\r\ncontent-length: 0\r\n\r\n".encode()
                )
            case "hang":
                await reader.read()  # until the other side gives up
            case "close":
                return
            case "flood":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            case "drip":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                while True:
                    writer.write(b"x-more: and more\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.02)
        await writer.drain()


@contextlib.asynccontextmanager
async def receiving(
    *, certificates: ssl.SSLContext | None = None, behaviours: Iterable[int | str] = ()
) -> AsyncIterator[Receiver]:
    """Listen on a free port of this machine."""
    receiver = Receiver(behaviours=list(behaviours))
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0, ssl=certificates)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
    await server.wait_closed()
