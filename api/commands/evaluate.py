"""`assent evaluate`: how good the recommendations are, on files or on what people granted for `measure`."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.commands.running import Failed, console, with_service
from api.service import Service
from consent.purposes import Purpose
from evaluation import datasets, experiment, report
from evaluation.config import ExperimentConfig
from evaluation.errors import EvaluationError
from recommender import store


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
    chosen = _config(data, config, models, seed)
    given = None if app_id is None else with_service(context, lambda service: _consented(service, app_id))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("starting", total=None)
            result = experiment.run(
                chosen,
                lambda step, done, steps: bar.update(task, description=step, completed=done, total=steps),
                given=given,
            )
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None
    console.print(report.table(result))
    console.print(f"The report is in {report.write(result, output)}.")


def _config(data: Path | None, config: Path | None, models: str | None, seed: int) -> ExperimentConfig:
    if config is not None:
        try:
            content = yaml.safe_load(config.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Failed(f"{config}: cannot be read ({type(error).__name__})", code=2) from None
    else:
        content = {"dataset": _source(data), "seed": seed}
        if models is not None:
            content["models"] = [name.strip() for name in models.split(",")]
    try:
        return ExperimentConfig.model_validate(content)
    except ValidationError as wrong:
        told = [
            f"{'.'.join(map(str, each['loc'])) or 'configuration'}: {each['msg']}" for each in wrong.errors()
        ]
        raise Failed("\n".join(told), code=2) from None


def _source(data: Path | None) -> dict[str, Any]:
    if data is None:
        return {"kind": "given"}
    if data.is_dir():
        return {"kind": "movielens", "path": data}
    kind = "deskdrop" if data.name.startswith("users_interactions") else "table"
    return {"kind": kind, "path": data}


async def _consented(service: Service, app_id: str) -> datasets.Dataset:
    async with service.database.read(app_id, Purpose.MEASURE) as connection:
        events = await store.granted_events(
            connection, app_id, Purpose.MEASURE, now=service.clock(), notices=service.notices
        )
        resources = await store.list_resources(connection, app_id)
    return datasets.consented(
        events, {each.id: each.topics for each in resources}, f"consented events of {app_id}"
    )
