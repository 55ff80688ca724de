"""The gate: default deny, in the query that reads; whatever the history, the database and the ledger's rules agree."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from api.database import INGEST
from api.service import Service
from consent import permits, store
from consent.ledger import Choice
from consent.notices.published import EVERY_CELL, Notices, Revision
from consent.purposes import Purpose
from consent.signals import SIGNALS
from consent.tables import consent_cell
from recommender.store import HISTORY_COLUMNS
from recommender.tables import events
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, Clock, event
from tests.consent.choosing import DAY, FIRST, NOTICES, START, TEXTS, Person, Undo

PERSONALISE = frozenset({("views", "personalise")})
REVISIONS = (
    NOTICES,
    Notices([FIRST, Revision("2", TEXTS, frozenset())]),
    Notices([FIRST, Revision("2", TEXTS, frozenset()), Revision("3", TEXTS, PERSONALISE)]),
)


@pytest.fixture
async def person(service: Service) -> AsyncIterator[Person]:
    """Somebody new, whose transaction is taken back at the end."""
    with contextlib.suppress(Undo):
        async with service.database.write(APP, INGEST) as connection:
            yield Person(connection, service, service.pseudonyms.user(APP, "u1"))
            raise Undo


VIEWS = ("views", Purpose.PERSONALISE)
NOTHING: tuple[set[str], ...] = (set(), set(), set())


async def test_a_missing_grant_denies(person: Person) -> None:
    """A grant for one signal and purpose opens nothing else: not another signal, not another purpose, not another app."""
    subject_id = await person.choose(VIEWS)
    await person.leave_events(subject_id)
    assert await person.seen(Purpose.PERSONALISE, START, NOTICES) == ({"views"}, {"views"}, {"views"})
    assert await person.seen(Purpose.IMPROVE, START, NOTICES) == NOTHING
    assert await person.seen(Purpose.MEASURE, START, NOTICES) == NOTHING
    assert await person.kept(subject_id, START, NOTICES) == {"views"}
    assert (
        await permits.permits(person.connection, "elsewhere", [subject_id], START, NOTICES, earliest=START)
        == {}
    )
    assert await permits.permits(person.connection, APP, ["0" * 32], START, NOTICES, earliest=START) == {}


@pytest.mark.parametrize("choice", [Choice.REFUSED, Choice.WITHDRAWN])
async def test_refused_and_withdrawn_deny(person: Person, choice: Choice) -> None:
    """After a refusal or a withdrawal there is no grant, no reading and no permit, however often it was given before."""
    await person.choose(VIEWS)
    subject_id = await person.choose(VIEWS, now=START + 1)
    await person.leave_events(subject_id)
    await person.choose(VIEWS, choice=choice, now=START + 2)
    await person.leave_events(subject_id)
    assert await person.seen(Purpose.PERSONALISE, START + 3, NOTICES) == NOTHING
    assert await person.kept(subject_id, START + 3, NOTICES) == set()


async def test_expired_denies(person: Person) -> None:
    """From the very microsecond of its end a grant opens nothing."""
    subject_id = await person.choose(VIEWS)
    await person.leave_events(subject_id)
    end = START + 365 * DAY
    assert await person.seen(Purpose.PERSONALISE, end - 1, NOTICES) == ({"views"}, {"views"}, {"views"})
    assert await person.seen(Purpose.PERSONALISE, end, NOTICES) == NOTHING
    assert await person.kept(subject_id, end, NOTICES) == set()


async def test_invalidated_denies(person: Person) -> None:
    """A material revision closes what it touches and nothing else, until it is given again on the new notice."""
    cells = (VIEWS, ("saves", Purpose.PERSONALISE), ("views", Purpose.IMPROVE))
    subject_id = await person.choose(*cells)
    await person.leave_events(subject_id)
    revised = REVISIONS[2]
    assert await person.seen(Purpose.PERSONALISE, START, REVISIONS[1]) == ({"views", "saves"},) * 3
    assert await person.seen(Purpose.PERSONALISE, START, revised) == ({"saves"},) * 3
    assert await person.seen(Purpose.IMPROVE, START, revised) == ({"views"},) * 3
    assert await person.kept(subject_id, START, revised) == {"views", "saves"}
    await person.choose(VIEWS, now=START + 1, notices=revised)
    assert await person.seen(Purpose.PERSONALISE, START + 1, revised) == ({"views", "saves"},) * 3


@ON_SQLITE
@pytest.mark.parametrize(
    "changed",
    [{"state": "unknown"}, {"state": "GIVEN"}, {"expires_at": None}, {"notice_version": "0"}, {"signal": "location"}, {"purpose": "sell"}],
    ids=str,
)  # fmt: skip
async def test_a_cell_that_nobody_understands_denies(person: Person, changed: Mapping[str, Any]) -> None:
    """A cell with an unknown state, signal, purpose or notice, or without an end, grants nothing."""
    subject_id = await person.choose(VIEWS)
    await person.leave_events(subject_id)
    await person.connection.execute(update(consent_cell).values(**changed))
    for purpose in Purpose:
        assert await person.seen(purpose, START, NOTICES) == NOTHING
    assert await person.kept(subject_id, START, NOTICES) == set()


@ON_SQLITE
async def test_without_any_notice_in_force_nothing_is_granted(person: Person) -> None:
    """When every cell was touched by a newer notice, all that was given before is closed."""
    everything = [(signal, purpose) for signal in SIGNALS for purpose in Purpose]
    subject_id = await person.choose(*everything)
    await person.leave_events(subject_id)
    assert await person.kept(subject_id, START, NOTICES) == set(SIGNALS)
    replaced = Notices([FIRST, Revision("2", TEXTS, EVERY_CELL)])
    assert await person.kept(subject_id, START, replaced) == set()
    for purpose in Purpose:
        assert await person.seen(purpose, START, replaced) == NOTHING


CELLS = st.tuples(st.sampled_from(["views", "saves", "check_ins"]), st.sampled_from(Purpose))
STEPS = st.lists(
    st.tuples(st.lists(CELLS, min_size=1, max_size=4, unique=True), st.sampled_from(Choice), st.integers(0, 200), st.integers(0, 1)),
    min_size=1,
    max_size=8,
)  # fmt: skip


@ON_SQLITE
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, later=st.integers(0, 400), last=st.integers(0, 1))
async def test_the_database_agrees_with_the_ledger(
    service: Service,
    steps: Sequence[tuple[Sequence[tuple[str, Purpose]], Choice, int, int]],
    later: int,
    last: int,
) -> None:
    """For random histories, moments and revisions of the notice, the SQL gate opens exactly what the ledger's rules allow."""
    with contextlib.suppress(Undo):
        async with service.database.write(APP) as connection:
            someone = Person(connection, service, bytes(32))
            now, revision, subject_id = START, 0, ""
            for names, choice, days, newer in steps:
                now, revision = now + days * DAY, min(revision + newer, len(REVISIONS) - 1)
                subject_id = await someone.choose(*names, choice=choice, now=now, notices=REVISIONS[revision])
            now, notices = now + later * DAY, REVISIONS[min(revision + last, len(REVISIONS) - 1)]
            # What the last withdrawal left is taken away and put in anew: the gate must hold on its own.
            await events.withdraw(connection, APP, subject_id, tuple(SIGNALS))
            await someone.leave_events(subject_id)
            cells = (await store.cells(connection, APP, subject_id)).values()
            allowed = {
                purpose: {
                    cell.signal for cell in cells if cell.purpose is purpose and cell.in_force(now, notices)
                }
                for purpose in Purpose
            }
            for purpose in Purpose:
                assert await someone.seen(purpose, now, notices) == (allowed[purpose],) * 3
            assert await someone.kept(subject_id, now, notices) == set().union(*allowed.values())
            raise Undo


async def test_the_newest_events_of_each_signal_come_first(
    service: Service, client: Caller, clock: Clock
) -> None:
    """One person's history is newest first and of each signal no longer than asked for, with one line per grant besides."""
    await client.consent("u1", "views", "saves", "completions")
    days = {"views": range(9, 21), "saves": range(1, 9), "completions": range(5, 7)}
    await client.events(
        *(
            event("u1", signal, "box-breathing", occurred_at=f"2026-11-{day:02}T08:00:00Z")
            for signal, of_signal in days.items()
            for day in of_signal
        )
    )
    lateral = not service.database.is_sqlite
    statement = events.of_person(Purpose.PERSONALISE, service.notices, HISTORY_COLUMNS, 7, lateral=lateral)
    values = {"app_id": APP, "user_hash": service.pseudonyms.user(APP, "u1"), "now": clock()}
    async with service.database.read(APP, Purpose.PERSONALISE) as connection:
        rows: Sequence[Any] = (await connection.execute(statement, values)).all()
    found = [(row[0], row[-1]) for row in rows if row[-1] is not None]
    times = [at for _, at in found]
    assert times == sorted(times, reverse=True)
    read = {
        signal: [datetime.fromtimestamp(at / 1e6, UTC).day for of, at in found if of == signal]
        for signal in days
    }
    assert read == {"views": [*range(20, 13, -1)], "saves": [*range(8, 1, -1)], "completions": [6, 5]}
    assert {row[0] for row in rows if row[-1] is None} == set(days)
