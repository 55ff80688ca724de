"""`assent webhooks`: what waits, what died, and another try."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from api import administration
from api.commands.running import Failed, console, with_service
from api.service import Service
from api.webhooks import outbox
from api.webhooks.outbox import DEAD, DELIVERED, WAITING, Delivery

app = typer.Typer(no_args_is_help=True, help="Webhooks of partner apps: list, try again.")
AppId = Annotated[str, typer.Option("--app", help="The partner app")]
_HEAD = ("message", "status", "type", "since", "tries", "last result", "subscription")


@app.command("list")
def list_messages(
    context: typer.Context,
    app_id: AppId,
    status: Annotated[str, typer.Option(help="waiting, delivered or dead")] = DEAD,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 100,
) -> None:
    """Show an app's messages, newest first: the dead ones, unless told otherwise. They name nobody."""
    if status not in {WAITING, DELIVERED, DEAD}:
        raise Failed(f"{status} is not a status: waiting, delivered or dead", code=2)

    async def read(service: Service) -> list[Delivery]:
        await administration.require_app(service, app_id)
        async with service.database.read(app_id) as connection:
            return await outbox.deliveries(connection, app_id, status=status, limit=limit)

    found = with_service(context, read)
    if not found:
        console.print("There are none.")
        return
    rows = [_HEAD, *(_row(each) for each in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # not a table of rich's: it cuts what is to be copied and searched
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(each: Delivery) -> tuple[str, ...]:
    since = f"{datetime.fromtimestamp(each.created_at / 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (
        each.message_id, each.status, each.type, since, str(each.attempts), each.result or "", each.subscription_id,
    )  # fmt: skip


@app.command()
def retry(
    context: typer.Context,
    app_id: AppId,
    message_id: Annotated[str | None, typer.Argument(help="A message; every dead one when left out")] = None,
) -> None:
    """Send dead messages again, with all their tries before them."""

    async def work(service: Service) -> int:
        await administration.require_app(service, app_id)
        async with service.database.write(app_id) as connection:
            return await outbox.revive(connection, app_id, message_id, service.clock())

    revived = with_service(context, work)
    if message_id is not None and not revived:
        raise Failed(f"there is no dead message {message_id}")
    console.print(f"Messages that will be sent again: {revived}.", highlight=False)
