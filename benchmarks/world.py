"""A made-up app to measure on: resources, people with a taste, their consent, their events, and a trained release.

Everything goes in by the same functions as in production. People use resources of their two topics, so there is
something to learn. Each person's events are about different resources, so a full explanation has as many lines as
the profile has events: the most work that a profile of that length can be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from api import administration, people, schema
from api.database import INGEST
from api.keys import Scope
from api.service import Service
from api.settings import Settings
from api.training import train_app
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.purposes import Purpose
from recommender import events
from recommender.catalog import Resource
from recommender.events import Incoming

APP = "bench"
TOPICS = (
    "anger", "anxiety", "grief", "loneliness", "low_mood", "motivation",
    "relationships", "self_esteem", "sleep", "stress", "substance_use", "work",
)  # fmt: skip
SIGNALS = ("views", "views", "views", "saves", "completions", "ratings")
"""What a person does with one resource after another: four signals, views half of it."""
HOUR = 3_600_000_000


@dataclass(frozen=True)
class Size:
    """How large a world is."""

    resources: int
    people: int
    events_each: int


def resource_id(number: int) -> str:
    """The id of a resource."""
    return f"resource-{number:05d}"


def user_id(number: int) -> str:
    """The id of a person."""
    return f"user-{number:05d}"


def catalogue(count: int) -> list[Resource]:
    """Published resources of one topic or two, as long in JSON as the shipped ones that point elsewhere."""
    return [
        Resource.model_validate(
            {
                "id": resource_id(number),
                "title": f"A practice for {TOPICS[number % len(TOPICS)]}, number {number}",
                "summary": "What it is, what it is good for and how long it takes, in one or two plain sentences "
                "as an editor would write them for somebody in a hurry.",
                "url": f"https://resources.example/{number}",
                "kind": "article",
                "topics": sorted({TOPICS[number % len(TOPICS)], TOPICS[number // len(TOPICS) % len(TOPICS)]}),
                "languages": ["en"],
                "minutes": 1 + number % 30,
                "source": {"name": "Example University", "kind": "university"},
                "evidence": "trial",
                "reviewed_at": "2026-01-01",
                "reviewed_by": "Clinical content team",
                "status": "published",
            }
        )
        for number in range(count)
    ]


def happened(service: Service, size: Size, resources: Sequence[Resource]) -> list[list[Incoming]]:
    """What each person did, hour by hour up to now."""
    random = np.random.default_rng(7)
    of_topic = [
        np.array([row for row, each in enumerate(resources) if topic in each.topics]) for topic in TOPICS
    ]
    return [
        [
            Incoming(
                event_id=f"{user_id(person)}-{number}",
                user_hash=service.pseudonyms.user(APP, user_id(person)),
                signal=(signal := SIGNALS[number % len(SIGNALS)]),
                resource_id=resources[row].id,
                topic=None,
                value=5.0 if signal == "ratings" else None,
                occurred_at=service.clock() - (size.events_each - number) * HOUR,
            )
            for number, row in enumerate(_walk(random, of_topic, size.events_each))
        ]
        for person in range(size.people)
    ]


def _walk(random: np.random.Generator, of_topic: Sequence[np.ndarray], length: int) -> list[int]:
    """Different resources of two topics, those early in each topic more often."""
    mine = np.unique(
        np.concatenate([of_topic[topic] for topic in random.choice(len(of_topic), 2, replace=False)])
    )
    weight = 1.0 / np.arange(2, len(mine) + 2)
    return [int(row) for row in random.choice(mine, length, replace=False, p=weight / weight.sum())]


async def build(settings: Settings, size: Size) -> str:
    """Make a world in an empty database, train and promote; return a key with every scope."""
    await schema.migrate(settings.database_url)
    service = Service.create(settings)
    try:
        await administration.ensure_app(service, APP, "Benchmark")
        resources = catalogue(size.resources)
        await administration.import_catalog(service, APP, resources)
        for done in happened(service, size, resources):
            await _live(service, done)
        outcome = await train_app(service, APP)
        if outcome.status != "promoted":
            raise RuntimeError(f"the model of the made-up world was not promoted: {outcome.status}")
        return (await administration.create_key(service, APP, "benchmark", [Scope.ADMIN])).text
    finally:
        await service.close()


async def _live(service: Service, done: Sequence[Incoming]) -> None:
    """Let one person grant what they do, and do it."""
    granted = Request(
        changes=[
            Change(signal, purpose, Choice.GIVEN)
            for signal in dict.fromkeys(SIGNALS)
            for purpose in (Purpose.PERSONALISE, Purpose.IMPROVE)
        ],
        notice_version=service.notices.current_version,
        locale="en",
        method="benchmark",
    )
    async with service.database.write(APP) as connection:
        await people.change(service, connection, APP, done[0].user_hash, granted)
    async with service.database.write(APP, INGEST) as connection:
        outcomes = await events.ingest(connection, APP, done, now=service.clock(), notices=service.notices)
    if any(outcome.status is not events.Status.ACCEPTED for outcome in outcomes):
        raise RuntimeError("an event of the made-up world was not accepted")
