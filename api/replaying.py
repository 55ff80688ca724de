"""Replaying the register of erasures: whoever it names in a database that was restored goes again, before anything is answered.

An entry is carried out unless its erasure's row is in the database, however the database came to lack it: a
restored backup, or a crash between the register and the commit.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from api import erasing, leftovers, people, store, training
from api.problems import UNAVAILABLE
from api.readiness import NotReplayed
from api.service import Service
from consent import changes, erasure, persons
from consent import store as ledger
from consent.changes import REPLAYED, Request
from consent.erasure import Erasure
from consent.ledger import GRANTING, Change, Choice
from consent.personal import Person
from consent.pseudonyms import new_id
from consent.register import EVERYTHING, Entry, Listed, RegisterUnreadable
from recommender import registry

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long a request waits for a replay that is under way."""


async def ensure_replayed(service: Service) -> None:
    """Return once every entry of the register is in the database.

    Raises:
        NotReplayed: somebody else has been at it for a while.
        OSError: the register or the database cannot be reached, or an entry cannot be read.
    """
    readiness = service.readiness
    if readiness.replayed:
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            await readiness.replaying.acquire()
    except TimeoutError:
        raise NotReplayed("the register of erasures is being replayed") from None
    try:
        if not readiness.replayed:
            await replay(service)
            readiness.replayed = True
    finally:
        readiness.replaying.release()


async def watch(service: Service, stop: asyncio.Event) -> None:
    """Notice a restore under this process, and replay the register when that is due; until told to stop."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), service.settings.poll_s)
            return
        service.readiness.observe(service.models.erasures)
        try:
            await _look_after_entries(service)
            await ensure_replayed(service)
        except RegisterUnreadable as error:
            log.warning("the register of erasures is not replayed: %s", error)  # its words are ours
        except UNAVAILABLE as error:
            log.warning("the register of erasures is not replayed: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the watch either
            log.warning("replaying the register of erasures failed: %s", type(error).__name__)


async def _look_after_entries(service: Service) -> None:
    """Let the register be replayed when an erasure that this process entered there never came to be: it was asked for, so it is done."""
    readiness = service.readiness
    for app_id, erasure_id in readiness.entered(service.settings.request_deadline_s):
        async with service.database.read(app_id) as connection:
            if not await erasure.known(connection, app_id, [erasure_id]):
                readiness.replayed = False
        readiness.settled(app_id, erasure_id)


async def recognise(service: Service) -> None:
    """Make sure that the register is the one that this database is used with; the first time, begin one.

    An empty folder would else pass for a register of which nobody ever left: a disk that is not mounted, a wrong URL.

    Raises:
        RegisterUnreadable: it is another, or none.
    """
    register = service.register
    async with service.database.read("") as connection:
        known = await store.register_name(connection)
    if known is None:
        there, fresh = await asyncio.to_thread(register.name), new_id()
        async with service.database.write("") as connection:
            noted = await store.name_register(connection, there or fresh)
            # Begun before its name is committed: a crash leaves a register that can be taken up.
            if noted and there is None:
                await asyncio.to_thread(register.begin, fresh)
            known = await store.register_name(connection)
    register.expected = known
    await asyncio.to_thread(register.require_expected)


async def renew(service: Service) -> None:
    """Begin a new register where the one that the database was used with is lost.

    Raises:
        RegisterUnreadable: a register lies there.
    """
    if await asyncio.to_thread(service.register.name) is not None:
        raise RegisterUnreadable("a register of erasures lies there: a new one wants a folder of its own")
    name = new_id()
    async with service.database.write("") as connection:
        await store.rename_register(connection, name)
        await asyncio.to_thread(service.register.begin, name)
    service.register.expected = name


async def replay(service: Service) -> int:
    """Carry out every entry of the register that is not in the database; return how many."""
    await recognise(service)
    listed = await asyncio.to_thread(service.register.entries)
    by_app: defaultdict[str, list[Listed]] = defaultdict(list)
    for each in listed:
        by_app[each.app_id].append(each)
    async with service.database.read("") as connection:
        app_ids = await ledger.app_ids(connection)
    done = 0
    for app_id in app_ids:
        missing = await _missing(service, app_id, by_app[app_id])
        if missing:
            done += await _carry_out(service, app_id, missing)
    if done:
        log.warning("replayed %d entries of the register of erasures", done)
        await service.database.scrub()
    return done


async def _missing(service: Service, app_id: str, listed: Sequence[Listed]) -> list[Entry]:
    async with service.database.read(app_id) as connection:
        known = await erasure.known(connection, app_id, [each.erasure_id for each in listed])
    unknown = [each for each in listed if each.erasure_id not in known]
    return [await asyncio.to_thread(service.register.read, each) for each in unknown]


@dataclass
class _Meant:
    """Who and what in the database one entry is about."""

    people: list[Person] = field(default_factory=list)
    cells: defaultdict[Person, list[ledger.Granted]] = field(default_factory=lambda: defaultdict(list))


async def _carry_out(service: Service, app_id: str, entries: Sequence[Entry]) -> int:
    """Carry out entries of an app, one transaction each; then destroy releases that its database does not know."""
    meant = await _find(service, app_id, entries)
    done = 0
    async with service.database.write(app_id) as connection:
        # A database that was put back does not know how far trainings have read since.
        await registry.begin_reading(connection, app_id, service.clock())
    for entry in entries:
        async with service.database.write(app_id) as connection:
            pending = erasing.begun(service, entry)
            if not await erasure.begin(connection, pending):
                continue  # it was under way, and is through by now
            outcome = await _apply(service, connection, pending, meant[entry.erasure_id])
            if (
                outcome.unlearn_epoch
            ):  # what comes back with a backup was destroyed before, and serves nobody again
                await registry.stop_serving(connection, app_id)
                await registry.settled(connection, app_id, outcome.unlearn_epoch)
                await training.ask(connection, app_id, "replay", service.clock())
            done += 1
    await leftovers.destroy(service, app_id, unknown=True)
    return done


async def _find(service: Service, app_id: str, entries: Sequence[Entry]) -> Mapping[str, _Meant]:
    """Find whom the entries are about, in one pass over the people of the app."""
    wanted = {key: entry.erasure_id for entry in entries for key in entry.keys}
    meant: defaultdict[str, _Meant] = defaultdict(_Meant)
    register = service.register
    async with service.database.read(app_id) as connection:
        async for who in ledger.everybody(connection, app_id):
            key = register.of_person(app_id, who.subject_id)
            if key in wanted:
                meant[wanted[key]].people.append(who)
        async for who, granted in ledger.every_grant(connection, app_id):
            key = register.of_grant(app_id, granted.receipt_id, granted.signal, granted.purpose)
            if key in wanted:
                meant[wanted[key]].cells[who].append(granted)
    return meant


async def _apply(service: Service, connection: AsyncConnection, pending: Erasure, meant: _Meant) -> Erasure:
    if pending.kind == EVERYTHING:
        for who in meant.people:
            return await erasing.remove(service, connection, pending, who)
        return await erasing.rows_are_gone(service, connection, pending, {}, "replay", learned=[])
    registrar = await people.registrar(service, connection, pending.app_id)
    over = []
    for who, found in meant.cells.items():
        granted = await _still_granted(connection, who, found)
        if not granted:
            continue
        request = Request(
            changes=[Change(each.signal, each.purpose, Choice.WITHDRAWN) for each in granted],
            notice_version=granted[0].notice_version,
            locale=granted[0].locale,
            method=REPLAYED,
        )
        changed = await changes.change(
            connection, who.user_hash, request, clock=service.clock, registrar=registrar
        )
        over.append(erasing.Over(who.user_hash, changed))
    return await erasing.grants_are_over(service, connection, pending, over, "replay")


async def _still_granted(
    connection: AsyncConnection, who: Person, found: Sequence[ledger.Granted]
) -> list[ledger.Granted]:
    """Hold a person, and return what of this they still grant: another process may have been told to take it back meanwhile."""
    held = await persons.hold(connection, who.app_id, who.user_hash)
    if held is None or held.subject_id != who.subject_id:
        return []
    now = await ledger.cells(connection, who.app_id, who.subject_id)
    return [
        each
        for each in found
        if (cell := now[each.signal, each.purpose]).state in GRANTING and cell.receipt_id == each.receipt_id
    ]


async def prune(service: Service) -> int:
    """Forget entries that no backup can be older than any more, and that are in the database; return how many."""
    lifetime = timedelta(days=service.settings.backup_lifetime_d + 1)  # their day may have begun a day before
    before = (service.now() - lifetime).date()
    listed = [each for each in await asyncio.to_thread(service.register.entries) if each.day < before]
    over: list[Listed] = []
    for app_id in {each.app_id for each in listed}:
        mine = [each for each in listed if each.app_id == app_id]
        async with service.database.read(app_id) as connection:
            known = await erasure.known(connection, app_id, [each.erasure_id for each in mine])
        over += [each for each in mine if each.erasure_id in known]
    await asyncio.to_thread(service.register.prune, over)
    return len(over)
