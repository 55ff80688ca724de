"""`assent signing`: the keys that sign receipts."""

from typing import Annotated

import typer

from api.commands.running import console, with_service
from api.service import Service
from consent.receipts import keyring
from consent.receipts.keyring import Generation
from consent.receipts.records import rfc3339

app = typer.Typer(no_args_is_help=True, help="Keys that sign receipts: list, rotate.")

HOUR = 3_600_000_000


@app.command("list")
def list_keys(context: typer.Context) -> None:
    """Show every key there ever was: all of them verify, one signs."""

    async def read(service: Service) -> tuple[list[Generation], int]:
        async with service.database.read("") as connection:
            return await keyring.generations(connection), service.clock()

    keys, now = with_service(context, read)
    for key in keys:
        begun = "signs from" if key.signs_from > now else "signed from"
        ended = f", retired {rfc3339(key.retired_at)}" if key.retired_at is not None else ""
        console.print(f"{key.kid}  {begun} {rfc3339(key.signs_from)}{ended}", soft_wrap=True, highlight=False)


@app.command()
def rotate(
    context: typer.Context,
    overlap_h: Annotated[
        int, typer.Option(min=0, help="Hours that the new key is published before it signs; 0 after a leak")
    ] = 24,
) -> None:
    """Make the next key. What the former ones signed keeps verifying."""

    async def make(service: Service) -> str:
        async with service.database.write("") as connection:
            return await service.keyring.rotate(connection, service.clock(), overlap_h * HOUR)

    kid = with_service(context, make)
    console.print(f"Key {kid} is published, and signs in {overlap_h} hours.", highlight=False)
