"""`assent removed`: how much the worker removed by the clock."""

from typing import Annotated

import typer

from api import removals
from api.commands.running import console, with_service
from api.removals import Removed
from api.service import Service


def removed(
    context: typer.Context,
    app_id: Annotated[str | None, typer.Option("--app", help="Of this app; of all when left out")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many lines at most")] = 100,
) -> None:
    """Show what ended or was removed by the clock, newest day first: how many, never which."""

    async def read(service: Service) -> list[Removed]:
        async with service.database.read("") as connection:
            return await removals.days(connection, app_id, limit)

    found = with_service(context, read)
    if not found:
        console.print("Nothing was removed by the clock yet.")
    for each in found:
        typer.echo(f"{each.day}  {each.app_id}  {each.kind}  {each.number}")
