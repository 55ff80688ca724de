"""A PostgreSQL of one test's own, to be killed, stopped and cut off; and a wire in between that breaks at COMMIT."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from tests.postgres import running


class Postgres:
    """A server in a folder."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self.folder = folder

    def url(self, database: str, user: str = "assent_owner") -> str:
        """The URL of a database, over the server's socket."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def _processes(self) -> list[int]:
        """The postmaster and its children."""
        postmaster = int((self.folder / "postmaster.pid").read_text("utf-8").splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("utf-8").split()
        return [postmaster, *map(int, children)]

    def kill(self) -> None:
        """Kill every process of the server at once, and wait until none of them runs."""
        killed = self._processes()
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(_runs, killed)):
            time.sleep(0.01)
        (self.folder / "postmaster.pid").unlink()  # it names a process that is gone

    def start(self) -> None:
        """Bring it back."""
        for attempt in range(20):
            try:
                self._server.ensure_postgres_running()
            except Exception:  # the shared memory of the dead is still in use for a moment
                if attempt == 19:
                    raise
                time.sleep(0.25)
            else:
                return

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it hang: connections stay open, and nothing is answered."""
        stopped = self._processes()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def psql(self, statement: str) -> None:
        """Run a statement as superuser."""
        self._server.psql(statement)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def postgres(within: Path | None = None) -> Iterator[Postgres]:
    """Start a server, in this folder if need be, and stop it at the end."""
    with running(within) as (server, folder):
        made = Postgres(server, folder)
        try:
            yield made
        finally:
            made.start()  # one that is down cannot be stopped properly


class Wire:
    """Carries bytes to a server's socket, and breaks at the next COMMIT when told to.

    `before`: the COMMIT never arrives. `after`: it does, and the answer is lost. `silent`: it arrives, and then nothing
    is carried any more on that connection, which stays open. `pulled`: it arrives, and by then `pull` was called.
    `pulled before`: `pull` was called, and it never arrives.
    """

    def __init__(self, socket_path: Path, pull: Callable[[], None]) -> None:
        self._socket = socket_path
        self._pull = pull
        self._open: set[asyncio.StreamWriter] = set()
        self.breaks: str | None = None
        self.broken = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there_reader, there_writer = await asyncio.open_unix_connection(self._socket)
        self._open |= {writer, there_writer}
        silent = asyncio.Event()
        both = {
            asyncio.create_task(self._there(reader, there_writer, silent)),
            asyncio.create_task(_back(there_reader, writer, silent)),
        }
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for each in (writer, there_writer):
                self._open.discard(each)
                each.close()

    async def _there(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        """Carry what the service says until it breaks off."""
        while data := await reader.read(65536):
            how = self.breaks if b"COMMIT;" in data else None
            if how is not None:
                self.breaks, self.broken = None, self.broken + 1
                if how.startswith("pulled"):
                    self._pull()
                else:
                    silent.set()
            if how not in {"before", "pulled before"}:
                writer.write(data)
                await writer.drain()
            if how in {"before", "after"}:
                await asyncio.sleep(0.1 if how == "after" else 0)  # in which the server commits
                return

    def close(self) -> None:
        """Cut every connection."""
        for each in list(self._open):
            each.transport.abort()


async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event) -> None:
    """Carry what the server says until there is silence."""
    while data := await reader.read(65536):
        if not silent.is_set():
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def wire(
    server: Postgres, listening: socket.socket | None = None, pull: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[Wire, int]]:
    """A wire to a server, and the port where it begins; `pull` is what `pulled` pulls."""
    made = Wire(server.folder / ".s.PGSQL.5432", pull)
    carrying = (
        await asyncio.start_server(made.carry, "127.0.0.1", 0)
        if listening is None
        else await asyncio.start_server(made.carry, sock=listening)
    )
    try:
        yield made, carrying.sockets[0].getsockname()[1]
    finally:
        carrying.close()
        made.close()
        await asyncio.sleep(0.1)
