"""Erasing a person, or what they take back: the part that happens in the request's own transaction.

The order holds the promise: the erasure's row is taken (whoever else carries out the same entry waits for it), the
register outside the database is written and synced, the rows go, the rest is asked for, and then the transaction
commits. If it does not, the register still says what was asked for, and `api.replaying` carries it out.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from api import jobs, training
from api.erasure_steps import VACUUM_AFTER
from api.jobs import ERASURE, VACUUM
from api.service import PERSONAL_STORES, Service
from api.webhooks import messages, outbox
from api.webhooks.sending import GOODBYE
from consent import erasure, persons
from consent import store as ledger
from consent.erasure import Erasure, Trained
from consent.log import store as log
from consent.personal import Person
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from consent.register import EVERYTHING, WITHDRAWAL, Entry
from consent.registrar import Changed
from recommender import registry
from recommender.tables import events

HOUR = 3_600_000_000
DAY = 24 * HOUR


@dataclass(frozen=True)
class Over:
    """Grants of one person that ended."""

    user_hash: bytes
    changed: Changed


async def erase(service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes) -> Erasure:
    """Delete a person: the request recorded, all rows gone, the rest asked for. The same for someone never seen."""
    held = await persons.hold(connection, app_id, user_hash)
    key = service.register.of_person(app_id, None if held is None else held.subject_id)
    pending = await _begin(service, connection, app_id, EVERYTHING, [key])
    who = Person(app_id, user_hash, new_id() if held is None else held.subject_id)
    return await remove(service, connection, pending, who)


async def remove(service: Service, connection: AsyncConnection, pending: Erasure, who: Person) -> Erasure:
    """Remove the rows of a person, for an erasure that has begun, and have their app told."""
    read = await registry.read_until(connection, who.app_id)
    learned = await erasure.ever_granted(connection, who.app_id, who.subject_id, Purpose.IMPROVE, read)
    await log.close(connection, who.app_id, who.subject_id, service.logs.of(who.app_id))
    counts = await erasure.erase_rows(connection, PERSONAL_STORES, who)
    done = await rows_are_gone(
        service, connection, pending, counts, "erasure", learned=[who.user_hash] if learned else []
    )
    told = messages.rows_erased(service.pseudonyms.reference(who.user_hash), done)
    await outbox.tell(connection, who.app_id, [told], service.clock(), due_in=GOODBYE)
    return done


async def take_back(
    service: Service, connection: AsyncConnection, app_id: str, over: Sequence[Over], reason: str
) -> Erasure:
    """Record that grants ended and their rows are gone, in the same transaction; unlearn what was learned from them."""
    keys = [
        service.register.of_grant(app_id, *grant)
        for each in over
        for grant in await ledger.grants(connection, app_id, each.changed.subject_id, each.changed.ended)
    ]
    pending = await _begin(service, connection, app_id, WITHDRAWAL, keys)
    return await grants_are_over(service, connection, pending, over, reason)


async def grants_are_over(
    service: Service, connection: AsyncConnection, pending: Erasure, over: Sequence[Over], reason: str
) -> Erasure:
    """Write down what went with grants that ended, for an erasure that has begun."""
    removed = {events.name: sum(each.changed.rows_removed for each in over)}
    read = await registry.read_until(connection, pending.app_id)
    learned = [each.user_hash for each in over if each.changed.learned_by(read)]
    return await rows_are_gone(service, connection, pending, removed, reason, learned=learned)


async def _begin(
    service: Service, connection: AsyncConnection, app_id: str, kind: str, keys: Collection[str]
) -> Erasure:
    entry = Entry(app_id, new_id(), kind, service.clock(), list(keys))
    pending = begun(service, entry)
    await erasure.begin(connection, pending)
    service.readiness.enter(app_id, entry.erasure_id)
    try:
        await asyncio.to_thread(service.register.add, entry)
    except Exception:
        service.readiness.settled(app_id, entry.erasure_id)
        raise
    return pending


def begun(service: Service, entry: Entry) -> Erasure:
    """Return the erasure of an entry of the register, at its beginning."""
    now, settings = service.clock(), service.settings
    return Erasure(
        app_id=entry.app_id,
        erasure_id=entry.erasure_id,
        kind=entry.kind,
        status=erasure.ROWS_ERASED,
        requested_at=entry.requested_at,
        rows_erased_at=now,
        deadline=entry.requested_at + settings.erasure_deadline_h * HOUR,
        backups_until=now + settings.backup_lifetime_d * DAY,
        counts={},
        unlearn_epoch=0,
        steps={"recorded": entry.requested_at, "rows_erased": now},
    )


async def rows_are_gone(
    service: Service,
    connection: AsyncConnection,
    pending: Erasure,
    counts: Mapping[str, int],
    reason: str,
    *,
    learned: Sequence[bytes],
) -> Erasure:
    """Write down what was removed, and ask for the steps that are left. `learned` are the pseudonyms of who may have been learned from."""
    app_id, now = pending.app_id, service.clock()
    known = [each for each in await registry.releases(connection, app_id) if each.status != "destroyed"]
    served = next((each for each in known if each.status == "promoted"), None)
    before = Trained(served.release_id, served.digest) if served else Trained()
    done = replace(pending, counts=counts, before=before, after=before)
    if learned:
        outdated = [Trained(each.release_id, each.digest) for each in known]
        epoch = await registry.unlearn(connection, app_id, learned)
        done = replace(done, unlearn_epoch=epoch, destroyed=outdated)
        if known:
            await training.ask_to_unlearn(connection, app_id, reason, now)
    done = erasure.acknowledge(done, await service.keyring.signer(connection, now))
    await erasure.record(connection, done)
    await registry.count_erasure(connection, app_id)
    await jobs.enqueue(connection, app_id, ERASURE, now=now, about=done.erasure_id, reason=reason)
    if not service.database.is_sqlite:
        await jobs.enqueue(connection, app_id, VACUUM, now=now, reason=reason, due_at=now + VACUUM_AFTER)
    return done
