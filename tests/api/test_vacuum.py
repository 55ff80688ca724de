"""What PostgreSQL keeps of deleted rows beside its log: dead rows, and notes on values for its plans."""

import asyncio

import asyncpg
from sqlalchemy import text

from api import jobs
from api.jobs import VACUUM, Job
from api.service import PERSONAL_STORES, Service
from api.worker import KINDS, work_once
from tests.api.full import live_fully
from tests.api.witness import ON_POSTGRESQL
from tests.api.working import work_all
from tests.conftest import APP, Caller, Clock, event

pytestmark = ON_POSTGRESQL
TABLES = [table for store in PERSONAL_STORES for table in store.tables]
ONLY_VACUUM = {VACUUM: KINDS[VACUUM]}


async def asked(url: str, query: str) -> str:
    """What a superuser is answered, as one text."""
    superuser = await asyncpg.connect(url.replace("assent_owner@", "postgres@"))
    try:
        return "\n".join(str(tuple(row)) for row in await superuser.fetch(query))
    finally:
        await superuser.close()


async def noted(url: str) -> str:
    """Every value that the planner has noted of any column."""
    return await asked(
        url,
        "SELECT tablename, attname, most_common_vals::text, histogram_bounds::text FROM pg_stats "
        "WHERE schemaname = 'public'",
    )


async def dead(url: str) -> int:
    """How many dead rows there are in the tables of persons."""
    names = ", ".join(f"'{name}'" for name in TABLES)
    query = f"SELECT sum(n_dead_tup)::int FROM pg_stat_user_tables WHERE relname IN ({names})"  # noqa: S608
    return int((await asked(url, query)).strip("(,)"))


async def test_the_service_may_vacuum_every_table_of_persons(service: Service) -> None:
    """PostgreSQL would pass over, with no more than a warning, a table that the migrations gave no right to."""
    async with service.database.read(APP) as connection:
        allowed = {
            name: await connection.scalar(
                text("SELECT has_table_privilege(:name, 'MAINTAIN')"), {"name": name}
            )
            for name in TABLES
        }
    assert allowed == dict.fromkeys(TABLES, True)


async def test_the_planner_notes_nothing_of_who_left(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """A minute after somebody left, the statistics of no table hold a value of theirs; of who stays they do."""
    people = {name: await live_fully(service, client, name) for name in ("leaves", "stays", "stays-too")}
    for name in people:
        await client.events(event(name, "saves", "body-scan", event_id=f"event-of-{name}"))
    await asked(database_url, "ANALYZE")
    needles = {
        name: (who.subject_id, who.user_hash.hex(), f"event-of-{name}") for name, who in people.items()
    }
    before = await noted(database_url)
    for each in needles.values():
        assert all(needle in before for needle in each)
    assert (await client.http.delete("/v1/users/leaves")).status_code == 202
    await work_all(service, clock)
    after = await noted(database_url)
    assert not [needle for needle in needles["leaves"] if needle in after]
    for name in ("stays", "stays-too"):
        assert all(needle in after for needle in needles[name])


async def test_the_planner_notes_nothing_of_the_last_who_left(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """Also when nobody is left from whom the statistics could be made anew."""
    people = {name: await live_fully(service, client, name) for name in ("one", "other")}
    await asked(database_url, "ANALYZE")
    needles = [each for who in people.values() for each in (who.subject_id, who.user_hash.hex())]
    before = await noted(database_url)
    assert all(needle in before for needle in needles)
    for name in people:
        assert (await client.http.delete(f"/v1/users/{name}")).status_code == 202
    await work_all(service, clock)
    after = await noted(database_url)
    assert not [needle for needle in needles if needle in after]


async def job_of(service: Service) -> Job:
    """How the vacuum stands."""
    async with service.database.read("") as connection:
        (found,) = [
            each for each in await jobs.jobs(connection, ["waiting", "done"], 50) if each.kind == VACUUM
        ]
    return found


async def test_a_reader_that_holds_deleted_rows_is_waited_for(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """While somebody still reads a moment before an erasure, as a backup does, rows stay, and the job says why and tries again; then they go."""
    await live_fully(service, client, "u1")
    async with service.database.read(APP) as old:
        await jobs.figures(old)
        assert (await client.http.delete("/v1/users/u1")).status_code == 202
        clock.forward(days=70 / 86_400)
        assert await work_once(service, ONLY_VACUUM)
        held = await job_of(service)
        assert (held.status, held.outcome) == ("waiting", "StillRead")
        assert await dead(database_url)
    clock.ahead += held.due_at - service.clock()
    assert await work_once(service, ONLY_VACUUM)
    assert (await job_of(service)).status == "done"
    assert await dead(database_url) == 0


async def test_a_busy_table_is_no_reader(service: Service, client: Caller, clock: Clock) -> None:
    """Rows that die while a table is vacuumed do not keep what died before: the job is done at the first try."""
    await live_fully(service, client, "u1")
    assert (await client.http.delete("/v1/users/u1")).status_code == 202
    clock.forward(days=70 / 86_400)
    over = False

    async def change() -> None:
        while not over:
            await client.consent("busy", "views")

    busy = asyncio.create_task(change())
    try:
        assert await work_once(service, ONLY_VACUUM)
    finally:
        over = True
        await busy
    assert (await job_of(service)).status == "done"
