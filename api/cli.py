"""`assent`: everything an operator, a partner developer or a data scientist does from a terminal."""

import asyncio
import base64
import json
import secrets
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from api import administration, people, serving, worker
from api import schema as database_schema
from api.commands import catalog, demo, evaluate, keys
from api.commands.running import (
    Failed,
    connecting,
    console,
    progress_of,
    settings_of,
    settings_options,
    with_service,
)
from api.service import Service
from api.training import Outcome, train_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Recommends coping resources from only those signals that each person chose to share.",
)
app.add_typer(catalog.app, name="catalog")
app.add_typer(keys.app, name="keys")
app.command()(evaluate.evaluate)
app.command()(demo.demo)

AppId = Annotated[str, typer.Option("--app", help="The partner app")]


def _settings(_context: typer.Context) -> None:
    """Assent: consent-based recommendations of coping resources."""


app.callback()(settings_options(_settings))


@app.command()
def secret() -> None:
    """Print a new secret for ASSENT_SECRET."""
    typer.echo(base64.b64encode(secrets.token_bytes(32)).decode())


@app.command()
def migrate(context: typer.Context) -> None:
    """Create the database's schema, or bring it up to date."""
    settings = settings_of(context)
    with connecting():
        asyncio.run(database_schema.migrate(settings.database_url))
    console.print("The database is up to date.")


@app.command()
def serve(
    context: typer.Context,
    with_worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run a worker beside it")] = True,
) -> None:
    """Serve the HTTP API and the pages."""
    settings = settings_of(context)
    with_service(context, _nothing)  # an outdated database is refused here, in plain words
    serving.serve(settings, with_worker=with_worker)


async def _nothing(_service: Service) -> None:
    """Find out that the service can be made, and no more."""


@app.command("worker")
def run_worker(context: typer.Context) -> None:
    """Do the trainings that wait, and remove what is over; until told to stop."""

    async def work(service: Service) -> None:
        stop = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, stop.set)
        await worker.run(service, stop)

    with_service(context, work)


@app.command()
def train(context: typer.Context, app_id: AppId = "demo") -> None:
    """Train an app's model now, and promote it when it beats popularity."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())

    async def work(service: Service) -> Outcome:
        await administration.require_app(service, app_id)
        with Progress(*columns, console=console) as bar:
            return await train_app(service, app_id, progress_of(bar, bar.add_task("reading", total=1.0)))

    outcome = with_service(context, work)
    if outcome.holdout is not None:
        ours, popularity = outcome.holdout.ndcg, outcome.holdout.popularity_ndcg
        console.print(
            f"NDCG@10 on held-out events of {outcome.holdout.people} people: {ours:.4f}, popularity {popularity:.4f}.",
            highlight=False,
        )
    console.print(f"{outcome.status}: {outcome.release_id or 'no release'}", highlight=False)
    if outcome.status != "promoted":
        raise typer.Exit(1)


User = Annotated[str, typer.Argument(help="The app's own id of the user")]


@app.command()
def erase(context: typer.Context, user_id: User, app_id: AppId = "demo") -> None:
    """Delete everything of a person; the model is trained without them by the next worker."""

    async def work(service: Service) -> dict[str, Any]:
        await administration.require_app(service, app_id)
        user_hash = service.pseudonyms.user(app_id, user_id)
        async with service.database.write(app_id) as connection:
            done = await people.erase(service, connection, app_id, user_hash)
        await service.database.scrub()
        return people.erasure_json(done)

    console.print_json(json.dumps(with_service(context, work)))


@app.command()
def export(
    context: typer.Context,
    user_id: User,
    app_id: AppId = "demo",
    output: Annotated[Path | None, typer.Option(help="A file; the terminal when left out")] = None,
) -> None:
    """Write down everything that is held on a person."""

    async def work(service: Service) -> dict[str, Any]:
        await administration.require_app(service, app_id)
        async with service.database.read(app_id) as connection:
            return await people.export(service, connection, app_id, service.pseudonyms.user(app_id, user_id))

    document = json.dumps(with_service(context, work), indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(document)
        return
    try:
        output.write_text(document + "\n", encoding="utf-8")
    except OSError as error:
        raise Failed(f"{output}: cannot be written ({type(error).__name__})") from None
    console.print(f"Written to {output}.")


if __name__ == "__main__":
    app()
