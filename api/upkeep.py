"""What the worker removes, records and announces by the clock: a little at a time, every app in turn.

Each step does one batch in a transaction of its own and says whether there may be more. What is left is always found
again by looking, so a worker that dies has lost nothing but its last batch, and any number of workers may do this at once.
"""

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from api import people, removals
from api import store as own_store
from api.removals import ANSWERS, EVENTS_OUTLIVED, WEBHOOKS
from api.service import Service
from api.webhooks import outbox
from api.webhooks.expiring import tell_expiring
from consent import store as ledger
from recommender.tables import events

log = logging.getLogger(__name__)

DAY = 86_400_000_000
ANSWERS_KEPT = DAY
"""How long an answer is kept for retries."""
DELIVERED_KEPT, DEAD_KEPT = 7 * DAY, 30 * DAY
"""How long a webhook that was delivered, or died, can be looked at."""
PEOPLE = 100
"""People in one batch."""
ROWS = 1_000
"""Rows in one batch."""


@dataclass(frozen=True)
class Batch:
    """What one batch removed, by kind, and whether there may be more."""

    more: bool
    removed: Mapping[str, int] = field(default_factory=dict)


Step = Callable[[Service, str], Awaitable[Batch]]


async def upkeep(service: Service) -> Counter[str]:
    """Do everything that is due, one batch after the other, every app and step in turn; return what was removed, by kind."""
    async with service.database.read("") as connection:
        app_ids = await ledger.app_ids(connection)
    waiting = deque((step, app_id) for app_id in app_ids for step in STEPS)
    removed: Counter[str] = Counter()
    while waiting:
        step, app_id = waiting.popleft()
        try:
            batch = await step(service, app_id)
        except Exception as error:  # noqa: BLE001  one app's trouble is not the others'; the next round tries again
            log.warning("a step of upkeep failed: %s", type(error).__name__)
            continue
        removed.update(batch.removed)
        if batch.more:
            waiting.append((step, app_id))
    if any(removed.values()):
        await service.database.scrub()
    return +removed


async def end_grants(service: Service, app_id: str) -> Batch:
    """Record grants that ended by themselves, with all that follows: events go, what was learned is unlearned, the app is told."""
    async with service.database.write(app_id) as connection:
        ended = await people.end_due(service, connection, app_id, PEOPLE)
        removed = people.removed_by_ending(each.changed for each in ended)
        await removals.count(connection, app_id, removed, service.clock())
    return Batch(bool(ended), removed)


async def drop_old_events(service: Service, app_id: str) -> Batch:
    """Delete events that were kept for as long as their signal allows."""
    return await _drop(service, app_id, EVENTS_OUTLIVED, lambda it, now: events.expire(it, app_id, now, ROWS))


async def drop_answers(service: Service, app_id: str) -> Batch:
    """Forget answers that were kept for retries."""
    return await _drop(
        service,
        app_id,
        ANSWERS,
        lambda it, now: own_store.prune_answers(it, app_id, now - ANSWERS_KEPT, ROWS),
    )


async def drop_messages(service: Service, app_id: str) -> Batch:
    """Forget webhooks that were delivered, or died, long enough ago."""
    return await _drop(
        service,
        app_id,
        WEBHOOKS,
        lambda it, now: outbox.prune(
            it, app_id, delivered_before=now - DELIVERED_KEPT, dead_before=now - DEAD_KEPT, limit=ROWS
        ),
    )


async def announce(service: Service, app_id: str) -> Batch:
    """Tell the app which grants will end soon."""
    return Batch(await tell_expiring(service, app_id, PEOPLE))


async def _drop(service: Service, app_id: str, kind: str, some: Callable[..., Awaitable[int]]) -> Batch:
    async with service.database.write(app_id) as connection:
        now = service.clock()
        removed = {kind: await some(connection, now)}
        await removals.count(connection, app_id, removed, now)
    return Batch(removed[kind] >= ROWS, removed)


STEPS: tuple[Step, ...] = (end_grants, drop_old_events, drop_answers, drop_messages, announce)
