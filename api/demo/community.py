"""A simulated community for the demo: invented people with consent choices and events of their own, by one seed.

Everything goes through the same gate as a real app's: choices by `api.people.change`, events by
`recommender.events.ingest`, so that what a simulated person does not share is refused and never stored. The ids of
these people begin with `simulated-`, and so do those of their events.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from api import people
from api.database import INGEST
from api.service import Service
from consent.changes import Request
from consent.ledger import Actor, Change, Choice
from consent.purposes import Purpose
from consent.signals import SIGNALS, About
from recommender import events, store
from recommender.catalog import Kind, Resource
from recommender.events import Incoming

Progress = Callable[[int, int], None]
"""Told how many people are done, and of how many."""

DAY = 86_400_000_000
MINUTE = 60_000_000
WEEKS = 8
_PEOPLE_AT_ONCE = 50
_EVENTS_AT_ONCE = 1_000


class Sharing(StrEnum):
    """How much a simulated person shares."""

    NOTHING = "nothing"
    VIEWS = "views"
    SOME = "some"
    EVERYTHING = "everything"


_SHARE_OF_PEOPLE = {Sharing.NOTHING: 0.15, Sharing.VIEWS: 0.2, Sharing.SOME: 0.4, Sharing.EVERYTHING: 0.25}
_ALLOWS = {Purpose.PERSONALISE: 0.9, Purpose.IMPROVE: 0.75, Purpose.MEASURE: 0.6}
"""How many of those who share a signal allow each of its uses; independently of each other."""


@dataclass(frozen=True)
class Person:
    """One simulated person."""

    user_id: str
    sharing: Sharing
    grants: Sequence[tuple[str, Purpose]]


def user_id(number: int) -> str:
    """Return the id of a simulated person, counted from 1."""
    return f"simulated-{number:03d}"


def person(number: int, seed: int) -> Person:
    """Return a simulated person; the same for the same number and seed. The first four show one way of sharing each."""
    draw = np.random.default_rng([seed, number, 1])
    ways = list(Sharing)
    sharing = ways[int(draw.choice(len(ways), p=list(_SHARE_OF_PEOPLE.values())))]
    if number <= len(ways):
        sharing = ways[number - 1]
    return Person(user_id(number), sharing, _grants(sharing, draw, always=number <= len(ways)))


def _grants(sharing: Sharing, draw: np.random.Generator, *, always: bool) -> Sequence[tuple[str, Purpose]]:
    match sharing:
        case Sharing.NOTHING:
            signals: list[str] = []
        case Sharing.VIEWS:
            signals = ["views"]
        case Sharing.SOME:
            others = [signal for signal in SIGNALS if signal != "views"]
            signals = ["views", *draw.choice(others, size=int(draw.integers(2, 6)), replace=False).tolist()]
        case Sharing.EVERYTHING:
            signals = list(SIGNALS)
    return [
        (signal, purpose)
        for signal in SIGNALS
        for purpose in SIGNALS[signal].purposes
        if signal in signals
        and (draw.random() < _ALLOWS[purpose] or (always and purpose is Purpose.PERSONALISE))
    ]


async def simulate(
    service: Service,
    app_id: str,
    people_count: int = 300,
    seed: int = 0,
    progress: Progress = lambda _done, _of: None,
) -> int:
    """Bring a simulated community into an app whose catalogue is there; return how many events were stored.

    Raises:
        ValueError: the catalogue holds nothing that could be used.
    """
    async with service.database.read(app_id) as connection:
        catalogue = [each for each in await store.list_resources(connection, app_id) if _usable(each)]
    if not catalogue:
        raise ValueError("the catalogue is empty: import one first")
    now = service.clock()
    habits = Habits(catalogue, seed)
    stored = 0
    # They join one after the other over the first weeks, so that the ledger's times never run backwards.
    joined = [now - WEEKS * 7 * DAY + number * 14 * DAY // people_count for number in range(people_count)]
    for first in range(1, people_count + 1, _PEOPLE_AT_ONCE):
        numbers = range(first, min(first + _PEOPLE_AT_ONCE, people_count + 1))
        members = [person(number, seed) for number in numbers]
        done = [
            event
            for number, member in zip(numbers, members, strict=True)
            for event in _lived(service, app_id, member, number, habits, (joined[number - 1], now), seed)
        ]
        async with service.database.write(app_id) as connection:
            for number, member in zip(numbers, members, strict=True):
                then = replace(service, clock=lambda at=joined[number - 1]: at)  # type: ignore[misc]  # a clock of one time
                await _consent(then, connection, app_id, member)
        async with service.database.write(app_id, INGEST) as connection:
            for start in range(0, len(done), _EVENTS_AT_ONCE):
                batch = done[start : start + _EVENTS_AT_ONCE]
                outcomes = await events.ingest(connection, app_id, batch, now=now, notices=service.notices)
                stored += sum(outcome.status is events.Status.ACCEPTED for outcome in outcomes)
        progress(numbers[-1], people_count)
    return stored


def _usable(resource: Resource) -> bool:
    return "en" in resource.languages and not resource.regions and bool(resource.topics)


async def _consent(service: Service, connection: AsyncConnection, app_id: str, member: Person) -> None:
    if not member.grants:
        return
    request = Request(
        changes=[Change(signal, purpose, Choice.GIVEN) for signal, purpose in member.grants],
        notice_version=service.notices.current_version,
        locale="en",
        method="simulated",
        actor=Actor(),
    )
    user_hash = service.pseudonyms.user(app_id, member.user_id)
    await people.change(service, connection, app_id, user_hash, request)


class Habits:
    """What leads to what: which resources suit which interests, and which are used after which.

    Beside interests, each resource has a few others that people go on to from it. That is what a model can learn
    and popularity cannot.

    Args:
        catalogue: R resources.
        seed: of everything drawn here.
    """

    def __init__(self, catalogue: Sequence[Resource], seed: int) -> None:
        draw = np.random.default_rng([seed, 0])
        self.catalogue = catalogue
        self.topics = sorted({topic for each in catalogue for topic in each.topics})
        self.has_topic: NDArray[np.float64] = np.array(
            [[topic in each.topics for topic in self.topics] for each in catalogue], dtype=np.float64
        )
        size = len(catalogue)
        self.fame: NDArray[np.float64] = draw.permutation(1.0 / np.arange(2, size + 2) ** 0.6)
        alike = self.has_topic @ self.has_topic.T
        ties = alike * draw.random((size, size)) + 0.25 * draw.random((size, size))
        np.fill_diagonal(ties, 0.0)
        keep = np.argsort(-ties, axis=1)[:, :4]
        self.next: NDArray[np.float64] = np.zeros((size, size))
        np.put_along_axis(self.next, keep, 1.0, axis=1)

    def walk(self, draw: np.random.Generator, length: int) -> tuple[list[int], list[int]]:
        """Return the resources one person uses in order, none twice, and their topics of interest."""
        interests = draw.choice(len(self.topics), size=min(2, len(self.topics)), replace=False)
        suits = (0.02 + self.has_topic[:, interests].sum(axis=1)) * self.fame
        unused = np.ones(len(self.catalogue))
        path: list[int] = []
        for _ in range(min(length, len(self.catalogue))):
            wanted = suits * unused
            if path:
                # What was used last leads on; what was used before that still does a little.
                leads_on = 0.03 + self.next[path[-1]] + 0.3 * self.next[path[-3:]].sum(axis=0)
                wanted = leads_on * wanted**0.5 * unused
            path.append(int(draw.choice(len(wanted), p=wanted / wanted.sum())))
            unused[path[-1]] = 0.0
        return path, interests.tolist()


def _lived(
    service: Service,
    app_id: str,
    member: Person,
    number: int,
    habits: Habits,
    between: tuple[int, int],
    seed: int,
) -> Iterator[Incoming]:
    """Yield what one person does in the app, shared or not, in order of time."""
    draw = np.random.default_rng([seed, number, 2])
    user_hash = service.pseudonyms.user(app_id, member.user_id)
    path, interests = habits.walk(draw, int(draw.integers(8, 26)))
    begin, end = between
    moments = np.sort(draw.integers(begin + MINUTE, end - 60 * MINUTE, size=len(path)))
    count = 0

    def did(
        signal: str, at: int, resource_id: str | None, topic: str | None, value: float | None
    ) -> Incoming:
        nonlocal count
        count += 1
        return Incoming(f"{member.user_id}-{seed}-{count}", user_hash, signal, resource_id, topic, value, at)

    topics = [habits.topics[interest] for interest in interests]
    for topic in topics:
        if draw.random() < 0.5:
            yield did("topics", begin + MINUTE, None, topic, None)
    for place, moment in zip(path, moments.tolist(), strict=True):
        resource = habits.catalogue[place]
        for signal, value, later in _deeds(resource, draw):
            about = SIGNALS[signal].about
            yield did(
                signal,
                moment + later * MINUTE,
                resource.id if about is About.RESOURCE else None,
                str(draw.choice(topics)) if about is About.TOPIC else None,
                value,
            )


def _deeds(resource: Resource, draw: np.random.Generator) -> Iterator[tuple[str, float | None, int]]:
    """Yield what happens around one use of a resource: signal, value, minutes later."""
    liked = draw.random() < 0.7
    if draw.random() < 0.3:
        yield "searches", None, 0
    if draw.random() < 0.4:
        yield "impressions", None, 0
    yield "views", None, 1
    yield "time_spent", float(draw.gamma(2.0, 150.0 if liked else 25.0)) % 86_400, 2
    if liked and draw.random() < 0.6:
        yield "completions", None, 10
    if liked and draw.random() < 0.3:
        yield "saves", None, 11
    if draw.random() < 0.25:
        yield "ratings", float(draw.integers(4, 6) if liked else draw.integers(1, 4)), 12
    if resource.kind is Kind.SUPPORT_GROUP and liked:
        yield "groups", None, 13
    if draw.random() < 0.15:
        yield "check_ins", float(draw.integers(1, 6)), 20
