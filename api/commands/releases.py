"""`assent releases`: trained models, and which of them is served."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Column, Table

from api import administration, proving, releasing
from api.commands.running import Failed, console, with_service
from api.releasing import Difference, NoSuchRelease, NotServable
from api.service import Service
from recommender import registry
from recommender.errors import CorruptRelease
from recommender.registry import ReleaseRecord

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, help="Trained models: list, compare, promote, roll back, thin out, verify."
)
AppId = Annotated[str, typer.Option("--app", help="The partner app")]
Retrain = Annotated[bool, typer.Option("--retrain", help="Of a release: train every shard again, too")]
ReleaseId = Annotated[str, typer.Argument(help="The release's id, as `assent releases list` shows it")]


def _run(context: typer.Context, app_id: str, work: Callable[[Service], Awaitable[T]]) -> T:
    """Do something with an app's releases, and say in plain words what is in the way."""

    async def checked(service: Service) -> T:
        await administration.require_app(service, app_id)
        return await work(service)

    try:
        return with_service(context, checked)
    except NoSuchRelease as missing:
        raise Failed(f"there is no release {missing}") from None
    except (NotServable, CorruptRelease) as wrong:
        raise Failed(str(wrong)) from None
    except ValueError as wrong:
        raise Failed(str(wrong)) from None


@app.command("list")
def list_releases(context: typer.Context, app_id: AppId = "demo") -> None:
    """Show every release, newest first."""

    async def work(service: Service) -> list[ReleaseRecord]:
        async with service.database.read(app_id) as connection:
            return await registry.releases(connection, app_id)

    # Ids are copied from here, so other columns give way on a narrow terminal.
    table = Table(Column("release", no_wrap=True), "status", "NDCG@10", "popularity", "digest")
    for each in _run(context, app_id, work):
        figures = [each.metrics.get(name) for name in ("ndcg@10", "popularity_ndcg@10")]
        shown = ["" if figure is None else f"{figure:.4f}" for figure in figures]
        table.add_row(each.release_id, each.status, *shown, each.digest[:12])
    console.print(table)


@app.command()
def diff(context: typer.Context, former: ReleaseId, latter: ReleaseId, app_id: AppId = "demo") -> None:
    """Show what differs between two releases."""
    found = _run(context, app_id, lambda service: releasing.difference(service, app_id, former, latter))
    for line in _told(found):
        console.print(line, highlight=False)


def _told(found: Difference) -> list[str]:
    lines = [f"{name}: {one} -> {other}" for name, (one, other) in found.settings.items()]
    lines += [f"{name}: {one:,} -> {other:,}" for name, (one, other) in found.learned.items()]
    lines += [f"{name}: {one} -> {other}" for name, (one, other) in found.metrics.items()]
    for what, names in (("added", found.resources_added), ("removed", found.resources_removed)):
        if names:
            lines.append(f"resources {what}: {', '.join(names)}")
    shards = ", ".join(map(str, found.shards)) if found.shards else "none"
    return [*lines, f"shards that differ: {shards}"]


@app.command()
def promote(context: typer.Context, release_id: ReleaseId, app_id: AppId = "demo") -> None:
    """Serve a release from now on. One that has learned from somebody who left since is refused."""

    async def work(service: Service) -> ReleaseRecord:
        async with service.database.write(app_id) as connection:
            return await releasing.promote(connection, app_id, release_id, service.clock())

    console.print(f"{_run(context, app_id, work).release_id} is served.", highlight=False)


@app.command("roll-back")
def roll_back(context: typer.Context, app_id: AppId = "demo") -> None:
    """Serve the release that was served before the present one was made."""

    async def work(service: Service) -> ReleaseRecord:
        async with service.database.write(app_id) as connection:
            return await releasing.roll_back(connection, app_id, service.clock())

    console.print(f"{_run(context, app_id, work).release_id} is served again.", highlight=False)


@app.command()
def prune(
    context: typer.Context,
    app_id: AppId = "demo",
    keep: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many that are not served to keep; as set for the service when left out"
        ),
    ] = None,
) -> None:
    """Destroy the files of old releases that are not served."""

    async def work(service: Service) -> list[str]:
        return await releasing.thin_out(
            service, app_id, service.settings.releases_kept if keep is None else keep
        )

    gone = _run(context, app_id, work)
    console.print(
        "\n".join(f"{each} is destroyed." for each in gone) or "Nothing to destroy.", highlight=False
    )


@app.command()
def verify(
    context: typer.Context,
    release_id: ReleaseId,
    app_id: AppId = "demo",
    retrain: Retrain = False,
) -> None:
    """Make a release's training rows again from what people granted, and compare. Status 1 when something differs."""
    verdicts = _run(
        context,
        app_id,
        lambda service: proving.verify_release(service, app_id, release_id, train=retrain),
    )
    for each in verdicts:
        rows = "the rows are those it learned from" if each.rows else "it learned from other rows"
        arrays = {True: "; trained again, it is the same", False: "; trained again, it differs", None: ""}
        console.print(f"shard {each.number}: {rows}{arrays[each.arrays]}", highlight=False)
    if not all(each.rows and each.arrays is not False for each in verdicts):
        raise typer.Exit(1)


@app.command()
def prove(
    context: typer.Context,
    release_id: ReleaseId,
    user_id: Annotated[str, typer.Argument(help="The app's own id of the user")],
    app_id: AppId = "demo",
) -> None:
    """Print a proof that a release learned from a person, or that it did not."""
    proof = _run(context, app_id, lambda service: proving.prove_person(service, app_id, release_id, user_id))
    console.print_json(json.dumps(proof))
