"""Everything held on a person as a ZIP: a page to read, and a JSON file for every store, written front to back.

The files come from the sections of the JSON export (`api.exporting`), in one read and a few rows at a time. The page
comes last, made from what was noted on the way: how many rows there were, and the newest of those it tells in words.
"""

import io
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson
import yaml
from jinja2 import Environment

from api import exporting
from api.pages.serving import asset, environment
from api.pages.wording import Words
from api.service import Service
from consent.personal import WHOSE
from consent.receipts.records import microseconds
from consent.signals import SIGNALS
from recommender import store as catalog

MEDIA_TYPE = "application/zip"
ABOUT, SCHEMA, PAGE, README = "about.json", "schema.json", "index.html", "README.txt"
NEWEST = 200
"""Rows of a file that the page tells in words."""
IN_WORDS: Mapping[str, Sequence[str]] = {
    "events": ("occurred_at", "signal", "resource_id", "topic", "value"),
    "consent_history": ("at", "signal", "purpose", "state", "expires_at"),
    "receipts": ("created_at", "receipt_id"),
}
"""The sections that the page tells in words, and what it takes for it."""


class _Outgoing(io.RawIOBase):
    """Where the ZIP is written: it goes out from here, and can't be gone back to."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        ready = bytes(self._written)
        self._written.clear()
        return ready


@dataclass
class Told:
    """What the page tells of a section: its name, its newest rows, and how many there are."""

    name: str
    withheld: Sequence[str]
    count: int = 0
    newest: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=NEWEST))

    async def noting(self, rows: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
        """Pass rows on, and note what the page needs of them."""
        wanted = IN_WORDS.get(self.name, ())
        async for row in rows:
            self.count += 1
            if wanted:
                self.newest.append({column: row[column] for column in wanted})
            yield row


async def as_zip(service: Service, app_id: str, user_hash: bytes, told: Words) -> AsyncIterator[bytes]:
    """Write everything held on a person as a ZIP; its page and its README are in the language of `told`."""
    out, sections, made_at = _Outgoing(), list[Told](), service.clock()
    # Plain ZIP and not ZIP64, which not every system opens: a file in it may have 2 GiB.
    with ZipFile(out, "w") as archive:
        async with exporting.held(service, app_id, user_hash) as found:
            archive.writestr(_entry(ABOUT, service), orjson.dumps(found.head, option=orjson.OPT_INDENT_2))
            for section in found.sections:
                sections.append(Told(section.name, sorted(section.withheld)))
                with archive.open(_entry(f"{section.name}.json", service), "w") as file:
                    async for chunk in exporting.array(sections[-1].noting(section.rows)):
                        file.write(chunk)
                        if ready := out.take():
                            yield ready
        titles = await _titles(service, app_id, sections)
        archive.writestr(_entry(SCHEMA, service), schema(each.name for each in sections))
        archive.writestr(_entry(README, service), _readme(told, found.head, sections, made_at))
        archive.writestr(_entry(PAGE, service), _page(told, found.head, sections, made_at, titles))
    yield out.take()


def _entry(name: str, service: Service) -> ZipInfo:
    entry = ZipInfo(name, service.now().timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry


async def _titles(service: Service, app_id: str, sections: Iterable[Told]) -> Mapping[str, str]:
    """Return the titles of the resources that the page names; the catalogue is nobody's, so any moment will do."""
    named = {row["resource_id"] for each in sections if each.name == "events" for row in each.newest}
    async with service.database.read(app_id) as connection:
        return await catalog.titles(connection, app_id, named - {None})


# What stands beside the rows ----------------------------------------------------


@cache
def fields() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Return what each field of each file is: its `type` (a key of `_TYPES`) and what it `means`."""
    read: Mapping[str, Mapping[str, Mapping[str, str]]] = yaml.safe_load(
        (resources.files("api") / "exported.yaml").read_text("utf-8")
    )
    return read


_TYPES: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "number": {"type": ["number", "null"]},
    "bytes": {"type": ["string", "null"], "pattern": "^([0-9a-f]{2})*$"},
    "json": {},
}


def schema(names: Iterable[str]) -> bytes:
    """Return a JSON Schema (2020-12) for each file of these sections, under its name."""
    return orjson.dumps({f"{name}.json": _schema_of(name) for name in names}, option=orjson.OPT_INDENT_2)


def _schema_of(name: str) -> Mapping[str, Any]:
    described = {
        each: {"description": known["means"], **_TYPES[known["type"]]}
        for each, known in fields()[name].items()
    }
    row = {
        "type": "object",
        "properties": described,
        "required": list(described),
        "additionalProperties": False,
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array", "items": row}


def _readme(told: Words, head: Mapping[str, Any], sections: Iterable[Told], made_at: int) -> str:
    lines = [
        told("export.title"),
        "",
        told("export.lead", app=head["app"], time=told.time(made_at)),
        told("export.readme", page=PAGE, schema=SCHEMA),
        "",
        f"{ABOUT}: {told('export.about')}",
        *(
            f"{each.name}.json: {told(f'export.files.{each.name}')} ({told.count('export.rows', each.count)})"
            for each in sections
        ),
    ]
    return "\n".join(lines) + "\n"


def _page(
    told: Words, head: Mapping[str, Any], sections: Sequence[Told], made_at: int, titles: Mapping[str, str]
) -> str:
    return (
        _templates()
        .get_template("archive.html")
        .render(
            t=told,
            css=asset("assent.css")[0].decode(),
            app=head["app"],
            made_at=made_at,
            consents=head["consents"],
            sections=sections,
            by_name={each.name: each for each in sections},
            titles=titles,
            signals={signal.id: signal.texts[told.locale].title for signal in SIGNALS.values()},
            everywhere=sorted(WHOSE),
            about=ABOUT,
            schema=SCHEMA,
        )
    )


@cache
def _templates() -> Environment:
    made = environment()
    made.filters["microseconds"] = microseconds
    return made
