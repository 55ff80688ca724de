"""Where a recommendation's time goes inside the process, against LightFM, RecTools' ranker and the bare product.

One person with thirty events of four signals, ten items. The release has random arrays: nothing here depends on what
they say. RecTools ranks dense models by `implicit.cpu.topk`, which is what stands for it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from implicit.cpu.topk import topk
from lightfm import LightFM
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.table import Row
from benchmarks.world import SIGNALS, TOPICS, catalogue, resource_id
from recommender import explanation
from recommender.lines import read_lines
from recommender.profile import MOOD_BANDS, Features
from recommender.query import HistoryEvent, Query
from recommender.ranking import Ranker
from recommender.release import Manifest, Release, Shard, TrainingConfig
from recommender.shelf import topic_matrix

SIZES = (1_000, 10_000, 100_000)
EVENTS, COMPONENTS, LIMIT = 30, 64, 10
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def compare() -> list[Row]:
    """Measure at every size; the best of several rounds counts."""
    with threadpool_limits(1):
        return [row for size in SIZES for row in _at(size)]


def _at(size: int) -> list[Row]:
    resources = catalogue(size)
    features = Features(tuple(each.id for each in resources), tuple(sorted(TOPICS)))
    ranker = Ranker(resources, _release(features, topic_matrix(resources, features)))
    history = _history(size)
    granted = dict.fromkeys(SIGNALS, "5feceb66ffc86f38d952786c6d696c79")
    plain, full = Query(limit=LIMIT, explain="none"), Query(limit=LIMIT, explain="full")
    scorer, weighing = ranker._scorer, ranker._scorer.weighing  # type: ignore[union-attr]  # noqa: SLF001  its parts are what is measured
    told = read_lines(history, list(granted), ranker.shelf.features, weighing)
    whole_profile, listed = np.array([-1]), np.ones(size, dtype=np.bool_)
    vectors, *_ = scorer.vectors(told.weights(whole_profile, weighing), told.columns)  # type: ignore[union-attr]  # there is one
    short, whole = (ranker.rank(history, granted, query, NOW) for query in (plain, full))

    nothing = np.zeros(0, dtype=np.int64)
    outputs, vector = np.ascontiguousarray(scorer.outputs.T, dtype=np.float64), vectors[0]  # type: ignore[union-attr]  # there is one
    best = _best({
        "reading": lambda: read_lines(history, list(granted), ranker.shelf.features, weighing),
        "vector": lambda: scorer.vectors(told.weights(whole_profile, weighing), told.columns),  # type: ignore[union-attr]  # there is one
        "picking": lambda: scorer.standings(vectors, listed, {}, whole_profile, nothing, LIMIT),  # type: ignore[union-attr]  # there is one
        "scores": lambda: scorer.scores(vectors, listed),  # type: ignore[union-attr]  # there is one
        "ranking": lambda: ranker.rank(history, granted, plain, NOW),
        "in full": lambda: ranker.rank(history, granted, full, NOW),
        "told none": lambda: explanation.items(short, "none"),
        "told in full": lambda: explanation.items(whole, "full"),
        "product": lambda: vector @ outputs,
        "LightFM": _lightfm(size),
        "RecTools": _rectools(size),
    })  # fmt: skip
    ranking, product, lightfm, rectools, scores, picking = (
        best[name] for name in ("ranking", "product", "LightFM", "RecTools", "scores", "picking")
    )
    profile, counterfactuals = best["reading"] + best["vector"], best["in full"] - ranking
    explained = best["told in full"] - best["told none"]
    split = (
        f"{ranking:,.0f} µs: profile {profile:,.0f}, scoring and picking {picking:,.0f}, filters and the rest "
        f"{ranking - profile - picking:,.0f}; besides, counterfactuals {counterfactuals:,.0f}, explanation {explained:,.0f}"
    )
    named, explaining, reasons = (
        f"ranking {size:,} resources",
        f"explaining {LIMIT} of {size:,} in full",
        explained + counterfactuals,
    )
    at = size == 10_000
    return [
        Row(named, "the bare matrix-vector product, same precision", product / ranking, split, f"{product:,.0f} µs", ">= 0.33" if at else "", product / ranking >= 1 / 3 if at else None),
        Row(named, "LightFM.predict of the same profile, sorted", lightfm / ranking, f"{ranking:,.0f} µs", f"{lightfm:,.0f} µs", ">= 10" if at else "", lightfm / ranking >= 10 if at else None),
        Row(named, "RecTools' ranker (implicit.cpu.topk), profile given", rectools / ranking, f"{ranking:,.0f} µs", f"{rectools:,.0f} µs"),
        Row(explaining, "scoring all by the bare product", product / reasons, f"{reasons:,.0f} µs", f"{product:,.0f} µs", ">= 1" if at else "", product / reasons >= 1 if at else None),
        Row(explaining, "scoring all by LightFM.predict, sorted", lightfm / reasons, f"{reasons:,.0f} µs", f"{lightfm:,.0f} µs"),
        Row(explaining, "scoring all exactly, by our own loop", scores / reasons, f"{reasons:,.0f} µs", f"{scores:,.0f} µs"),
    ]  # fmt: skip


def _history(size: int) -> Sequence[HistoryEvent]:
    rows = np.random.default_rng(5).choice(size, EVENTS, replace=False)
    at = int(NOW.timestamp() * 1e6)
    return [
        HistoryEvent(signal := SIGNALS[number % len(SIGNALS)], resource_id(row), None, 5.0 if signal == "ratings" else None, at - number)
        for number, row in enumerate(rows.tolist())
    ]  # fmt: skip


def _release(features: Features, resource_topics: sparse.csr_array) -> Release:
    random = np.random.default_rng(3)
    named = len(features) - MOOD_BANDS

    def some(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return random.normal(size=shape, scale=0.1).astype(np.float32)

    config = TrainingConfig(components=COMPONENTS)
    manifest = Manifest(digest="", config=config, features_digest="", shards=(), libraries={}, created_at=NOW)
    shard = Shard(some(len(features), COMPONENTS), some(named, COMPONENTS), some(named))
    return Release((shard,), features, resource_topics, manifest)


def _lightfm(size: int) -> Callable[[], object]:
    """LightFM scores every item for a person who is a mean of what they used, and sorts."""
    identity = sparse.identity(size, dtype=np.float32, format="csr")
    share = np.full(EVENTS, 1 / EVENTS, dtype=np.float32)
    profile = sparse.csr_matrix(
        (share, (np.zeros(EVENTS, dtype=np.int32), np.arange(EVENTS))), shape=(1, size)
    )
    model = LightFM(no_components=COMPONENTS, random_state=0)
    model.fit_partial(
        sparse.coo_matrix((1, size), dtype=np.float32),
        user_features=profile,
        item_features=identity,
        epochs=0,
    )
    items = np.arange(size, dtype=np.int32)
    return lambda: np.argsort(-model.predict(0, items, user_features=profile, item_features=identity, num_threads=1))[:LIMIT]  # fmt: skip


def _rectools(size: int) -> Callable[[], object]:
    """RecTools' way of ranking gives the best of every item for a ready profile."""
    random = np.random.default_rng(3)
    items = random.normal(size=(size, COMPONENTS)).astype(np.float32)
    person = random.normal(size=(1, COMPONENTS)).astype(np.float32)
    return lambda: topk(items, person, LIMIT, num_threads=1)


def _best(
    works: Mapping[str, Callable[[], object]], rounds: int = 100, seconds: float = 0.002
) -> dict[str, float]:
    """Microseconds of one run of each, in the best of many short rounds: by turns, so that all meet the same moments."""
    times, best = dict[str, int](), dict.fromkeys(works, float("inf"))
    for name, work in works.items():
        work()
        began, times[name] = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            work()
            times[name] += 1
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            for _ in range(times[name]):
                work()
            best[name] = min(best[name], (time.perf_counter() - began) / times[name])
    return {name: each * 1e6 for name, each in best.items()}
