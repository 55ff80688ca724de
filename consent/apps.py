"""The partner apps, and what an operator sets for each of them. Every function works inside the transaction of its caller."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.tables import app


@dataclass(frozen=True)
class App:
    """A partner app. `one_click` says whether its recommendations carry a link that deletes the person at one click."""

    app_id: str
    name: str
    one_click: bool


async def every_app(connection: AsyncConnection) -> list[App]:
    """List the apps, by their ids."""
    columns = app.c
    rows = await connection.execute(
        select(columns.app_id, columns.name, columns.one_click).order_by(columns.app_id)
    )
    return [App(*row) for row in rows]


async def set_one_click(connection: AsyncConnection, app_id: str, *, on: bool) -> bool:
    """Turn the one-click links of an app on or off, those to come; False when there is no such app."""
    done = await connection.execute(update(app).where(app.c.app_id == app_id).values(one_click=on))
    return bool(done.rowcount)
