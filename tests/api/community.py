"""Simulated people with tastes of their own, brought in through the ledger and the gate: something to train on."""

import numpy as np

from api import people
from api.database import INGEST
from api.service import Service
from api.training import train_app
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.purposes import Purpose
from recommender import events, store
from recommender.events import Incoming
from tests.conftest import APP, NOTICE

TASTES = ("sleep", "anxiety", "relationships", "loneliness")
MINUTE = 60_000_000


async def settle_in(service: Service, count: int = 48) -> None:
    """Let people come who each use a dozen resources on one topic and share what they view, for every purpose."""
    random = np.random.default_rng(7)
    async with service.database.read(APP) as connection:
        resources = await store.list_resources(connection, APP)
    on = {taste: [each.id for each in resources if taste in each.topics] for taste in TASTES}
    now = service.clock()
    for number in range(count):
        user_hash = service.pseudonyms.user(APP, f"simulated-{number}")
        changes = [Change("views", purpose, Choice.GIVEN) for purpose in Purpose]
        used = random.permutation(on[TASTES[number % len(TASTES)]])[:12]
        batch = [
            Incoming(
                event_id=f"simulated-{number}-{place}",
                user_hash=user_hash,
                signal="views",
                resource_id=str(resource_id),
                topic=None,
                value=None,
                occurred_at=now - int(random.integers(1, 60 * 24 * 60)) * MINUTE,
            )
            for place, resource_id in enumerate(used)
        ]
        async with service.database.write(APP) as connection:
            request = Request(changes, NOTICE, "en", "simulated")
            await people.change(service, connection, APP, user_hash, request)
        async with service.database.write(APP, INGEST) as connection:
            await events.ingest(connection, APP, batch, now=now, notices=service.notices)


async def train(service: Service) -> str:
    """Train on whoever is there, and serve the release; returns its id."""
    outcome = await train_app(service, APP)
    assert outcome.status == "promoted", outcome
    await service.models.refresh()
    assert outcome.release_id is not None
    return outcome.release_id
