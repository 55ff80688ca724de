"""Serving on a socket, with a worker process beside it."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
import uvloop
from fastapi import FastAPI

from api.app import create_app
from api.service import Service
from api.settings import PREFIX, Settings, web_address

log = logging.getLogger(__name__)

GRACE_S = 20
"""Seconds that requests under way, and the worker, get to finish."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    """A server that stops when it is told to and leaves the signals to `serve`.

    The original raises the signal again once it stopped, which ends the process before the worker was told to stop.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at the first signal, and give up waiting for requests at the second."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def serve(
    settings: Settings,
    *,
    with_worker: bool,
    listening: socket.socket | None = None,
    extend: Callable[[FastAPI], None] | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until told to stop. `extend` may add to the application, `ready` is told the address once it answers."""
    listening = listening or listen(settings.host, settings.port)
    address = web_address(settings.host, listening.getsockname()[1])
    if settings.public_url == web_address(settings.host, settings.port):
        settings = settings.model_copy(update={"public_url": address})
    application = create_app(Service.create(settings))
    if extend is not None:
        extend(application)
    # No access log: paths carry user ids.
    config = uvicorn.Config(
        application,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    server = _Server(config)

    async def run() -> None:
        async with _worker(settings) if with_worker else contextlib.nullcontext():
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            # The server has a flag for it, and nothing to wait on.
            while not server.started and not serving.done():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            if server.started:
                _settle()
                (ready or _say)(address)
            await serving

    uvloop.run(run())


def _settle() -> None:
    """Take what the process was started with out of the garbage collector's rounds.

    Modules, routes and catalogues are a few hundred thousand objects that stay; looking through them again and again
    cost a tenth and more of all requests. What many requests hold at once is no garbage either: the first round comes
    after so many new objects as are more than that.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


def _say(address: str) -> None:
    sys.stdout.write(f"Assent answers at {address} (documentation: {address}/docs). Ctrl+C stops it.\n")
    sys.stdout.flush()


@contextlib.asynccontextmanager
async def _worker(settings: Settings) -> AsyncIterator[None]:
    """Keep a worker process running; started again when it dies, told to stop at the end."""
    keeping = asyncio.create_task(_keep_running(settings))
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def _keep_running(settings: Settings) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "api.cli",
            "worker",
            "--until-input-ends",  # killed or not, this process takes its worker along
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, **environment(settings)},
            start_new_session=True,
        )
        try:
            await process.wait()
            log.warning("the worker ended with status %s and is started again", process.returncode)
            await asyncio.sleep(2)
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), GRACE_S)
                except TimeoutError:
                    process.kill()  # what it was at is taken up by the next worker
                    await process.wait()


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give another process the same settings."""
    values = settings.model_dump(mode="json") | {"secret": settings.secret.get_secret_value()}
    return {PREFIX + name.upper(): str(value) for name, value in values.items()}
