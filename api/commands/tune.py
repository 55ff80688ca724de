"""`assent tune`: the command itself. What it does is in `tuning`, which takes seconds to import."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.evaluate import with_extra
from api.commands.running import Failed


def tune(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(help="Deskdrop's file, a MovieLens folder, or a CSV or Parquet file of events"),
    ] = None,
    app_id: Annotated[
        str | None, typer.Option("--app", help="Tune on this app's events that people granted for `measure`")
    ] = None,
    study: Annotated[
        Path, typer.Option(help="File where trials are written down; the same one goes on where it stopped")
    ] = Path("tune.journal"),
    trials: Annotated[
        int, typer.Option(min=1, max=10_000, help="Settings to try, those of before included")
    ] = 30,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Stop after so many, those of before included")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the search and of training")] = 0,
) -> None:
    """Find the settings of training that are best on a validation part, and print them as the service takes them."""
    if (data is None) == (app_id is None):
        raise Failed("say what to tune on: either a file or folder, or --app", code=2)
    with_extra("tuning").run(context, data, app_id, study, trials=trials, seconds=seconds, seed=seed)
