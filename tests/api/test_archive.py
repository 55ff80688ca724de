"""The archive of everything held on a person: complete by the walk over the schema, readable, in bounded memory, and nobody else's."""

import gc
import io
import json
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from api import archive, exporting
from api.database import INGEST
from api.pages.wording import LANGUAGES, words
from api.service import PERSONAL_STORES, Service
from consent.permits import Permit
from consent.personal import AT_A_TIME
from consent.signals import SIGNALS
from consent.tables import metadata
from consent.verification.receipts import verify_receipts
from recommender.tables import events
from tests.api.full import live_fully
from tests.api.test_schema_walk import covered
from tests.api.verifying import keys_of
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, event

ZIP = {"Accept": "application/zip"}
BESIDE = {"about.json", "schema.json", "README.txt", "index.html"}


async def unzipped(client: Caller, user_id: str, **headers: str) -> dict[str, str]:
    """Every file of a person's archive, by name."""
    answer = await client.get(f"/v1/users/{user_id}/export", headers={**ZIP, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name).decode() for name in opened.namelist()}


async def test_the_archive_holds_what_the_export_holds(service: Service, client: Caller) -> None:
    """Every table of persons has its file, row for row what the JSON export tells; beside them what explains them."""
    who = await live_fully(service, client, "u1")
    async with exporting.held(service, APP, who.user_hash) as found:
        tables = {section.name: section.table for section in found.sections}
    assert sorted(tables.values()) == covered()
    files = await unzipped(client, "u1")
    assert set(files) == BESIDE | {f"{name}.json" for name in tables}
    whole = (await client.get("/v1/users/u1/export")).json()
    assert {name: json.loads(files[f"{name}.json"]) for name in tables} == {n: whole[n] for n in tables}
    about = json.loads(files["about.json"])
    assert {**about, "exported_at": ""} == {**{n: whole[n] for n in about}, "exported_at": ""}
    assert set(about) | set(tables) == set(whole)


async def test_nothing_of_another_person_is_inside(service: Service, client: Caller) -> None:
    """No number, event or receipt of somebody else stands in any file."""
    other = await live_fully(service, client, "other")
    await client.events(event("other", "views", "body-scan", event_id="event-of-another"))
    theirs = (await client.get("/v1/users/other/export")).json()
    await live_fully(service, client, "u1")
    everything = "".join((await unzipped(client, "u1")).values())
    strange = [other.subject_id, other.user_hash.hex(), "event-of-another"]
    strange += [each["receipt_id"] for each in theirs["receipts"]]
    assert all(each in json.dumps(theirs) for each in strange)
    assert [each for each in strange if each in everything] == []


async def write_events(service: Service, subject_id: str, number: int) -> None:
    """Let somebody have so many events."""
    permit = Permit(APP, subject_id, "views")
    rows: list[tuple[Permit, Mapping[str, object]]] = [
        (
            permit,
            {
                "event_id": f"many-{number}-{each:06}",
                "resource_id": "box-breathing",
                "topic": None,
                "value": None,
                "occurred_at": 1_790_000_000_000_000 + each,
                "stored_at": 1_790_000_000_000_000 + each,
            },
        )
        for each in range(number)
    ]
    async with service.database.write(APP, INGEST) as connection:
        await events.add(connection, rows)


async def drained(chunks: AsyncIterator[bytes]) -> int:
    """How many bytes are written."""
    return sum([len(chunk) async for chunk in chunks])


async def peak(chunks: AsyncIterator[bytes]) -> int:
    """The most memory that writing takes at a time, in bytes."""
    gc.collect()  # so that garbage from before weighs the same in every measurement
    tracemalloc.start()
    try:
        await drained(chunks)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_memory_is_bounded_however_much_is_held(service: Service, client: Caller) -> None:
    """Writing five thousand events, in either form, takes hardly more memory at a time than writing a few hundred."""
    who = await live_fully(service, client, "u1")
    forms: tuple[Callable[[], AsyncIterator[bytes]], ...] = (
        lambda: archive.as_zip(service, APP, who.user_hash, words("en")),
        lambda: exporting.as_json(service, APP, who.user_hash),
    )
    await write_events(service, who.subject_id, 300)
    for form in forms:
        await drained(form())  # templates and drivers make themselves ready once
    few = [await peak(form()) for form in forms]
    await write_events(service, who.subject_id, 5_000)
    held = await drained(forms[1]())
    assert held > 900_000
    many = [await peak(form()) for form in forms]
    assert [after - before < held / 3 for before, after in zip(few, many, strict=True)] == [True, True]


async def proofs(service: Service, user_hash: bytes) -> AsyncIterator[bytes]:
    """What an export says of the log, as it is written."""
    async with exporting.held(service, APP, user_hash) as found:
        (section,) = [each for each in found.sections if each.name == "log"]
        async for chunk in exporting.array(section.rows):
            yield chunk


async def test_memory_is_bounded_however_often_somebody_chose(service: Service, client: Caller) -> None:
    """The proofs of two thousand choices take hardly more memory at a time than those of four hundred; each of them holds."""

    async def choose(times: int) -> None:
        for number in range(times):
            await client.consent("u1", *SIGNALS, state=("given", "withdrawn")[number % 2])

    user_hash = service.pseudonyms.user(APP, "u1")
    await choose(2 * AT_A_TIME // len(SIGNALS) + 1)
    before = await drained(proofs(service, user_hash))  # drivers make themselves ready
    few = await peak(proofs(service, user_hash))
    await choose(8 * AT_A_TIME // len(SIGNALS))
    many = await peak(proofs(service, user_hash))
    assert many - few < (await drained(proofs(service, user_hash)) - before) / 3
    whole = (await client.get("/v1/users/u1/export")).json()
    assert verify_receipts(whole, await keys_of(service)).entries == len(whole["consent_history"])
    *full, _ = (len(each["entries"]) for each in whole["log"])
    assert full == [AT_A_TIME] * len(full)


@ON_SQLITE
async def test_the_page_tells_the_newest_in_words(service: Service, client: Caller) -> None:
    """Of very many events the page shows the newest, says of how many, and names the file with all of them."""
    who = await live_fully(service, client, "u1")
    await write_events(service, who.subject_id, archive.NEWEST + 50)
    files = await unzipped(client, "u1")
    total = len(json.loads(files["events.json"]))
    assert total == archive.NEWEST + 53
    told = words("en")("export.newest", number=archive.NEWEST, of=total)
    assert told in files["index.html"]
    assert f"events.json: What was kept under your signals. ({total} rows)" in files["README.txt"]
    assert files["index.html"].count("Box breathing") >= archive.NEWEST - 3


@ON_SQLITE
@pytest.mark.parametrize("locale", list(LANGUAGES))
async def test_the_page_is_in_the_readers_language_and_stands_alone(
    service: Service, client: Caller, locale: str
) -> None:
    """Titles, signals and every file in plain words; nothing is loaded from elsewhere, and there is no script."""
    await live_fully(service, client, "u1")
    files = await unzipped(client, "u1", **{"Accept-Language": locale})
    page, told = files["index.html"], words(locale)
    assert f'<html lang="{locale}" dir="{told.direction}">' in page
    for text in (told("export.title"), told("export.choices"), SIGNALS["check_ins"].texts[locale].title):
        assert text in page
    sections = {name.removesuffix(".json") for name in files if name.endswith(".json")} - {"about", "schema"}
    for name in sections:
        assert told(f"export.files.{name}") in page
        assert f"{name}.json: {told(f'export.files.{name}')}" in files["README.txt"]
    assert not re.search(r'<script|<link|<img|@import|url\(|(?:src|href)="(?:https?:|//)', page)
    assert all(reference in files for reference in re.findall(r'href="([^"#]+)"', page))


@ON_SQLITE
async def test_who_was_never_seen_gets_an_archive_too(client: Caller) -> None:
    """It has the same files, and says of each that there is nothing."""
    files = await unzipped(client, "never-seen")
    names = {name for store in PERSONAL_STORES for name in store.tables}
    empty = [name for name, text in files.items() if name.endswith(".json") and json.loads(text) == []]
    assert len(empty) == len(names)
    assert words("en")("export.nothing") in files["index.html"]


@ON_SQLITE
async def test_what_nobody_can_write_is_refused(client: Caller) -> None:
    """JSON is what is had unasked; a format that there is not is told as such."""
    assert (await client.get("/v1/users/u1/export")).headers["content-type"] == "application/json"
    refused = await client.get("/v1/users/u1/export", headers={"Accept": "text/csv"})
    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")


DOCUMENTED = Path("docs/export.md").read_text("utf-8")


@ON_SQLITE
async def test_every_field_is_described(service: Service, client: Caller) -> None:
    """`schema.json` and docs/export.md describe every column of every table that is not withheld, and nothing else; rows are as they say."""
    who = await live_fully(service, client, "u1")
    files = await unzipped(client, "u1")
    schema = json.loads(files["schema.json"])
    async with exporting.held(service, APP, who.user_hash) as found:
        for section in found.sections:
            described = schema[f"{section.name}.json"]["items"]["properties"]
            columns = {column.name for column in metadata.tables[section.table].c} - set(section.withheld)
            assert set(described) >= columns, section.name
            for row in json.loads(files[f"{section.name}.json"]):
                assert set(row) == set(described), section.name
                for name, value in row.items():
                    assert fits(value, described[name]), (section.name, name)
            for name, field in archive.fields()[section.name].items():
                assert f"| `{name}` | {field['type']} | {field['means']} |" in DOCUMENTED
            assert f"`{section.name}.json`" in DOCUMENTED


def fits(value: Any, described: Mapping[str, Any]) -> bool:
    """Whether a value is of the type that its schema says."""
    if "type" not in described:
        return True
    types = {str: "string", int: "number", float: "number", type(None): "null"}
    found = types.get(type(value)) in described["type"]
    if found and described.get("format") == "date-time" and value is not None:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value))
    return found and (value is None or re.search(described.get("pattern", ""), str(value)) is not None)
