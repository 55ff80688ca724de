"""How training grows with the people and with the catalogue: seconds, what they are spent on, and memory at its peak.

Every size is a process of its own, so that its peak is its own. `python -m benchmarks growth`.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.crowd import TOPICS, crowd
from benchmarks.table import Row
from recommender import fitting
from recommender.commitments import Commitments
from recommender.fitting import Rows, fit
from recommender.parts import Part
from recommender.release import Recipe, TrainingConfig
from recommender.training import Given

SIZES = (
    (10_000, 6, 2_000),
    (100_000, 6, 2_000),
    (1_000_000, 3, 2_000),
    (20_000, 20, 50_000),
    (20_000, 20, 100_000, 15_000, 3),
)
"""People, events of each, resources; topics and those of each resource, where they are not the usual 24 and one."""


@dataclass
class Spent:
    """Seconds of the processor by what they were spent on, and what came out."""

    people: int
    resources: int
    topics: int
    positives: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    before_mb: float = 0.0
    peak_mb: float = 0.0

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count the time of a block."""
        began = time.process_time()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - began

    @property
    def total(self) -> float:
        """All seconds of training."""
        return sum(self.seconds.values()) - self.seconds["start"] - self.seconds["warp"]

    @property
    def share(self) -> float:
        """The part of it that is the closed-form start and LightFM."""
        return (self.seconds["start"] + self.seconds["warp"]) / self.total


def measure(people: int, each: int, resources: int, topics: int = TOPICS, topics_each: int = 1) -> Spent:
    """Train one shard of that many people."""
    history, features, resource_topics = crowd(people, each, resources, topics, topics_each)
    recipe = Recipe(features, resource_topics, TrainingConfig(), b"k" * 32)
    spent = Spent(people, resources, topics, before_mb=_peak_mb())
    _timed(spent)
    with spent.on("rows"):
        rows = Rows.of(Given(history)(Part()), recipe)
    with spent.on("commitments"):
        made: Commitments = rows.commitments(recipe.key)
        root = made.root
    del made
    with spent.on("fit"):
        spent.positives = fit(rows, recipe, root).record.positives
    spent.peak_mb = _peak_mb()
    return spent


def _timed(spent: Spent) -> None:
    """Count the closed-form start and LightFM's epochs within `fit`."""
    names: dict[str, Any] = vars(fitting)
    start, lightfm = names["closed_form_start"], names["LightFM"]

    def timed_start(*given: Any) -> Any:
        with spent.on("start"):
            return start(*given)

    class Timed(lightfm):  # type: ignore[misc,valid-type]  # LightFM leaves it untyped
        def fit_partial(self, *given: Any, **named: Any) -> Any:
            with spent.on("warp"):
                return super().fit_partial(*given, **named)

    names |= {"closed_form_start": timed_start, "LightFM": Timed}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare() -> list[Row]:
    """Measure every size."""
    rows = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.growth", *map(str, size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        spent = Spent(**json.loads(done.stdout.splitlines()[-1]))
        per_million = spent.total / spent.positives * 1e6
        rows.append(
            Row(
                f"training, {spent.people:,} people, {spent.resources:,} resources, {spent.topics:,} topics",
                "closed-form start + LightFM within it",
                spent.share,
                f"{spent.total:.1f} s, {per_million:.1f} s a million positives, {spent.peak_mb:,.0f} MB at the peak",
                ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.seconds.items()),
                ">= 0.8",
                spent.share >= 0.8,
            )
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(asdict(measure(*map(int, sys.argv[1:])))))
