"""Real servers in processes of their own, each on one core, stopped by the handle that is held."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@cache
def cores() -> tuple[int, int]:
    """The core of the servers and the core of everything else; the same one where there is no other.

    Found out once: whoever keeps itself to its own core no longer sees the other.
    """
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def free_port() -> int:
    """A port of this machine that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(arguments: list[str], port: int, core: int, **environment: str) -> Iterator[int]:
    """Run `python -m <arguments>` on one core until the block ends; give its process id once the port answers."""
    process = subprocess.Popen(
        ["taskset", "--cpu-list", str(core), sys.executable, "-m", *arguments],
        env={**os.environ, **dict.fromkeys(THREADS, "1"), **environment},
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not answer within a minute")


def status_kb(pid: int, name: str) -> int:
    """A figure of a process in kB, as Linux tells it in `/proc/<pid>/status`: VmRSS now, VmHWM at most."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        field, _, value = line.partition(":")
        if field == name:
            return int(value.split()[0])
    raise KeyError(name)


def assent(settings: Mapping[str, str], port: int, core: int) -> contextlib.AbstractContextManager[int]:
    """The service as `assent serve` runs it, without a worker."""
    more = {"ASSENT_PORT": str(port), "ASSENT_RATE_LIMIT": "0"}  # one key asks for everybody
    return running(["api.cli", "serve", "--no-worker"], port, core, **{**settings, **more})
