"""A load generator that costs little: keep-alive connections over bare protocols, requests made before the clock starts.

Each connection sends its next request when the answer to the last is complete. Of an answer, only the status and the
length are read.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop


@dataclass
class Measured:
    """What came back: how many answers in how many seconds, and how long each took."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    answered_bytes: int = 0

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, part: float) -> float:
        """The latency in seconds that this part of the answers stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


class _Connection(asyncio.Protocol):
    """Sends one request after the other."""

    def __init__(self, requests: Iterator[bytes], measured: Measured, until: float) -> None:
        self._requests, self._measured, self._until = requests, measured, until
        self._head, self._missing, self._sent = b"", 0, 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        self._next()

    def _next(self) -> None:
        now = time.perf_counter()
        request = next(self._requests, None) if now < self._until else None
        if request is None:
            self._transport.close()
            self._end(None)
            return
        self._sent = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._head.startswith(b"HTTP/1.1 200"):
                self._fail(self._head[:1000])
                return
            head = self._head[:end].lower()
            place = head.index(b"content-length:") + 15
            length = int(head[place:].split(b"\r\n", 1)[0])
            self._measured.answered_bytes += length
            self._missing = length - (len(self._head) - end - 4)
            self._head = b""
        if self._missing == 0:
            self._measured.latencies.append(time.perf_counter() - self._sent)
            self._next()

    def _fail(self, head: bytes) -> None:
        self._transport.close()
        self._end(RuntimeError(head.decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server hung up"))

    def _end(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def post(path: str, body: bytes, key: str = "") -> bytes:
    """A POST request as it goes over the wire."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{authorization}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def measure(
    port: int,
    requests: Sequence[bytes],
    *,
    seconds: float = float("inf"),
    connections: int = 32,
    once: bool = False,
) -> Measured:
    """Send requests in turn for some seconds, or each once, and measure.

    Raises:
        RuntimeError: an answer was not 200.
    """

    async def run() -> Measured:
        loop = asyncio.get_running_loop()
        measured = Measured(0.0)
        turns = iter(requests) if once else itertools.cycle(requests)
        begin = time.perf_counter()
        made = [
            await loop.create_connection(
                lambda: _Connection(turns, measured, begin + seconds), "127.0.0.1", port
            )
            for _ in range(connections)
        ]
        await asyncio.gather(*(protocol.done for _, protocol in made))
        measured.seconds = time.perf_counter() - begin
        return measured

    return uvloop.run(run())
