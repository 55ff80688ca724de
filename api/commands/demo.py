"""`assent demo`: a small simulated community, a trained model, and a partner app to try it all in."""

import asyncio
import base64
import errno
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from api import administration, schema, serving
from api.commands.running import Failed, console, progress_of, settings_of
from api.demo import community, partner
from api.keys import Scope
from api.service import Service
from api.settings import Settings
from api.training import Outcome, train_app
from recommender.exchange import shipped

APP_ID, APP_NAME = "demo", "Harbour (demo)"


def demo(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option(help="Where the demo's database and models go; made anew each time")
    ] = Path("demo"),
    people: Annotated[int, typer.Option(min=50, max=5000, help="How many people are simulated")] = 300,
) -> None:
    """Simulate a small community, train, serve, and print the links."""
    settings = settings_of(
        context,
        database_url=f"sqlite:///{folder / 'demo.db'}",
        releases_url=str(folder / "releases"),
        register_url=str(folder / "erasures"),
        secret=base64.b64encode(secrets.token_bytes(32)).decode(),
    )
    listening = _listening(settings)
    _clear(folder)
    key = asyncio.run(_prepare(settings, people))
    serving.serve(
        settings,
        with_worker=True,
        listening=listening,
        extend=lambda app: partner.attach(app, key),
        ready=_links,
    )


def _listening(settings: Settings) -> socket.socket:
    try:
        return serving.listen(settings.host, settings.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise Failed(f"cannot listen on {settings.host}: {error.strerror}", code=2) from None
        console.print(f"Port {settings.port} is taken; using a free one.", highlight=False)
        return serving.listen(settings.host, 0)


def _clear(folder: Path) -> None:
    """Remove a former demo, and nothing else that may lie in the folder."""
    if folder.exists() and not folder.is_dir():
        raise Failed(f"{folder} is not a folder", code=2)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("demo.db", "demo.db-wal", "demo.db-shm"):
        (folder / name).unlink(missing_ok=True)
    for name in ("releases", "erasures"):
        shutil.rmtree(folder / name, ignore_errors=True)


async def _prepare(settings: Settings, people: int) -> str:
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Creating the database", total=1.0)
        await schema.migrate(settings.database_url)
        bar.update(task, completed=1.0)
        service = Service.create(settings)
        try:
            key, found = await _settled(service, people, bar)
        finally:
            await service.close()
    _summary(found)
    return key


@dataclass(frozen=True)
class _Found:
    """What the demo stands on."""

    resources: int
    people: int
    events: int
    outcome: Outcome


async def _settled(service: Service, people: int, bar: Progress) -> tuple[str, _Found]:
    """Bring in a catalogue, a community and a model; return the demo app's key, and what there is."""
    task = bar.add_task("Loading the catalogue", total=1.0)
    await administration.ensure_app(service, APP_ID, APP_NAME)
    resources = shipped()
    await administration.import_catalog(service, APP_ID, resources)
    bar.update(task, completed=1.0)
    simulating = bar.add_task(f"Simulating {people} people", total=1.0)

    def told(done: int, of: int) -> None:
        bar.update(simulating, completed=done / of)

    stored = await community.simulate(service, APP_ID, people_count=people, seed=1, progress=told)
    task = bar.add_task("Training the model", total=1.0)
    tell = progress_of(bar, task)
    outcome = await train_app(service, APP_ID, lambda _, part: tell("Training the model", part))
    bar.update(task, completed=1.0)
    scopes = [Scope.RECOMMEND, Scope.EVENTS, Scope.CONSENT, Scope.ERASE, Scope.CATALOG]
    key = await administration.create_key(service, APP_ID, "demo partner app", scopes)
    return key.text, _Found(len(resources), people, stored, outcome)


def _summary(found: _Found) -> None:
    outcome = found.outcome
    console.print(
        f"{found.resources} resources, {found.people} simulated people, {found.events} events that they chose to share.",
        highlight=False,
    )
    if outcome.holdout is not None:
        console.print(
            f"Model {outcome.status}: NDCG@10 {outcome.holdout.ndcg:.3f} on held-out events; "
            f"popularity reaches {outcome.holdout.popularity_ndcg:.3f}. (Simulated people: a figure of the simulation, not of the world.)",
            highlight=False,
        )


def _links(address: str) -> None:
    console.print(
        Panel(
            f"A partner app to try   {address}/demo/\n"
            f'Consent page           open it from there: "What may be used"\n'
            f"API documentation      {address}/docs\n\n"
            "Everybody in it is simulated. Ctrl+C stops it.",
            title="Assent is ready",
            highlight=False,
        )
    )
