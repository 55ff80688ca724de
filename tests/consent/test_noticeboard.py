"""An app's own notices: kept for ever, and the database and the ledger's rules agree on what still stands on them."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.service import Service
from consent import permits, store
from consent.errors import MissingFact, UnknownNotice
from consent.ledger import Cell, State
from consent.notices.board import Draft, NoticeBoard
from consent.notices.published import EVERY_CELL, CellName, Notices, Revision
from consent.purposes import Purpose
from consent.tables import consent_cell, notice_ended, notice_revision, notice_text, subject
from tests.api.calls import NOTICE_REQUEST
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, OTHER_APP

TEXTS = NOTICE_REQUEST["texts"]
VIEWS: CellName = ("views", "personalise")
SAVES: CellName = ("saves", "improve")
NOW = 1_790_000_000_000_000
SHIPPED = (
    Revision("a", {"en": "A"}, EVERY_CELL),
    Revision("b", {"en": "B"}, frozenset({SAVES})),
    Revision("c", {"en": "C"}, frozenset()),
)


@pytest.fixture
async def connection(service: Service) -> AsyncIterator[AsyncConnection]:
    """A transaction of an app that words no notices yet."""
    async with service.database.write(APP) as opened:
        yield opened


async def publish(connection: AsyncConnection, shipped: Notices, *touches: CellName) -> str:
    """Publish a wording, material when it touches something; return its version."""
    done = await NoticeBoard(shipped).publish(connection, APP, Draft(TEXTS, frozenset(touches)), NOW)
    return done.revision.version


async def test_an_app_without_words_of_its_own_shows_what_ships(
    service: Service, connection: AsyncConnection
) -> None:
    """Nothing is kept for it, and nothing is copied."""
    assert await service.board.of(connection, APP) is service.notices


async def test_a_wording_takes_the_place_of_the_shipped_one(
    service: Service, connection: AsyncConnection
) -> None:
    """It is current at once, in its own languages; the shipped one stays found; other apps see none of it."""
    version = await publish(connection, service.notices)
    notices = await service.board.of(connection, APP)
    assert (notices.current_version, notices.locales) == (version, ("en",))
    assert notices.shown("hi") == notices.current("en")
    assert "What you open" in notices.current("en").text
    assert notices.find("2026-11-22", "es") == service.notices.current("es")
    with pytest.raises(UnknownNotice):
        notices.current("es")
    assert await service.board.of(connection, OTHER_APP) is service.notices


async def test_every_version_is_kept_as_it_was(service: Service, connection: AsyncConnection) -> None:
    """A later one leaves the text and the digest of the earlier as they were, also for a process that never saw it."""
    first = await publish(connection, service.notices)
    before = (await service.board.of(connection, APP)).find(first, "en")
    await publish(connection, service.notices, VIEWS)
    again = (await NoticeBoard(service.notices).of(connection, APP)).find(first, "en")
    assert (again, again.sha256) == (before, before.sha256)


async def test_a_text_that_drops_a_fact_publishes_nothing(
    service: Service, connection: AsyncConnection
) -> None:
    """The fact and the language are named, and no row is written."""
    draft = Draft({**TEXTS, "es": TEXTS["en"].replace("{rights}", "")}, frozenset())
    with pytest.raises(MissingFact) as missing:
        await service.board.publish(connection, APP, draft, NOW)
    assert missing.value.field == "texts.es.rights"
    assert await service.board.own(connection, APP) == []


@pytest.mark.parametrize("table", [notice_revision, notice_text, notice_ended], ids=lambda table: table.name)
@pytest.mark.parametrize("deed", [update, delete], ids=["change", "delete"])
async def test_the_database_refuses_to_change_what_was_published(
    service: Service, table: object, deed: object
) -> None:
    """Neither an update nor a deletion of a revision, a text or an ending goes through."""
    async with service.database.write(APP) as connection:
        await publish(connection, service.notices, VIEWS)
    statement = deed(table)  # type: ignore[operator]  # update or delete of one of the tables above
    with pytest.raises(DBAPIError):
        async with service.database.write(APP) as connection:
            await connection.execute(statement.values(version="x") if deed is update else statement)


def test_shipped_words_give_way_to_an_apps_own_unless_they_change_something() -> None:
    """A shipped revision after the app's own takes its place only when it, or one since, changes what a yes means."""
    mine = Revision("a.1", {"en": "Mine"}, frozenset(), "a")
    assert Notices(SHIPPED[:1]).with_own([mine]).current_version == "a.1"
    assert Notices(SHIPPED).with_own([mine]).current_version == "c"
    late = Revision("b.1", {"en": "Mine"}, frozenset(), "b")
    assert Notices(SHIPPED).with_own([mine, late]).current_version == "b.1"


STEPS = st.lists(
    st.one_of(
        st.just("ship"), st.frozensets(st.sampled_from([VIEWS, SAVES, ("views", "measure")]), max_size=2)
    ),
    max_size=5,
)


@ON_SQLITE
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_the_database_and_the_rules_agree_on_what_stands(
    service: Service, steps: list[str | frozenset[CellName]]
) -> None:
    """Whatever was shipped and published in whatever order, a grant on any version is in force in SQL when it is in Python."""
    async with service.database.engine.connect() as connection, connection.begin() as transaction:
        shipped, versions = 1, ["a"]
        for step in steps:
            if step == "ship":
                shipped = min(shipped + 1, len(SHIPPED))
                versions.append(SHIPPED[shipped - 1].version)
            else:
                versions.append(await publish(connection, Notices(SHIPPED[:shipped]), *step))
        notices = Notices(SHIPPED[:shipped])
        mine = await NoticeBoard(notices).of(connection, APP)
        for version in dict.fromkeys([*versions, "never"]):
            for signal, purpose in (VIEWS, SAVES):
                cell = Cell(signal, Purpose(purpose), State.GIVEN, NOW, NOW + 1, version, "r")
                expected = cell.in_force(NOW, mine)
                assert await granted(connection, notices, cell) == expected, (version, signal, steps)
        await transaction.rollback()


async def granted(connection: AsyncConnection, notices: Notices, cell: Cell) -> bool:
    """Whether the gate's SQL lets a cell through."""
    person = {"app_id": APP, "subject_id": "s"}
    await connection.execute(delete(consent_cell).where(consent_cell.c.subject_id == "s"))
    if await store.find_subject(connection, APP, b"s" * 32) is None:
        await connection.execute(insert(subject).values(**person, user_hash=b"s" * 32, created_at=0))
    await connection.execute(
        insert(consent_cell).values(
            **person,
            signal=cell.signal,
            purpose=cell.purpose.value,
            state=cell.state.value,
            since=cell.since,
            expires_at=cell.expires_at,
            notice_version=cell.notice_version,
            receipt_id=cell.receipt_id,
        )
    )
    condition = permits.in_force(notices, [cell.purpose])
    found = await connection.execute(
        select(consent_cell.c.signal).where(consent_cell.c.app_id == APP, condition), {"now": NOW}
    )
    return found.first() is not None
