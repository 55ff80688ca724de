"""A network cable that can be pulled: a network namespace with a socket that listens in it, behind a pair of virtual interfaces.

Nothing is refused and nothing reset while it is pulled: what either side sends is swallowed in silence, as by a dead
switch. Takes root and `ip` (iproute2).
"""

import contextlib
import ctypes
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PORT = 5432
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_ESTABLISHED, _KEEPALIVE = "01", "02"


@dataclass(frozen=True)
class Connection:
    """A connection to the far end, as the kernel's own table has it."""

    established: bool
    watched_within_s: float | None
    """When TCP asks next whether the far end is still there; None when it does not mean to."""


@dataclass(frozen=True)
class Cable:
    """A cable to `address`, where `listening` listens."""

    namespace: str
    address: str
    listening: socket.socket

    def pull(self) -> None:
        """Let every packet be lost."""
        _ip("-n", self.namespace, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Let packets through again."""
        _ip("-n", self.namespace, "link", "set", "eth0", "up")

    def connections(self) -> list[Connection]:
        """Every connection from here to the far end."""
        number = int.from_bytes(socket.inet_aton(self.address), "little")
        far = f"{number:08X}:{PORT:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
        return [_connection(row[3], row[5]) for row in rows if row[2] == far]


def _connection(state: str, timer: str) -> Connection:
    kind, _, ticks = timer.partition(":")
    within = int(ticks, 16) / os.sysconf("SC_CLK_TCK") if kind == _KEEPALIVE else None
    return Connection(state == _ESTABLISHED, within)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def cable() -> Iterator[Cable]:
    """Lay a cable; skips the test where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace takes root and iproute2")
    name, third = f"assent-{os.urandom(3).hex()}", random.SystemRandom().randrange(256)
    here, there, interface = f"198.18.{third}.1", f"198.18.{third}.2", f"as{name[-6:]}"
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip("this machine allows no network namespace")
    try:
        _ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", interface)
        _ip("link", "set", interface, "up")
        _ip("-n", name, "addr", "add", f"{there}/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "address", "02:00:00:00:00:02", "up")
        # The neighbour stays known: otherwise the kernel would soon tell that the host is unreachable.
        _ip("neigh", "replace", there, "lladdr", "02:00:00:00:00:02", "dev", interface, "nud", "permanent")
        with _listening_in(name, there) as listening:
            yield Cable(name, there, listening)
    finally:
        _ip("netns", "del", name)  # and both interfaces with it


@contextlib.contextmanager
def _listening_in(namespace: str, address: str) -> Iterator[socket.socket]:
    """Open a socket that listens in a namespace, wherever this process is: a socket stays where it was made."""
    made: list[socket.socket] = []

    def listen() -> None:  # in a thread of its own, which never comes back from the namespace
        place = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(place, _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(place)
        one = socket.socket()
        made.append(one)
        one.bind((address, PORT))
        one.listen()

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    (listening,) = made
    with listening:
        yield listening
