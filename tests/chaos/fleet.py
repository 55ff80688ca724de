"""Processes of a service that a test starts, kills and starts again, and a client that does not give up."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from api.serving import environment
from api.settings import Settings

ROOT = Path(__file__).parents[2]
_keys = itertools.count()


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Fleet:
    """Starts processes by a parent that has everything imported; whatever is left of them at the end is killed.

    `clock` is a file of microseconds by which the clock of these processes is ahead, read whenever they look at it.
    """

    def __init__(self, folder: Path, clock: Path | None = None) -> None:
        self._clock = clock
        self._log = folder / "processes.log"
        self._pids: list[int] = []
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"],
            cwd=ROOT,
            env={
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, settings: Mapping[str, str], *arguments: str) -> int:
        """Start `assent` with these settings; its process id."""
        order = {
            "arguments": arguments,
            "environment": dict(settings),
            "log": str(self._log),
            "clock": self._clock and str(self._clock),
        }
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(order) + "\n")
        self._zygote.stdin.flush()
        self._pids.append(int(self._zygote.stdout.readline()))
        return self._pids[-1]

    def run(self, settings: Mapping[str, str], *arguments: str) -> str:
        """Run `assent` to its end; what it said, in one line."""
        before = len(self._log.read_bytes()) if self._log.exists() else 0
        self.wait(self.start(settings, *arguments), seconds=120)
        return " ".join(self._log.read_bytes()[before:].decode().split())

    def kill(self, pid: int) -> None:
        """Kill a process as a power cut would (SIGKILL), and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.wait(pid)

    def tell_to_stop(self, pid: int) -> None:
        """Tell a process to stop (SIGTERM)."""
        os.kill(pid, signal.SIGTERM)

    def wait(self, pid: int, seconds: float = 20) -> None:
        """Wait until a process is gone."""
        until = time.monotonic() + seconds
        while alive(pid):
            assert time.monotonic() < until, self.said()
            time.sleep(0.005)
        self._pids.remove(pid)

    def check_alive(self, pid: int) -> None:
        """See that a process was not replaced and still runs."""
        assert alive(pid), self.said()

    def said(self) -> str:
        """What the processes wrote."""
        return self._log.read_text("utf-8")[-4000:] if self._log.exists() else ""

    def stop_all(self) -> None:
        """Leave nothing running."""
        for pid in list(self._pids):
            self.kill(pid)

    def close(self) -> None:
        """Leave nothing running, and start nothing more."""
        self.stop_all()
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.wait(120)
        self._zygote.stdout.close()


@dataclass
class Town:
    """A service in processes of its own: its settings, where it answers, a key of the first app."""

    fleet: Fleet
    settings: Settings
    key: str
    port: int = field(default_factory=lambda: free_port())  # noqa: PLW0108  defined below

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **more: str) -> dict[str, str]:
        """Its settings as variables."""
        return {
            **environment(self.settings),
            "ASSENT_PORT": str(self.port),
            "ASSENT_PUBLIC_URL": self.url,
            **more,
        }

    async def serve(self, **more: str) -> int:
        """Start a server and wait until it answers; its process id."""
        settings = self.environment(**more)
        pid = self.fleet.start(settings, "serve", "--no-worker")
        await self.answers(pid, int(settings["ASSENT_PORT"]))
        return pid

    async def answers(self, pid: int, port: int | None = None) -> None:
        """Wait until a server answers."""
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port or self.port}") as http,
            asyncio.timeout(90),
        ):
            while True:
                assert alive(pid), self.fleet.said()
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get("/healthz")).status_code == 200:
                        return
                await asyncio.sleep(0.01)

    def work(self, **more: str) -> int:
        """Start a worker; its process id."""
        return self.fleet.start(self.environment(**more), "worker")

    def client(self, port: int | None = None) -> httpx.AsyncClient:
        """A client with the key."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port or self.port}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
        )


async def insist(http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> httpx.Response:
    """Send a write until it is answered, under one key: as a partner does who wants it done once."""
    headers = {"Idempotency-Key": f"insisted-{next(_keys)}"}
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await http.request(method, path, json=body, headers=headers)
            under_way = answer.status_code == 409 and "retry-after" in answer.headers
            if answer.status_code != 503 and not under_way:
                return answer
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def counted(flying: dict[str, int], kind: str) -> Iterator[None]:
    """Count what is under way."""
    flying[kind] = flying.get(kind, 0) + 1
    try:
        yield
    finally:
        flying[kind] -= 1


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
