"""`assent evaluate`, `compare` and `policy`: the commands themselves. What they do is in `evaluating` and `estimating`."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.commands.running import Failed

_EXTRA = {"implicit", "optuna"}
"""What comes with the extra `evaluation` alone."""


class _RunUnlessNamed(TyperGroup):
    """Takes the first word for a command only if it is one; otherwise it is what to evaluate."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    cls=_RunUnlessNamed,
    help="Compare our model with baselines: `assent evaluate DATA` is `assent evaluate run DATA`.",
    rich_markup_mode=None,
)


@commands.command("run")
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
        Path | None,
        typer.Option(help="A YAML file that says what differs from the defaults (see docs/evaluation.md)"),
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Models to compare, separated by commas; all when left out")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Settings tried for each model on validation; 0 takes the usual ones")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How often each model that depends on chance is fitted")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of splits, choices, training and bootstrap")] = None,
    consent_value: Annotated[
        bool, typer.Option("--consent-value", help="Measure what consent is worth; fits many models")
    ] = False,
    erasure_drift: Annotated[
        bool, typer.Option("--erasure-drift", help="Measure what erasing people does to those who stay")
    ] = False,
    explanations: Annotated[
        bool, typer.Option("--explanations", help="Measure how far explanations can be trusted")
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder for report.html and report.json")] = Path("reports"),
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps what was computed from files; `cache` in the output folder if not said"
        ),
    ] = None,
) -> None:
    """Compare our model with baselines and write a report. An interrupted run on files goes on where it stopped."""
    if data is not None and app_id is not None:
        raise Failed("say what to evaluate on once: a file or folder, or --app", code=2)
    evaluating = with_extra("evaluating")
    said = {"trials": trials, "seeds": seeds, "seed": seed}
    beside = {
        "consent_value": consent_value,
        "erasure_drift": erasure_drift,
        "explanations": explanations,
    }
    chosen = evaluating.config(
        data,
        config,
        models,
        {name: value for name, value in said.items() if value is not None},
        [name for name, asked in beside.items() if asked],
        app=app_id is not None,
    )
    given = evaluating.consented(context, app_id) if app_id is not None else None
    evaluating.run(chosen, given, output, cache or output / "cache")


@commands.command()
def compare(
    a: Annotated[Path, typer.Argument(help="The folder of a report, or its report.json")],
    b: Annotated[Path, typer.Argument(help="The one to compare with it")],
) -> None:
    """Say what changed from one report to another, and whether more than chance would change."""
    with_extra("evaluating").compare(a, b)


@commands.command()
def policy(
    impressions: Annotated[
        Path,
        typer.Argument(help="A CSV or Parquet file with a row for each impression (see docs/evaluation.md)"),
    ],
    propensity: Annotated[
        str, typer.Option(help="Column: the probability with which it was shown")
    ] = "propensity",
    reward: Annotated[str, typer.Option(help="Column: what came of it; more is better")] = "reward",
    target: Annotated[
        str, typer.Option(help="Column: the probability with which the other policy would show it")
    ] = "target",
    person: Annotated[
        str | None, typer.Option(help="Column: whose impression it is; `person` where there is one")
    ] = None,
    predicted: Annotated[
        str | None, typer.Option(help="Column: the reward that a model predicts for what was shown")
    ] = None,
    expected: Annotated[
        str | None, typer.Option(help="Column: the same on average over what the other policy would show")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="Largest weight of the clipped estimates; √N when left out")
    ] = None,
    confidence: Annotated[float, typer.Option(help="How sure the intervals are")] = 0.95,
    samples: Annotated[int, typer.Option(help="Bootstrap samples")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap")] = 0,
) -> None:
    """Estimate what another policy would have been worth, from impressions that were left to chance."""
    from api.commands import estimating  # noqa: PLC0415  # SciPy takes a while: `assent serve` should not pay for it

    columns = {
        "propensity": propensity,
        "reward": reward,
        "target": target,
        "person": person,
        "predicted": predicted,
        "expected": expected,
    }
    estimating.run(impressions, columns, clip=clip, confidence=confidence, samples=samples, seed=seed)


def with_extra(name: str) -> ModuleType:
    """Import a module of commands: LightFM and the statistics take seconds, and memory, that `assent serve` should not pay for."""
    try:
        return import_module(f"api.commands.{name}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in _EXTRA:
            raise
        raise Failed(f"evaluation needs {missing.name}: pip install 'assent[evaluation]'") from None
