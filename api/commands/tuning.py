"""Tunes the training for the terminal: progress, the best settings, and how to set them."""

import shlex
from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.commands import evaluating
from api.commands.running import Failed, complaints, console, settings_of
from evaluation.config import ExperimentConfig
from evaluation.datasets import Dataset
from evaluation.errors import EvaluationError
from evaluation.training_search import Found, search
from recommender.training import TrainingConfig


def run(
    context: typer.Context,
    data: Path | None,
    app_id: str | None,
    study: Path,
    *,
    trials: int,
    seconds: float | None,
    seed: int,
) -> None:
    """Search, and print what was found."""
    given, training = None, TrainingConfig()
    if app_id is not None:
        given, training = evaluating.consented(context, app_id), settings_of(context).training
    config = ExperimentConfig.model_validate(
        {
            "dataset": evaluating.source_of(data),
            "trials": trials,
            "trial_seconds": seconds,
            "seed": seed,
            "training": training,
        }
    )
    try:
        found = _search(config, given, study)
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None
    except KeyboardInterrupt:
        complaints.print(f"Stopped. The same command goes on; what was tried is in {study}.", highlight=False)
        raise typer.Exit(130) from None
    _say(found)


def _search(config: ExperimentConfig, given: Dataset | None, study: Path) -> Found:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("reading", total=config.trials)

        def tell(number: int) -> None:
            bar.update(task, description=f"trial {number + 1}", completed=number)

        found = search(config, tell, given=given, journal=study)
        bar.update(task, description="done", completed=config.trials)
    return found


def _say(found: Found) -> None:
    chosen = found.chosen
    usual = "diverged" if chosen.usual is None else f"{chosen.usual:.4f}"
    lines = [
        f"{chosen.trials} trials, {chosen.trials_now} of them now: {chosen.pruned} stopped early, {chosen.failed} diverged.",
        f"NDCG@10 on validation: {chosen.value:.4f}; the settings that ship: {usual}.",
        "The best settings:",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    # Nothing may break this line: it is copied into a shell.
    typer.echo(f"export ASSENT_TRAINING_CONFIG={shlex.quote(found.setting)}")
