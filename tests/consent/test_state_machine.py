"""The ledger against a small model of it: random people, choices, prompts, times, notices, guardians, races and erasures.

After each step the cells, the decision call, the SQL gate, the history and the events that are kept must be what the
model says, on both databases.
"""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api import administration, erasing, people
from api.database import INGEST
from api.service import Service
from consent import decisions, prompts, store
from consent.changes import Request
from consent.decisions import Denied
from consent.errors import AskedTooSoon, DeniedMeanwhile, GuardianNeeded, NotForMinors
from consent.ledger import ENDINGS, SELF, Actor, Change, Choice, ConsentEvent, fold
from consent.minors import AgeBand
from consent.notices.board import NoticeBoard
from consent.notices.published import EVERY_CELL, Notices, Revision
from consent.permits import permits
from consent.personal import Person
from consent.prompts import Prompt
from consent.purposes import Purpose
from recommender.store import HISTORY_COLUMNS
from recommender.tables import events
from tests.conftest import fresh_database, settings_for
from tests.consent.ledger_model import CELLS, DAY, ON, Name, Somebody

START = 1_790_000_000_000_000
APP = "machine"
GUARDIAN = Actor("guardian", "ab" * 32)

cells = st.lists(st.sampled_from(CELLS), min_size=1, max_size=4, unique=True)
users = st.sampled_from(["u1", "u2"])
actors = st.sampled_from([SELF, GUARDIAN])


class Clock:
    """Stands still until it is set forward."""

    now = START

    def __call__(self) -> int:
        """Return the moment."""
        return self.now


class World:
    """A service on a database, which all examples share; each works under users of its own."""

    def __init__(self, kind: str, folder: Path, request: pytest.FixtureRequest) -> None:
        self.runner = asyncio.Runner()
        self._database = fresh_database(kind, folder, request)
        url = self.runner.run(self._database.__aenter__())
        self.clock = Clock()
        self.service = Service.create(settings_for(url, folder), clock=self.clock)
        self.runner.run(administration.ensure_app(self.service, APP, "Machine"))
        self.examples = 0

    def close(self) -> None:
        """Let go of it."""
        self.runner.run(self.service.close())
        self.runner.run(self._database.__aexit__(None, None, None))
        self.runner.close()


class Ledger(RuleBasedStateMachine):
    """What can happen, done to the ledger and told to the model."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.examples += 1
        self.world.clock.now = START  # what earlier examples left is somebody else's
        self.people = {"u1": Somebody(), "u2": Somebody()}
        self.revisions = [Revision("0", {"en": "0"}, EVERY_CELL)]
        self.touched = [EVERY_CELL]
        self.events = 0

    @property
    def now(self) -> int:
        return self.world.clock.now

    @property
    def service(self) -> Service:
        notices = Notices(self.revisions)
        return dataclasses.replace(self.world.service, notices=notices, board=NoticeBoard(notices))

    def run(self, work: Any) -> Any:
        return self.world.runner.run(work)

    def hash(self, user: str) -> bytes:
        return self.world.service.pseudonyms.user(APP, f"{self.world.examples}-{user}")

    async def send(
        self, user: str, choice: Choice, names: list[Name], actor: Actor = SELF, known: int | None = None
    ) -> None:
        changes = [Change(*name, choice) for name in names]
        request = Request(changes, self.revisions[-1].version, "en", "test", actor, known=known)
        service = self.service
        async with service.database.write(APP) as connection:
            await people.change(service, connection, APP, self.hash(user), request)

    @rule(user=users, choice=st.sampled_from(Choice), names=cells, actor=actors)
    def choose(self, user: str, choice: Choice, names: list[Name], actor: Actor) -> None:
        if choice is Choice.GIVEN and not self.people[user].may_be_given(names, actor):
            with pytest.raises((GuardianNeeded, NotForMinors)):
                self.run(self.send(user, choice, names, actor))
            return
        self.run(self.send(user, choice, names, actor))
        self.people[user].said(choice, names, actor, self.now, self.touched)

    @rule(user=users, names=cells, own_wish=st.booleans(), actor=actors)
    def ask(self, user: str, names: list[Name], own_wish: bool, actor: Actor) -> None:
        person = self.people[user]
        prompt = Prompt(names, self.revisions[-1].version, "en", "somewhere", "dialog", own_wish, actor)

        async def show() -> None:
            service = self.service
            async with service.database.write(APP) as connection:
                writer = await people.registrar(service, connection, APP)
                await prompts.record(
                    connection, self.hash(user), prompt, now=self.now, registrar=writer, quiet=service.quiet
                )

        wrong: list[type[Exception]] = []  # where several things are, either is told
        if person.minor and not person.may_be_given(names, actor):
            wrong += [GuardianNeeded, NotForMinors]
        if not own_wish and any(person.in_peace(name, self.now, self.touched) for name in names):
            wrong += [AskedTooSoon]
        if wrong:
            with pytest.raises(tuple(wrong)):
                self.run(show())
        else:
            self.run(show())
            person.asked(names, self.now)

    @rule(days=st.sampled_from([0.01, 1, 29, 31, 150, 181, 335, 364, 365]))
    def time_passes(self, days: float) -> None:
        self.world.clock.now += int(days * DAY)

    @rule(touches=st.sets(st.sampled_from(CELLS)))
    def revise(self, touches: set[Name]) -> None:
        """A revision that touches nothing is an editorial one."""
        version = str(len(self.revisions))
        self.touched.append(frozenset((signal, purpose.value) for signal, purpose in touches))
        self.revisions.append(Revision(version, {"en": version}, self.touched[-1]))

    @rule()
    def the_worker_records_endings(self) -> None:
        async def work() -> None:
            service = self.service
            async with service.database.write(APP) as connection:
                await people.end_due(service, connection, APP, limit=100_000)

        self.run(work())
        for person in self.people.values():
            person.endings_recorded(self.now, self.touched)

    @rule(user=users, band=st.sampled_from(AgeBand))
    def the_app_tells_an_age(self, user: str, band: AgeBand) -> None:
        async def tell() -> None:
            service = self.service
            async with service.database.write(APP) as connection:
                await people.mark_age(service, connection, APP, self.hash(user), band)

        self.run(tell())
        self.people[user].told_to_be(band, self.now, self.touched)

    @rule(user=users)
    def erase(self, user: str) -> None:
        async def forget() -> None:
            service = self.service
            async with service.database.write(APP) as connection:
                await erasing.erase(service, connection, APP, self.hash(user))

        self.run(forget())
        self.people[user] = Somebody()

    @rule(user=users)
    def the_app_sends_events(self, user: str) -> None:
        """The gate lets in what is granted, and nothing else."""

        async def send() -> set[str]:
            row = {
                "resource_id": None,
                "topic": None,
                "value": None,
                "occurred_at": self.now,
                "stored_at": self.now,
            }
            async with self.service.database.write(APP, INGEST) as connection:
                subject_id = await store.find_subject(connection, APP, self.hash(user))
                if subject_id is None:
                    return set()
                found = await permits(
                    connection, APP, [subject_id], self.now, self.service.notices, earliest=self.now
                )
                granted = set(found[subject_id].grants) if subject_id in found else set()
                for signal in granted:
                    self.events += 1
                    name = f"{self.world.examples}-{self.events}"
                    await events.add(
                        connection, [(found[subject_id].require(signal, self.now), {"event_id": name, **row})]
                    )
                return granted

        granted = {signal for signal, _ in self.people[user].granted(self.now, self.touched)}
        assert self.run(send()) == granted
        self.people[user].kept |= granted

    @precondition(lambda self: any(not person.minor for person in self.people.values()))
    @rule(
        name=st.sampled_from(CELLS),
        racing=st.lists(
            st.sampled_from([Choice.GIVEN, Choice.WITHDRAWN, Choice.REFUSED]), min_size=2, max_size=4
        ),
    )
    def several_at_once(self, name: Name, racing: list[Choice]) -> None:
        """Each on a connection of its own, all on what was known before: they get one order, and deny wins."""
        user, person = next((user, person) for user, person in self.people.items() if not person.minor)

        async def before() -> int:
            async with self.service.database.read(APP) as connection:
                return people.as_of(await people.cells(self.service, connection, APP, self.hash(user)))

        known = self.run(before())

        async def race() -> list[BaseException | None]:
            sent = (self.send(user, choice, [name], known=known) for choice in racing)
            return await asyncio.gather(*sent, return_exceptions=True)

        outcomes = self.run(race())
        for choice, outcome in zip(racing, outcomes, strict=True):
            assert outcome is None or (choice is Choice.GIVEN and isinstance(outcome, DeniedMeanwhile))
        made = self.run(self.look(user)).history[person.lines :]
        recorded = [line for line in made if line.state not in ENDINGS]
        assert len(recorded) == outcomes.count(None)
        for line in recorded:  # the order is the ledger's; what it leads to is the model's to say
            choice = Choice.GIVEN if line.state.value in ON else Choice(line.state.value)
            person.said(choice, [name], SELF, self.now, self.touched)
        everyone_gave = all(choice is Choice.GIVEN for choice in racing)
        assert (name in person.granted(self.now, self.touched)) == everyone_gave

    @dataclasses.dataclass
    class Look:
        """What the database says of a person."""

        stands: dict[Name, str]
        reasons: dict[Name, str | None]
        history: list[ConsentEvent]
        kept: set[str]

    async def look(self, user: str) -> Look:
        service, user_hash = self.service, self.hash(user)
        async with service.database.read(APP) as connection:
            found = await people.cells(service, connection, APP, user_hash)
            reasons = {name: await self.reason(connection, service, user_hash, name) for name in CELLS}
            history, kept = [], set()
            subject_id = await store.find_subject(connection, APP, user_hash)
            if subject_id is not None:
                history = await store.history(connection, APP, subject_id)
                assert await store.cells(connection, APP, subject_id) == fold(history)
                (section,) = events.export(connection, Person(APP, user_hash, subject_id))
                kept = {row["signal"] async for row in section.rows}
        return self.Look(
            {(cell.signal, cell.purpose): cell.state.value for cell in found}, reasons, history, kept
        )

    async def reason(
        self, connection: AsyncConnection, service: Service, user_hash: bytes, name: Name
    ) -> str | None:
        """Why the decision call denies; None when it permits."""
        try:
            await decisions.decide(connection, APP, user_hash, *name, now=self.now, notices=service.notices)
        except Denied as denied:
            return denied.code.value
        return None

    async def gate(self, user: str, purpose: Purpose) -> tuple[set[str], set[str]]:
        """The signals that the gate opens for a purpose, and those of the events that come out."""
        lateral = not self.service.database.is_sqlite
        statement = events.of_person(purpose, self.service.notices, HISTORY_COLUMNS, 1000, lateral=lateral)
        values = {"app_id": APP, "user_hash": self.hash(user), "now": self.now}
        async with self.service.database.read(APP, purpose) as connection:
            rows: list[Any] = list((await connection.execute(statement, values)).all())
        return {row[0] for row in rows if row[0]}, {row[0] for row in rows if row[-1] is not None}

    @invariant()
    def the_ledger_is_what_the_model_says(self) -> None:
        for user, person in self.people.items():
            found = self.run(self.look(user))
            stands = {name: person.stands(name, self.now, self.touched) for name in CELLS}
            assert {name: found.stands[name] for name in CELLS} == stands
            assert found.reasons == {name: None if state in ON else state for name, state in stands.items()}
            assert found.kept == person.kept
            assert len(found.history) == person.lines
            places = [line.seq for line in found.history]
            assert places == sorted(set(places))
            for purpose in (Purpose.PERSONALISE, Purpose.IMPROVE):
                opened, read = self.run(self.gate(user, purpose))
                assert opened == {
                    signal for signal, each in CELLS if each is purpose and stands[signal, each] in ON
                }
                assert read == opened & person.kept


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A database of each kind in turn."""
    made = World(request.param, tmp_path, request)
    yield made
    made.close()


def test_the_ledger_does_what_a_small_model_of_it_does(world: World) -> None:
    """Grant, refuse, withdraw, defer, ask, expire, revise, renew, erase, guardians, coming of age, and races."""
    few = settings(
        max_examples=15, stateful_step_count=20, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )  # fmt: skip
    run_state_machine_as_test(type("LedgerHere", (Ledger,), {"world": world}), settings=few)
    assert world.examples >= 15
