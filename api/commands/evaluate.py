"""`assent evaluate`: the command itself. What it does is in `evaluating`, which only this command needs to load."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.running import Failed


def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(help="Deskdrop's file, a MovieLens folder, or a CSV or Parquet file of events"),
    ] = None,
    app_id: Annotated[
        str | None,
        typer.Option("--app", help="Evaluate on this app's events that people granted for `measure`"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file that says everything (see docs/evaluation.md)")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Models to compare, separated by commas; all when left out")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for report.html and report.json")] = Path("reports"),
    seed: Annotated[int, typer.Option(help="Seed of training and bootstrap")] = 0,
) -> None:
    """Compare our model with baselines and write a report."""
    if sum(given is not None for given in (data, app_id, config)) != 1:
        raise Failed("say what to evaluate on: a file or folder, --app, or --config", code=2)
    # LightFM and the statistics take seconds to import, and memory: `assent serve` should not pay for them.
    from api.commands import evaluating  # noqa: PLC0415

    chosen = evaluating.config(data, config, models, seed)
    given = evaluating.consented(context, app_id) if app_id is not None else None
    evaluating.run(chosen, given, output)
