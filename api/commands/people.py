"""`assent erase` and `assent export`: what a person may ask of whoever holds their data."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from api import administration, archive, erasing, exporting, people
from api.commands.running import Failed, console, with_service
from api.pages.wording import LANGUAGES, words
from api.service import Service
from api.spool import Spool

AppId = Annotated[str, typer.Option("--app", help="The partner app")]
User = Annotated[str, typer.Argument(help="The app's own id of the user")]


def erase(context: typer.Context, user_id: User, app_id: AppId = "demo") -> None:
    """Delete everything of a person; the model is trained without them by the next worker."""

    async def work(service: Service) -> dict[str, Any]:
        await administration.require_app(service, app_id)
        user_hash = service.pseudonyms.user(app_id, user_id)
        async with service.database.write(app_id) as connection:
            done = await erasing.erase(service, connection, app_id, user_hash)
        await service.database.scrub()
        return people.erasure_json(done)

    console.print_json(json.dumps(with_service(context, work)))


def export(
    context: typer.Context,
    user_id: User,
    app_id: AppId = "demo",
    output: Annotated[
        Path | None,
        typer.Option(
            help="A file; with .zip at its end an archive with a page to read. The terminal when left out"
        ),
    ] = None,
    language: Annotated[str, typer.Option(help=f"Of the page in the archive: {', '.join(LANGUAGES)}")] = "en",
) -> None:
    """Write down everything that is held on a person."""
    if language not in LANGUAGES:
        raise Failed(f"{language} is not a language of the pages: {', '.join(LANGUAGES)}", code=2)

    async def work(service: Service) -> None:
        await administration.require_app(service, app_id)
        user_hash = service.pseudonyms.user(app_id, user_id)
        if output is None:
            # A terminal, or whoever reads from a pipe, may take long; the database is let go before.
            with closing(Spool()) as spool:
                await spool.fill(exporting.as_json(service, app_id, user_hash))
                async for chunk in spool.chunks():
                    typer.echo(chunk, nl=False)
            typer.echo()
            return
        as_zip = output.suffix.lower() == ".zip"
        with output.open("wb") as file:
            async for chunk in (
                archive.as_zip(service, app_id, user_hash, words(language))
                if as_zip
                else exporting.as_json(service, app_id, user_hash)
            ):
                file.write(chunk)

    with_service(context, work)
    if output is not None:
        console.print(f"Written to {output}.")
