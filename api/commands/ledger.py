"""`assent ledger`: an app's consent ledger, written out so that anyone can check it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api import administration, ledger_export, transparency
from api.commands.running import Failed, console, with_service
from api.service import Service
from consent.errors import LogCorrupt

app = typer.Typer(
    no_args_is_help=True, help="The consent ledger, for auditors: export it, and tell its keys."
)

AppId = Annotated[str, typer.Option("--app", help="The partner app")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write")]
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@app.command()
def export(
    context: typer.Context,
    output: Output,
    app_id: AppId = "demo",
    leaves_only: Annotated[
        bool, typer.Option(help="Leave out the entries, for an auditor who may not see them")
    ] = False,
) -> None:
    """Write the whole ledger, with signed checkpoints, as a file for `assent verify`."""

    async def work(service: Service) -> int:
        await administration.require_app(service, app_id)
        size = 0
        with Progress(*COLUMNS, console=console) as bar, output.open("wb") as file:
            task = bar.add_task("writing the ledger", total=None)
            async for done, size, line in ledger_export.lines(service, app_id, opened=not leaves_only):
                file.write(line)
                if done % 1_000 == 0 or done == size:
                    bar.update(task, completed=done, total=size)
        return size

    try:
        size = with_service(context, work)
    except LogCorrupt as corrupt:
        raise Failed(f"The log in the database is damaged: {corrupt}.") from None
    console.print(f"{size:,} entries written to {output}.", highlight=False)
    if not leaves_only:
        console.print("It holds what people chose, under pseudonyms: hand it to nobody who may not see that.")


@app.command()
def keys(context: typer.Context, output: Output, app_id: AppId = "demo") -> None:
    """Write the public keys that verify the ledger and its receipts."""

    async def work(service: Service) -> dict[str, Any]:
        await administration.require_app(service, app_id)
        return await transparency.keys(service, app_id)

    document = json.dumps(with_service(context, work), indent=2)
    try:
        output.write_text(document + "\n", encoding="utf-8")
    except OSError as error:
        raise Failed(f"{output}: cannot be written ({type(error).__name__})") from None
    console.print(f"Written to {output}.", highlight=False)
