"""What an erasure costs: the shard of one person trained anew, against everything trained again, at 1 to 16 shards.

A million events. Both ways train what is served and what it is tried with; the accuracy is what came out of the trial.
`python -m benchmarks unlearning`.
"""

import time
from datetime import UTC, datetime

from benchmarks.crowd import crowd
from benchmarks.table import Row
from recommender.history import History
from recommender.parts import shard_of
from recommender.release import Recipe, TrainingConfig
from recommender.training import Checked, Former, Given, train_checked

PEOPLE, EACH, RESOURCES = 170_000, 6, 2_000
SHARDS = (1, 4, 8, 16)


def compare(shards: tuple[int, ...] = SHARDS, people: int = PEOPLE) -> list[Row]:
    """Measure at each number of shards; seconds are of the processor, on which everything runs one after the other."""
    history, features, resource_topics = crowd(people, EACH, RESOURCES)
    leaver = int(history.seeds[len(history.seeds) // 3])
    others = history.of(history.seeds != leaver)
    rows, alone = [], 0.0
    for count in shards:
        recipe = Recipe(features, resource_topics, TrainingConfig(shards=count), b"k" * 32)
        everything, first = _timed(history, recipe, None)
        number = shard_of(leaver >> 52, count)
        one, right = _timed(others, recipe, Former(first.release, first.tried, frozenset([number])))
        if right.trained != {number}:
            raise RuntimeError("another shard was trained than the leaver's")
        alone = alone or first.result.ndcg
        loss = 1 - first.result.ndcg / alone
        rows.append(
            Row(
                f"unlearning, {len(history):,} events, {count} shards",
                f"training again; NDCG@10 {first.result.ndcg:.4f}, {loss:+.1%} lost",
                everything / one,
                f"{one:.1f} s",
                f"{everything:.1f} s",
                ">= 4 at < 3 % lost" if count == 8 else "",
                everything / one >= 4 and loss < 0.03 if count == 8 else None,
            )
        )
    return rows


def _timed(history: History, recipe: Recipe, former: Former | None) -> tuple[float, Checked]:
    began = time.process_time()
    made = train_checked(Given(history), recipe, now=datetime.now(UTC), former=former)
    return time.process_time() - began, made
