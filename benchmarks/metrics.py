"""Metrics of many lists: memory of the largest size that is promised, and time against RecTools on the same lists.

RecTools is timed in an environment of its own, `.venv-rectools`, which `make rectools` sets up; without it that
comparison is left out and said to be. Lists go there as CSV files.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmarks.table import Row
from evaluation.metrics import METRICS, Background, Measured, MetricName, measure
from evaluation.ranking import Lists, judged, top

T = TypeVar("T")

ITEMS, TOPICS, FACTORS = 10_000, 20, 32
LARGE, SMALL = 100_000, 5_000
CUTS = (1, 2, 3, 5, 10, 20, 30, 50, 75, 100)
KNOWN, WANTED = 20, 10
_BATCH = 1_024

THEIRS = Path(__file__).parents[1] / ".venv-rectools" / "bin" / "python"
SHARED: tuple[MetricName, ...] = (
    "ndcg", "recall", "precision", "map", "mrr", "hit_rate", "coverage", "novelty",
)  # fmt: skip
"""What both have, by the same definition."""


def compare() -> list[Row]:
    """Measure the large size in a process of its own, so that its peak is its own; then both on the small size."""
    command = [sys.executable, "-m", "benchmarks.metrics"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    size = f"{LARGE:,} people x {ITEMS:,} items, {len(CUTS)} cut-offs, {len(METRICS)} metrics"
    peak, seconds = (
        found["peak_mb"],
        f"{found['ranking_s']:.0f} s ranking, {found['measuring_s']:.0f} s metrics",
    )
    rows = [Row(f"memory at most, {size}", seconds, None, f"{peak:.0f} MB", "", "<= 2048 MB", peak <= 2_048)]
    what = f"{len(SHARED)} metrics, {len(CUTS)} cut-offs, {SMALL:,} people"
    if not THEIRS.is_file():
        return [*rows, Row(f"{what} (left out: `make rectools` first)", "RecTools", None, "", "")]
    return [*rows, _against_rectools(what)]


def _against_rectools(what: str) -> Row:
    lists, known, wanted = made_up(SMALL)
    ours = min(_timed(lambda: measure(lists, known, SHARED, CUTS))[0] for _ in range(3))
    values = measure(lists, known, SHARED, CUTS)
    with tempfile.TemporaryDirectory() as scratch:
        _write(Path(scratch), lists, known, wanted)
        script = Path(__file__).with_name("rectools_metrics.py")
        command = [str(THEIRS), str(script), scratch, *map(str, CUTS)]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(3)
        ]
    _same(values, runs[0]["values"])
    theirs = min(run["seconds"] for run in runs)
    ratio = theirs / ours
    return Row(
        f"RecTools' time / ours: {what}",
        "RecTools",
        ratio,
        f"{ours:.2f} s",
        f"{theirs:.2f} s",
        ">= 1",
        ratio >= 1,
    )


def _same(ours: dict[tuple[MetricName, int], Measured], theirs: dict[str, float]) -> None:
    """Raise unless both say the same; a ratio of different things would say nothing."""
    for (name, cut), one in ours.items():
        if one.value is None or not np.isclose(one.value, theirs[f"{name} {cut}"], rtol=1e-6):
            raise RuntimeError(f"{name}@{cut} is {one.value} here and {theirs[f'{name} {cut}']} in RecTools")


def made_up(people: int) -> tuple[Lists, Background, csr_array]:
    """Lists of a factor model for people whose known and wanted items are drawn at random, the low numbers more often."""
    random = np.random.default_rng(7)
    items = random.normal(size=(ITEMS, FACTORS)).astype(np.float32)
    drawn = (ITEMS * random.random((people, KNOWN + WANTED)) ** 2).astype(np.int64)
    known, wanted = _pairs(drawn[:, :KNOWN]), _pairs(drawn[:, KNOWN:])
    wanted = csr_array(wanted - wanted.multiply(known))
    wanted.eliminate_zeros()
    measured = np.flatnonzero(np.diff(wanted.indptr))
    known, wanted = known[measured], wanted[measured]
    order = random.permutation(ITEMS)
    parts = [
        _ranked(items, known[start : start + _BATCH], order, random)
        for start in range(0, len(measured), _BATCH)
    ]
    topics = np.eye(TOPICS, dtype=np.float32)[np.arange(ITEMS) % TOPICS]
    counts = np.bincount(known.indices, minlength=ITEMS)
    return (
        judged(np.concatenate(parts), wanted),
        Background(len(measured), counts, known, topics, topics),
        wanted,
    )


def _ranked(
    items: NDArray[np.float32], known: csr_array, order: NDArray[np.intp], random: np.random.Generator
) -> NDArray[np.intp]:
    people = random.normal(size=(known.shape[0], FACTORS)).astype(np.float32)
    scores = (people @ items.T).astype(np.float64)
    past = known.tocoo()
    scores[past.row, past.col] = -np.inf
    return top(scores, max(CUTS), order)


def _pairs(drawn: NDArray[np.int64]) -> csr_array:
    """(people, ITEMS) ones at what was drawn, once each."""
    rows = np.repeat(np.arange(len(drawn)), drawn.shape[1])
    pairs = csr_array((np.ones(drawn.size, np.float32), (rows, drawn.ravel())), shape=(len(drawn), ITEMS))
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return pairs


def _write(folder: Path, lists: Lists, known: Background, wanted: csr_array) -> None:
    people, length = lists.items.shape
    rows = {"user_id": np.repeat(np.arange(people), length), "item_id": lists.items.ravel()}
    pl.DataFrame({**rows, "rank": np.tile(np.arange(1, length + 1), people)}).write_csv(folder / "lists.csv")
    for name, matrix in (("wanted", wanted), ("known", known.known)):
        row, column = matrix.tocoo().coords
        pl.DataFrame({"user_id": row, "item_id": column}).write_csv(folder / f"{name}.csv")
    (folder / "catalogue.json").write_text(str(lists.catalogue), "utf-8")


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def main() -> None:
    """Measure the large size in this process, and print seconds and peak memory as JSON."""
    ranking_s, (lists, known, _) = _timed(lambda: made_up(LARGE))
    measuring_s, _ = _timed(lambda: measure(lists, known, list(METRICS), CUTS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024  # Linux counts in KB
    print(json.dumps({"peak_mb": peak, "ranking_s": ranking_s, "measuring_s": measuring_s}))


if __name__ == "__main__":
    main()
