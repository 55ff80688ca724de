"""Catalogue and consented histories in a database. Every function works inside its caller's transaction."""

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.gate import Within
from consent.notices.published import Notices
from consent.purposes import Purpose
from recommender.catalog import Resource
from recommender.tables import events, model_state, resource

HISTORY_COLUMNS = ("resource_id", "topic", "value", "occurred_at")
EVENTS = {
    "pseudonym": pl.Binary,
    "signal": pl.String,
    "resource_id": pl.String,
    "topic": pl.String,
    "value": pl.Float64,
    "occurred_at": pl.Int64,
}
"""Many people's events as a table."""
_AT_ONCE = 50_000
"""Rows that are in memory as Python's own values at a time."""
_SOME = 1_000
"""Rows that are taken from the database at a time where requests are answered meanwhile."""
NEWEST = 500
"""How many of a person's newest events of each signal one request looks at."""


def personal_history(notices: Notices, *, lateral: bool) -> Any:
    """Select a person's grants to personalise and the events under them, rows of signal and HISTORY_COLUMNS.

    A grant has no time; in the place of the resource it has its receipt, and in that of the topic the person's row.
    `lateral` tells whether the database has LATERAL.
    """
    return events.of_person(Purpose.PERSONALISE, notices, HISTORY_COLUMNS, NEWEST, lateral=lateral)


async def granted_events(
    connection: AsyncConnection,
    app_id: str,
    purpose: Purpose,
    *,
    now: int,
    notices: Notices,
    within: Within | None = None,
) -> pl.DataFrame:
    """Return the events of an app that are granted for a purpose, in any order: columns of `EVENTS`."""
    statement = events.of_everyone(purpose, notices, HISTORY_COLUMNS, within).order_by(None)
    result = await connection.stream(statement, {"app_id": app_id, "now": now})
    parts = [
        pl.DataFrame(list(zip(*rows, strict=True)), schema=EVENTS, orient="col")
        async for rows in result.partitions(_AT_ONCE)
    ]
    return pl.concat([pl.DataFrame(schema=EVENTS), *parts])


async def known_resources(connection: AsyncConnection, app_id: str, ids: Collection[str]) -> set[str]:
    """Return those of these ids that are in the app's catalogue, published or not."""
    found = await connection.execute(
        select(resource.c.resource_id).where(resource.c.app_id == app_id, resource.c.resource_id.in_(ids))
    )
    return set(found.scalars())


async def put_resources(
    connection: AsyncConnection, app_id: str, resources: Sequence[Resource], now: int
) -> None:
    """Write resources, new or changed, and tell every server that the catalogue changed."""
    if not resources:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    upsert = dialect.insert(resource)
    await connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["app_id", "resource_id"],
            set_={name: upsert.excluded[name] for name in ("status", "body", "updated_at")},
        ),
        [
            {
                "app_id": app_id,
                "resource_id": item.id,
                "status": item.status.value,
                "body": item.model_dump_json(),
                "updated_at": now,
            }
            for item in resources
        ],
    )
    await _catalog_changed(connection, app_id)


async def delete_resource(connection: AsyncConnection, app_id: str, resource_id: str) -> bool:
    """Remove a resource; False when there was none."""
    gone = await connection.execute(
        delete(resource).where(resource.c.app_id == app_id, resource.c.resource_id == resource_id)
    )
    if gone.rowcount:
        await _catalog_changed(connection, app_id)
    return bool(gone.rowcount)


async def find_resource(connection: AsyncConnection, app_id: str, resource_id: str) -> Resource | None:
    """Return a resource of the app, or None."""
    body = await connection.execute(
        select(resource.c.body).where(resource.c.app_id == app_id, resource.c.resource_id == resource_id)
    )
    found = body.scalar_one_or_none()
    return None if found is None else Resource.model_validate_json(found)


async def titles(connection: AsyncConnection, app_id: str, ids: Collection[str]) -> dict[str, str]:
    """Return the titles of those of these resources that are in the app's catalogue."""
    bodies = await connection.execute(
        select(resource.c.body).where(resource.c.app_id == app_id, resource.c.resource_id.in_(ids))
    )
    found = (Resource.model_validate_json(body) for body in bodies.scalars())
    return {each.id: each.title for each in found}


async def list_resources(
    connection: AsyncConnection, app_id: str, after: str = "", limit: int | None = None
) -> list[Resource]:
    """Return resources in the order of their ids, from beyond `after`."""
    bodies = await connection.execute(
        select(resource.c.body)
        .where(resource.c.app_id == app_id, resource.c.resource_id > after)
        .order_by(resource.c.resource_id)
        .limit(limit)
    )
    return [Resource.model_validate_json(body) for body in bodies.scalars()]


async def resource_rows(connection: AsyncConnection, app_id: str) -> list[tuple[str, str]]:
    """Return id and body of every resource of the app, in any order, as they lie there."""
    mine = select(resource.c.resource_id, resource.c.body).where(resource.c.app_id == app_id)
    result = await connection.stream(mine)
    return [row async for some in result.partitions(_SOME) for row in some]


async def _catalog_changed(connection: AsyncConnection, app_id: str) -> None:
    await connection.execute(
        update(model_state)
        .where(model_state.c.app_id == app_id)
        .values(catalog_version=model_state.c.catalog_version + 1)
    )
