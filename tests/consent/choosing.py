"""Somebody who chooses in an open transaction, and what the gate shows of them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.service import Service
from consent import changes as ledger_changes
from consent import permits, store
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.notices.published import EVERY_CELL, Notices, Revision
from consent.permits import Permit
from consent.purposes import Purpose
from consent.receipts.signing import Signer
from consent.signals import SIGNALS
from recommender.store import HISTORY_COLUMNS
from recommender.tables import events
from tests.conftest import APP

DAY = 86_400_000_000
START = 1_790_000_000_000_000
TEXTS = {"en": "What may be used?"}
FIRST = Revision("1", TEXTS, EVERY_CELL)
NOTICES = Notices([FIRST])


class Undo(Exception):
    """Takes back what a test wrote."""


@dataclass
class Person:
    """Somebody in an open transaction."""

    connection: AsyncConnection
    service: Service
    user_hash: bytes

    async def choose(
        self,
        *names: tuple[str, Purpose],
        choice: Choice = Choice.GIVEN,
        now: int = START,
        notices: Notices = NOTICES,
    ) -> str:
        """Record one choice about these cells; return the id of the person's row."""
        request = Request([Change(*name, choice) for name in names], notices.current_version, "en", "test")
        await ledger_changes.change(
            self.connection, self.user_hash, request, clock=lambda: now,
            registrar=self.service.registrar(APP, "Harbour", notices, Signer(bytes(32))),
        )  # fmt: skip
        subject_id = await store.find_subject(self.connection, APP, self.user_hash)
        assert subject_id is not None
        return subject_id

    async def leave_events(self, subject_id: str) -> None:
        """Put one event of every signal into the table, whatever is granted; PostgreSQL itself refuses what is not."""
        row = {"resource_id": None, "topic": None, "value": None, "occurred_at": START, "stored_at": START}
        for signal in SIGNALS:
            with contextlib.suppress(ProgrammingError):
                async with self.connection.begin_nested():
                    forged = Permit(APP, subject_id, signal)
                    await events.add(self.connection, [(forged, {"event_id": f"e-{signal}", **row})])

    async def seen(self, purpose: Purpose, now: int, notices: Notices) -> tuple[set[str], set[str], set[str]]:
        """The signals granted to this purpose, those whose events it reads of the person, and those it reads in bulk.

        What everyone grants, read in bulk, is the same for this person, who is left out where it is nothing.
        """
        values = {"app_id": APP, "user_hash": self.user_hash, "now": now}
        lateral = self.connection.dialect.name == "postgresql"
        statement = events.of_person(purpose, notices, HISTORY_COLUMNS, 100, lateral=lateral)
        rows = await self.connection.execute(statement, values)
        found: Sequence[Any] = rows.all()
        granted = {row[0] for row in found if row[0] is not None}
        read = {row[0] for row in found if row[-1] is not None}
        bulk = await self.connection.execute(
            events.of_everyone(purpose, notices, ["occurred_at"]), {"app_id": APP, "now": now}
        )
        everyone: Sequence[Any] = bulk.all()
        by_person = await permits.granted(self.connection, APP, purpose, now, notices)
        assert by_person.get(self.user_hash) == (granted or None)
        assert await permits.granted(self.connection, "elsewhere", purpose, now, notices) == {}
        return granted, read, {row[1] for row in everyone if row[0] == self.user_hash}

    async def kept(self, subject_id: str, now: int, notices: Notices) -> set[str]:
        """The signals whose events may be kept."""
        found = await permits.permits(self.connection, APP, [subject_id], now, notices, earliest=now)
        return set(found[subject_id].grants) if subject_id in found else set()
