"""`assent`: everything an operator, a partner developer or a data scientist does from a terminal."""

import asyncio
import base64
import functools
import os
import secrets
import signal
import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from api import administration, job_figures, serving, telemetry, worker
from api import schema as database_schema
from api.commands import (
    apps,
    backup,
    catalog,
    demo,
    evaluate,
    jobs,
    keys,
    ledger,
    people,
    register,
    releases,
    removed,
    signing,
    tune,
    verify,
    webhooks,
)
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
app.add_typer(apps.app, name="apps")
app.add_typer(catalog.app, name="catalog")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.add_typer(releases.app, name="releases")
app.add_typer(register.app, name="register")
app.add_typer(signing.app, name="signing")
app.add_typer(jobs.app, name="jobs")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(evaluate.commands, name="evaluate")
app.command()(tune.tune)
app.command()(verify.verify)
app.command()(demo.demo)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(removed.removed)
app.command()(people.erase)
app.command()(people.export)

AppId = Annotated[str, typer.Option("--app", help="The partner app")]


def _settings(context: typer.Context) -> None:
    """Assent: consent-based recommendations of coping resources."""
    # Databases, their logs, releases, the register and exports speak of people: whatever a command writes is its
    # owner's alone. As long as the command runs, since a program that calls it has a mask of its own.
    context.call_on_close(functools.partial(os.umask, os.umask(0o077)))


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
    # An outdated database is refused here, in plain words; a register out of reach is waited for, and said by `/readyz`.
    with_service(context, _nothing, replay=False)
    try:
        listening = serving.listen(settings.host, settings.port)
    except OSError as error:
        raise Failed(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    serving.serve(settings, with_worker=with_worker, listening=listening)


async def _nothing(_service: Service) -> None:
    """Find out that the service can be made, and no more."""


@app.command("worker")
def run_worker(
    context: typer.Context,
    until_input_ends: Annotated[
        bool, typer.Option(hidden=True, help="Stop when the standard input ends, as it does with its parent")
    ] = False,
) -> None:
    """Do the work that waits, and remove what is over; until told to stop."""

    async def work(service: Service) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop.set)
        if until_input_ends:
            loop.add_reader(sys.stdin, stop.set)
        reported = telemetry.configured(service)
        async with job_figures.told(service, worker.KINDS, reported.get("meter_provider")):
            await worker.run(service, stop)
        await service.close()
        # A training whose job was given back still computes in its thread; nothing can stop that, and nobody waits for it.
        sys.stdout.flush()
        os._exit(0)

    with_service(context, work, replay=False)  # the worker waits for it itself


@app.command()
def train(context: typer.Context, app_id: AppId = "demo") -> None:
    """Train an app's model now, and promote it when it beats popularity and is not behind the release before."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())

    async def work(service: Service) -> Outcome:
        await administration.require_app(service, app_id)
        with Progress(*columns, console=console) as bar:
            return await train_app(service, app_id, progress_of(bar, bar.add_task("reading", total=1.0)))

    outcome = with_service(context, work)
    if (found := outcome.holdout) is not None:
        former = "" if found.former_ndcg is None else f", the release before {found.former_ndcg:.4f}"
        console.print(
            f"NDCG@10 on held-out events of {found.people} people: {found.ndcg:.4f}, popularity {found.popularity_ndcg:.4f}{former}.",
            highlight=False,
        )
    console.print(f"{outcome.status}: {outcome.release_id or 'no release'}", highlight=False)
    if outcome.status != "promoted":
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
