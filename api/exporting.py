"""What is held on a person, handed over (GDPR 15 and 20): streamed as JSON from one read, whatever its size.

The archive for people to read, `api.archive`, is made from the same sections.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Send

from api import people, transparency
from api.problems import NO_STORE
from api.service import PERSONAL_STORES, Service
from consent import store as ledger
from consent.personal import Person, Section
from consent.pseudonyms import new_id
from consent.receipts.records import rfc3339

FORMAT = "assent-export/1"
CHUNK = 64 * 1024
"""Bytes that are gathered before they are sent."""
TAKEN_WITHIN_S = 900.0
"""Seconds after which an export that somebody takes slowly, or has stopped to take, is cut off."""


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


async def streamed(
    chunks: AsyncIterator[bytes], media_type: str, headers: Mapping[str, str] = NO_STORE
) -> StreamingResponse:
    """Answer with chunks as they come. What goes wrong before the first is an error as any other; whoever takes too long is cut off."""
    first = await anext(chunks)

    async def all_of_them() -> AsyncIterator[bytes]:
        async with aclosing(chunks):  # type: ignore[type-var]  # they come from generators
            yield first
            async for chunk in chunks:
                yield chunk

    return _Timely(all_of_them(), media_type=media_type, headers=dict(headers))


class _Timely(StreamingResponse):
    """Lets go of the moment that it reads when everything was taken, or nobody takes it any more.

    While it is held, deleted bytes cannot leave the database: an erasure waits for it.
    """

    async def stream_response(self, send: Send) -> None:
        """Send the chunks; whoever does not take them in time counts as gone."""
        chunks = aiter(self.body_iterator)
        async with aclosing(chunks):  # type: ignore[type-var]  # a generator: see `streamed`
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await super().stream_response(send)
