"""Personal data: whose it is, and what a store that holds some can do with it. What it can show, it can remove, and the reverse.

`consent` knows no other store: whoever composes the service hands over all of them.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.receipts.records import rfc3339

AT_A_TIME = 200
"""Rows that an export holds in memory."""


@dataclass(frozen=True)
class Person:
    """Somebody, in an app. `subject_id` is the random id of their row; for someone never seen, one that no row has."""

    app_id: str
    user_hash: bytes
    subject_id: str


@dataclass(frozen=True)
class Section:
    """A part of an export: the rows of one table that are about a person, read while they are written out.

    `withheld` names the columns that are left out. What a section holds, and why it leaves something out, the pages'
    texts say, under `export.files.<name>` and `export.withheld.<column>`.
    """

    name: str
    table: str
    rows: AsyncIterator[Mapping[str, Any]]
    withheld: Collection[str]


class PersonalStore(Protocol):
    """Somewhere personal data lies: these tables, of which it erases, counts and exports every row of a person."""

    @property
    def name(self) -> str:
        """Its name, also in counts and receipts."""

    @property
    def tables(self) -> Collection[str]:
        """The names of its tables."""

    async def erase(self, connection: AsyncConnection, who: Person) -> int:
        """Remove everything of a person; return how many rows."""

    async def count(self, connection: AsyncConnection, who: Person) -> int:
        """Count the rows of a person."""

    def export(self, connection: AsyncConnection, who: Person) -> Sequence[Section]:
        """Return everything held on a person, a section for each table."""


WHOSE = frozenset({"app_id", "subject_id"})
"""Columns that every section leaves out, since they stand at the head of the export."""


async def stored(
    connection: AsyncConnection,
    rows: Select[Any],
    *,
    times: Collection[str] = (),
    withheld: Collection[str] = WHOSE,
) -> AsyncIterator[Mapping[str, Any]]:
    """Read rows a few at a time, as JSON can hold them: `times` (microseconds, UTC) in RFC 3339, bytes in hexadecimal."""
    result = await connection.stream(rows.execution_options(yield_per=AT_A_TIME))
    async for row in result.mappings():
        yield {
            str(name): _shown(value, is_time=str(name) in times)
            for name, value in row.items()
            if str(name) not in withheld
        }


def _shown(value: Any, *, is_time: bool) -> Any:
    if is_time and value is not None:
        return rfc3339(value)
    return value.hex() if isinstance(value, bytes) else value
