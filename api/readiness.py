"""Whether this process may speak of people: not before every entry of the register of erasures is in the database."""

import asyncio
import time
from collections.abc import Mapping

from api.connecting import Unreachable


class NotReplayed(Unreachable):
    """The register of erasures is being replayed: the database may hold somebody who left."""


class Readiness:
    """One per process. It is lost again when the database goes back in time under the process: a backup was restored."""

    def __init__(self) -> None:
        self.replayed = False
        self.replaying = asyncio.Lock()
        self._erasures: Mapping[str, int] = {}
        self._entered: dict[tuple[str, str], float] = {}

    def observe(self, erasures: Mapping[str, int]) -> None:
        """Look at the number of erasures per app: when one has shrunk, what was erased since may be back."""
        if any(erasures.get(app_id, -1) < number for app_id, number in self._erasures.items()):
            self.replayed = False
        self._erasures = dict(erasures)

    def enter(self, app_id: str, erasure_id: str) -> None:
        """Note an entry that this process is about to make in the register, whose transaction may yet fail."""
        self._entered[app_id, erasure_id] = time.monotonic()

    def settled(self, app_id: str, erasure_id: str) -> None:
        """Forget an entry: its erasure is in the database, or the register does not have it."""
        self._entered.pop((app_id, erasure_id), None)

    def entered(self, older_than_s: float) -> list[tuple[str, str]]:
        """Return app and erasure of the entries noted that long ago: their transactions ended, one way or the other."""
        before = time.monotonic() - older_than_s
        return [entry for entry, at in self._entered.items() if at <= before]
