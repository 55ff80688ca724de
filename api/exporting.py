"""What is held on a person (GDPR 15 and 20): written as JSON from one read, a few rows at a time, whatever its size.

The archive for people to read, `api.archive`, is made from the same sections; `api.handing_over` sends either.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from api import people, transparency
from api.service import PERSONAL_STORES, Service
from consent import store as ledger
from consent.personal import Person, Section
from consent.pseudonyms import new_id
from consent.receipts.records import rfc3339

FORMAT = "assent-export/1"
CHUNK = 64 * 1024
"""Bytes of rows that are written at a time."""


@dataclass(frozen=True)
class Held:
    """What is held on a person: the head, which is small, and the sections, which are read while they are written."""

    head: Mapping[str, Any]
    sections: Sequence[Section]


@asynccontextmanager
async def held(service: Service, app_id: str, user_hash: bytes) -> AsyncIterator[Held]:
    """Open everything held on a person, as it is at one moment; the same shape for someone never seen."""
    await transparency.checkpoint(service, app_id)  # so that there is a proof of each of their entries
    async with service.database.read(app_id) as connection:
        subject_id = await ledger.find_subject(connection, app_id, user_hash)
        who = Person(app_id, user_hash, subject_id or new_id())
        cells = await people.cells(service, connection, app_id, user_hash)
        head = {
            "format": FORMAT,
            "exported_at": rfc3339(service.clock()),
            "app": await ledger.app_name(connection, app_id) or app_id,
            "subject_id": subject_id,
            "consents": [people.cell_json(cell) for cell in cells],
        }
        sections = [part for each in PERSONAL_STORES for part in each.export(connection, who)]
        yield Held(head, sections)


async def as_json(service: Service, app_id: str, user_hash: bytes) -> AsyncIterator[bytes]:
    """Write everything held on a person as one JSON document: the head's members, then an array for each section."""
    async with held(service, app_id, user_hash) as found:
        yield orjson.dumps(found.head)[:-1]
        for section in found.sections:
            yield b"," + orjson.dumps(section.name) + b":"
            async for chunk in array(section.rows):
                yield chunk
        yield b"}"


async def array(rows: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """Write rows as a JSON array, a row to a line, a few at a time."""
    gathered = bytearray(b"[")
    between = b"\n"
    async for row in rows:
        gathered += between + orjson.dumps(row)
        between = b",\n"
        if len(gathered) >= CHUNK:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered) + (b"\n]" if between == b",\n" else b"]")
