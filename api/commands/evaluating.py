"""Runs an evaluation for the terminal: progress, the table, the report."""

from pathlib import Path
from typing import Any

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


def run(chosen: ExperimentConfig, given: datasets.Dataset | None, output: Path) -> None:
    """Run an experiment, print its table, and write its report."""
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


def consented(context: typer.Context, app_id: str) -> datasets.Dataset:
    """Return the events of an app that people granted for `measure`."""
    try:
        return with_service(context, lambda service: _granted(service, app_id))
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None


def config(data: Path | None, file: Path | None, models: str | None, seed: int) -> ExperimentConfig:
    """Return what is asked for, from a file or from the flags; a wrong field ends the command by name."""
    if file is not None:
        try:
            content = yaml.safe_load(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Failed(f"{file}: cannot be read ({type(error).__name__})", code=2) from None
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


async def _granted(service: Service, app_id: str) -> datasets.Dataset:
    async with service.database.read(app_id, Purpose.MEASURE) as connection:
        events = await store.granted_events(
            connection, app_id, Purpose.MEASURE, now=service.clock(), notices=service.notices
        )
        resources = await store.list_resources(connection, app_id)
    return datasets.consented(
        events, {each.id: each.topics for each in resources}, f"consented events of {app_id}"
    )
