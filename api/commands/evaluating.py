"""Runs evaluations for the terminal: progress, the table, the report; and compares reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import typer
import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.commands.running import Failed, console, with_service
from api.measured import measured
from evaluation import comparison, datasets, experiment, report
from evaluation.config import ExperimentConfig, source
from evaluation.errors import EvaluationError
from evaluation.report import terminal


def run(chosen: ExperimentConfig, given: datasets.Dataset | None, output: Path, cache: Path) -> None:
    """Run an experiment, print its table, and write its report."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=None)
            result = experiment.run(
                chosen,
                lambda step, done, steps: bar.update(task, description=step, completed=done, total=steps),
                given=given,
                cache=cache,
            )
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None
    console.print(terminal.told(result), highlight=False)
    page = report.write(result, output)
    console.print(
        f"\nCharts, all metrics and every slice: {page}\nThe same figures for programs: {page.parent / comparison.JSON}",
        highlight=False,
        soft_wrap=True,
    )


def consented(context: typer.Context, app_id: str) -> datasets.Dataset:
    """Return the events of an app that people granted for `measure`."""
    try:
        return with_service(context, lambda service: measured(service, app_id))
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None


def compare(a: Path, b: Path) -> None:
    """Print what changed from one report to another."""
    try:
        found = comparison.compare(comparison.Report.read(a), comparison.Report.read(b))
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None
    for name, before, after in found.changed:
        console.print(f"{name}: {before} -> {after}", highlight=False, markup=False)
    console.print(terminal.changes(found))
    _tell(found.further)


def _tell(further: pl.DataFrame) -> None:
    """Print what changed beside scores, as far as it is clear or small enough to be read; count the rest."""
    if further.is_empty():
        return
    unclear = (pl.col("verdict") == "no clear difference").fill_null(value=False)
    table = Table("Finding", "Of", "Figure", "A", "B", "B - A", "B is", title="Beside scores")
    for row in further.filter(~unclear).to_dicts():
        figures = (f"{row[name]:.4f}" for name in ("a", "b", "difference"))
        table.add_row(row["finding"], row["of"], row["figure"], *figures, row["verdict"] or "")
    if table.rows:
        console.print(table)
    alike = len(further.filter(unclear))
    console.print(
        f"Of {len(further):,} findings beside scores, {alike:,} differ by no more than chance would."
    )


def config(
    data: Path | None,
    file: Path | None,
    models: str | None,
    said: Mapping[str, int],
    beside: Sequence[str] = (),
    *,
    app: bool = False,
) -> ExperimentConfig:
    """Return what is asked for, from a file and from the flags; a wrong field ends the command by name.

    Args:
        data: what to evaluate on, where neither the file nor an app says it.
        file: YAML.
        models: separated by commas.
        said: fields that flags give.
        beside: further measurements that flags ask for: as the file has them, else with their defaults.
        app: whether the events are an app's own.
    """
    content = {} if file is None else _read(file)
    if data is not None or app:
        asked = source_of(data)
        if content.setdefault("dataset", asked) != asked:
            raise Failed(
                f"{file}: dataset: names one, and so does the command; leave one of them out", code=2
            )
    elif content.get("dataset") in (None, {"kind": "given"}):
        raise Failed("say what to evaluate on: a file or folder, --app, or `dataset` in --config", code=2)
    content |= said
    content |= {name: content.get(name) or {} for name in beside}
    if models is not None:
        content["models"] = [name.strip() for name in models.split(",")]
    try:
        return ExperimentConfig.model_validate(content)
    except ValidationError as wrong:
        raise Failed("\n".join(map(_told, wrong.errors())), code=2) from None


def _told(error: ErrorDetails) -> str:
    """A wrong field and what is wrong with it, in a line."""
    unknown = error["type"] == "extra_forbidden"
    where = ".".join(map(str, error["loc"])) or "configuration"
    return f"{where}: {'there is no such field' if unknown else error['msg']}"


def _read(file: Path) -> dict[str, Any]:
    """The fields of a YAML file."""
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Failed(f"{file}{line}: is not YAML: {error.problem}", code=2) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failed(f"{file}: cannot be read ({type(error).__name__})", code=2) from None
    if not isinstance(content, dict):
        raise Failed(f"{file}: is not a mapping of fields", code=2)
    return content


def source_of(data: Path | None) -> dict[str, Any]:
    """Say what kind of data lies at a path, as configurations do; without one, it is handed over."""
    return {"kind": "given"} if data is None else source(data)
