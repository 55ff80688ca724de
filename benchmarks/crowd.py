"""Made-up events of very many people, as training sees them: no Python value per event, so that millions fit."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recommender.history import SIGNAL_IDS, History
from recommender.mixing import mix
from recommender.profile import Features

HOUR = 3_600_000_000
TOPICS = 24
TASTES = 4
"""How many kinds of resources there are within a topic, which only use shows."""


def crowd(
    people: int, each: int, resources: int, topics: int = TOPICS, topics_each: int = 1
) -> tuple[History, Features, sparse.csr_array]:
    """People with a taste for two of 24 topics and for one kind within each, who mostly use what is better known.

    Further topics, and each resource's beyond its first, say nothing about taste: they are there for their number.
    """
    random = np.random.default_rng(11)
    features = Features(
        tuple(f"resource-{number:06d}" for number in range(resources)),
        tuple(f"topic_{number:02d}" for number in range(topics)),
    )
    place = np.column_stack(
        (np.arange(resources) % topics, random.integers(0, topics, (resources, topics_each - 1)))
    ).ravel()
    resource_topics = sparse.csr_array(
        (np.ones(len(place), dtype=np.float32), (np.repeat(np.arange(resources), topics_each), place)),
        shape=(resources, topics),
    )
    person = np.repeat(np.arange(people, dtype=np.int64), each)
    taste = random.integers(0, TOPICS * TASTES, (people, 2))[person, random.integers(0, 2, len(person))]
    astray = random.random(len(person)) < 0.2
    taste = np.where(astray, random.integers(0, TOPICS * TASTES, len(person)), taste)
    rank = (resources // (TOPICS * TASTES) * random.random(len(person)) ** 2).astype(np.int64)
    used = rank * TOPICS * TASTES + taste
    names = random.choice([SIGNAL_IDS.index(name) for name in ("views", "saves", "completions")], len(person))
    history = History.from_columns(
        pseudonyms(people).gather(person),
        pl.Series(SIGNAL_IDS).gather(names),
        pl.Series(features.resources).gather(used),
        pl.Series([None], dtype=pl.String).gather(np.zeros(len(person), dtype=np.uint32)),
        np.full(len(person), np.nan),
        1_700_000_000_000_000 + random.integers(0, 365 * 24, len(person)) * HOUR,
        features,
    )
    return history, features, resource_topics


def pseudonyms(people: int) -> pl.Series:
    """Thirty-two evenly spread bytes for each person."""
    words: NDArray[np.uint64] = np.stack(
        [mix(np.arange(people, dtype=np.uint64) * np.uint64(4) + np.uint64(part)) for part in range(4)],
        axis=1,
    )
    content = words.astype(">u8").tobytes()
    return pl.Series([content[start : start + 32] for start in range(0, len(content), 32)], dtype=pl.Binary)
