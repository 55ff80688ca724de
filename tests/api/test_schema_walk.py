"""A walk over the schema: every table is a person's, and then an erasure empties it and an export shows it, or is declared to hold nobody."""

from collections.abc import Collection, Mapping

from sqlalchemy import Column, MetaData, String, Table

from api import store
from api.exporting import held
from api.service import PERSONAL_STORES, Service
from consent.personal import Person
from consent.tables import metadata
from tests.api import witness
from tests.api.full import live_fully
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller

ABOUT = ("subject_id", "user_hash")
"""Columns that say whose row it is."""
PERSONAL = "personal"
"""A column that holds something personal under another name is declared with `info={"personal": True}`."""

IMPERSONAL: Mapping[str, str] = {
    "alembic_version": "the schema's revision",
    "api_key": "hashes of the keys of partner apps",
    "app": "partner apps",
    "erasure": "what was removed, never whose it was",
    "job": "work that waits, is under way or over; about erasures and trainings, never persons",
    "log_checkpoint": "signed heads of an app's log",
    "log_erased": "which leaves of the log nobody can open any more, never whose they were",
    "log_node": "keyed commitments and hashes: without their keys, random bytes",
    "model_state": "which release an app is served with",
    "notice_ended": "which grants a revision of a notice ended, by version",
    "notice_revision": "versions of an app's own notices",
    "notice_text": "texts of an app's own notices",
    "release": "trained models: parameters of catalogue features",
    "erasure_register": "the random name of the register that the database is used with",
    "removal": "how much was removed by the clock on which day",
    "resource": "the catalogue",
    "signing_key": "the keys that sign receipts, wrapped",
    "webhook_subscription": "where webhooks of an app go",
    "unlearned": "into which of 4,096 parts of the people somebody fell whom the model has to forget",
    "used_link": "random numbers of links that were used",
}
"""Tables that hold nothing about a person, with what they hold instead. A new table goes here, or into a store's `tables`."""


def covered() -> list[str]:
    """The tables of persons, by the stores' own word."""
    return sorted(table for store in PERSONAL_STORES for table in store.tables)


def unaccounted(tables: Collection[str]) -> set[str]:
    """Tables of which nobody said whether they hold a person's data."""
    return set(tables) - set(covered()) - set(IMPERSONAL)


def personal_columns(table: Table) -> set[str]:
    """The columns of a table that are about a person, by their name or by declaration."""
    return {column.name for column in table.c if column.name in ABOUT or column.info.get(PERSONAL)}


def rows_of(rows: witness.Rows, who: Person) -> dict[str, int]:
    """How many rows of each table are about one person."""
    return {
        table: sum(
            row.get("subject_id") == who.subject_id or row.get("user_hash") == who.user_hash for row in found
        )
        for table, found in rows.items()
    }


async def test_every_table_is_accounted_for(service: Service, database_url: str) -> None:
    """Each table of the migrated database belongs to one store of personal data, or is declared to hold nobody."""
    tables = await witness.everything(database_url)
    assert unaccounted(tables) == set()
    assert len(covered()) == len(set(covered()))
    assert set(covered()) | set(IMPERSONAL) == set(tables)


def test_what_holds_nobody_has_no_column_about_anybody() -> None:
    """A table that is declared to hold nobody has no subject, no pseudonym, and no column declared personal."""
    for table in metadata.tables.values():
        if table.name in IMPERSONAL:
            assert personal_columns(table) == set(), table.name


def test_a_new_table_is_noticed() -> None:
    """The checks above find a table that nobody declared, and a personal column under any name once it is declared."""
    assert unaccounted([*metadata.tables, "forgotten"]) == {"forgotten"}
    made = Table(
        "made", MetaData(), Column("diary", String, info={PERSONAL: True}), Column("subject_id", String), Column("n", String)
    )  # fmt: skip
    assert personal_columns(made) == {"diary", "subject_id"}


async def test_no_table_is_forgotten(service: Service, client: Caller, database_url: str) -> None:
    """A full person has rows in every table of persons; after the erasure none has any, and others' rows are as before."""
    await live_fully(service, client, "stays")
    others = await witness.everything(database_url)
    who = await live_fully(service, client, "goes")
    held = rows_of(await witness.everything(database_url), who)
    assert {table for table, number in held.items() if number} == set(covered())
    done = (await client.http.delete("/v1/users/goes")).json()["erasure"]
    after = await witness.everything(database_url)
    assert not any(rows_of(after, who).values())
    for table in covered():
        # Of a key that was used stays that it was: it is no word about anybody.
        kept = [row for row in after[table] if row.get("status") != store.SPENT]
        assert sorted(map(repr, kept)) == sorted(map(repr, others[table]))
    spent = [row for row in after["idempotent_answer"] if row["status"] == store.SPENT]
    assert [(row["user_hash"], bytes(row["body"]), bytes(row["request_hash"])) for row in spent] == [
        (None, b"", b"")
    ]
    assert sum(done["counts"].values()) == sum(held.values())
    assert set(done["counts"]) == {each.name for each in PERSONAL_STORES}


async def test_the_export_shows_every_table(service: Service, client: Caller, database_url: str) -> None:
    """An export has a section for every table of persons, with every row, and every column that it does not say it withholds."""
    await live_fully(service, client, "other")
    who = await live_fully(service, client, "u1")
    expected = rows_of(await witness.everything(database_url), who)
    shown: dict[str, int] = {}
    async with held(service, APP, who.user_hash) as found:
        for section in found.sections:
            rows = [row async for row in section.rows]
            shown[section.table] = len(rows)
            columns = {column.name for column in metadata.tables[section.table].c}
            for row in rows:
                assert set(row) | set(section.withheld) >= columns, section.name
    assert shown == {table: expected[table] for table in covered()}


@ON_SQLITE
async def test_the_export_of_nobody_has_the_same_shape(service: Service, client: Caller) -> None:
    """For someone never seen, the export has the same members, and nothing in them but that everything is off."""
    await live_fully(service, client, "u1")
    full = (await client.get("/v1/users/u1/export")).json()
    nobody = (await client.get("/v1/users/never-seen/export")).json()
    assert list(full) == list(nobody)
    assert full["subject_id"]
    assert nobody["subject_id"] is None
    sections = set(full) - {"format", "exported_at", "app", "subject_id", "consents"}
    assert sections
    assert all(full[name] and not nobody[name] for name in sections)
    assert {cell["state"] for cell in nobody["consents"]} == {"unknown"}


@ON_SQLITE
async def test_answers_of_who_has_no_row_go_too(service: Service, client: Caller, database_url: str) -> None:
    """An answer that was kept for somebody whose row is gone goes with an erasure, and is counted."""
    await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    async with service.database.write(APP) as connection:
        await store.keep_answer(
            connection,
            APP,
            b"k" * 32,
            store.Kept(b"r" * 32, 200, b"{}"),
            service.pseudonyms.user(APP, "u1"),
            0,
        )
    done = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    assert done["counts"]["kept_answers"] == 1
    rows = (await witness.everything(database_url))["idempotent_answer"]
    assert {(row["status"], row["user_hash"], bytes(row["body"])) for row in rows} == {
        (store.SPENT, None, b"")
    }
