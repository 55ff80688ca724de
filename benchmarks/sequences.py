"""What ships against SASRec, the sequence model to pass: NDCG@10 on the test part of two data sets.

SASRec is chosen on validation, with the budget that every baseline has in `assent evaluate`; ours is as it ships. It takes
PyTorch (`pip install 'assent[sasrec]'`) and hours. `python -m benchmarks sasrec --data FOLDER`, the folder as of `accuracy`.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.table import Row
from evaluation import experiment
from evaluation.config import Deskdrop, ExperimentConfig, MovieLens, Source

OURS, THEIRS = "ours_shipped", "sasrec"


def data_sets(data: Path) -> tuple[Source, ...]:
    """The data sets in a folder."""
    return (
        MovieLens(path=data / "ml-latest-small"),
        Deskdrop(path=data / "deskdrop/users_interactions.csv.gz"),
    )


def compare(data: Path, cache: Path, say: Callable[[str], None]) -> list[Row]:
    """Measure both on each data set; what an interrupted run had computed is in `cache`."""
    return [
        against_sasrec(
            ExperimentConfig.model_validate(
                {"dataset": each, "models": (OURS, THEIRS), "metrics": ("ndcg",), "k": (10,)}
            ),
            cache,
            say,
        )
        for each in data_sets(data)
    ]


def against_sasrec(config: ExperimentConfig, cache: Path, say: Callable[[str], None]) -> Row:
    """Run one experiment with the two models."""
    result = experiment.run(config, lambda step, done, of: say(f"{done}/{of} {step}"), cache=cache)
    found = {row["model"]: row for row in result.scores.iter_rows(named=True)}
    ours, theirs = found[OURS], found[THEIRS]
    difference = result.differences.row(by_predicate=pl.col("model") == THEIRS, named=True)
    ratio = ours["value"] / theirs["value"]
    return Row(
        f"NDCG@10, {result.facts['dataset']}",
        f"SASRec, the best of {config.trials} on validation",
        ratio,
        f"{ours['value']:.4f} ({ours['low']:.4f} to {ours['high']:.4f})",
        f"{theirs['value']:.4f} ({theirs['low']:.4f} to {theirs['high']:.4f}); ours: {difference['verdict']}",
        "> 1",
        ratio > 1,
    )
