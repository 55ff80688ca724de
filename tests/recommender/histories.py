"""Made-up events for tests of training: people with a taste for one topic, who mostly use resources of that topic."""

import hashlib

import numpy as np
import polars as pl
from scipy import sparse

from recommender.history import History
from recommender.profile import Features

DAY = 86_400_000_000
TOPICS = ("anxiety", "grief", "sleep", "stress")


def pseudonym(number: int) -> bytes:
    """A person's pseudonym, as evenly spread as a keyed hash."""
    return hashlib.sha256(b"%d" % number).digest()


def catalogue(size: int) -> tuple[Features, sparse.csr_array]:
    """Features of `size` resources, each of one topic in turn, and their (R, T) topics."""
    features = Features(tuple(f"r{number:04d}" for number in range(size)), TOPICS)
    topics = sparse.csr_array(
        (np.ones(size, dtype=np.float32), (np.arange(size), np.arange(size) % len(TOPICS))),
        shape=(size, len(TOPICS)),
    )
    return features, topics


def events(people: int, each: int, size: int, seed: int = 0) -> pl.DataFrame:
    """A table of events in which each person's taste decides eight of ten."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    own = random.random(people * each) < 0.8
    taste = np.where(own, person % len(TOPICS), random.integers(0, len(TOPICS), people * each))
    resource = (random.integers(0, size // len(TOPICS), people * each) * len(TOPICS) + taste).astype(int)
    signal = random.choice(["views", "saves", "ratings", "impressions", "topics", "check_ins"], people * each)
    about_resource = ~np.isin(signal, ["topics", "check_ins"])
    return pl.DataFrame(
        {
            "person": [pseudonym(int(number)) for number in person],
            "signal": signal,
            "resource": [f"r{number:04d}" if yes else None for number, yes in zip(resource, about_resource, strict=True)],
            "topic": [TOPICS[number] if name == "topics" else None for number, name in zip(taste, signal, strict=True)],
            "value": np.where(np.isin(signal, ["ratings", "check_ins"]), random.integers(1, 6, people * each), np.nan),
            "at": random.integers(0, 100 * 24, people * each) * (DAY // 24),
        }
    )  # fmt: skip


def history(table: pl.DataFrame, features: Features) -> History:
    """The events of a table as training sees them."""
    people, signals, resources, topics = table["person"], table["signal"], table["resource"], table["topic"]
    values, at = table["value"].to_numpy(), table["at"].to_numpy()
    return History.from_columns(people, signals, resources, topics, values, at, features)


def without(table: pl.DataFrame, number: int) -> pl.DataFrame:
    """The events of everyone but one person."""
    return table.filter(pl.col("person") != pseudonym(number))
