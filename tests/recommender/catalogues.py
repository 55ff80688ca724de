"""Small catalogues and releases for the tests of the serving side: real values, made from numbers and names."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from scipy import sparse

from consent.signals import SIGNALS
from recommender.catalog import Resource
from recommender.profile import MOOD_BANDS, Features, ProfileConfig
from recommender.query import HistoryEvent
from recommender.release import Manifest, Release, Shard, TrainingConfig

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOPICS = ("anxiety", "grief", "sleep", "stress", "work")


def resource(resource_id: str, **fields: Any) -> Resource:
    """A resource that may be recommended, but for what `fields` say."""
    whole: dict[str, Any] = {
        "id": resource_id,
        "title": f"The {resource_id}",
        "summary": "What it is.",
        "url": "https://example.org/it",
        "kind": "article",
        "topics": ("stress",),
        "languages": ("en",),
        "source": {"name": "A charity", "kind": "charity"},
        "evidence": "expert",
        "reviewed_at": date(2026, 1, 1),
        "review_due": date(2027, 1, 1),
        "status": "published",
    }
    return Resource.model_validate(whole | fields)


def release(
    resources: Sequence[Resource],
    *,
    topics: Sequence[str] = TOPICS,
    seed: int = 0,
    components: int = 8,
    shards: int = 1,
    grain: float = 0.0,
    profile: ProfileConfig | None = None,
) -> Release:
    """A release for resources and topics with arrays from a seed; a `grain` rounds them, so that many are equal."""
    rng = np.random.default_rng(seed)
    features = Features(tuple(sorted(each.id for each in resources)), tuple(topics))
    named = len(features) - MOOD_BANDS

    def some(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        drawn = rng.normal(size=shape)
        return (np.rint(drawn / grain) * grain if grain else drawn).astype(np.float32)

    config = TrainingConfig(profile=profile or ProfileConfig(), components=components, shards=shards)
    manifest = Manifest(digest="", config=config, features_digest="", shards=(), libraries={}, created_at=NOW)
    made = (
        Shard(some(len(features), components), some(named, components), some(named)) for _ in range(shards)
    )
    no_topics = sparse.csr_array((len(resources), len(topics)), dtype=np.float32)
    return Release(tuple(made), features, no_topics, manifest)


GRANTED = {signal: f"receipt-{signal}" for signal in SIGNALS}
"""Everything granted, each signal with a receipt of its own."""


def event(signal: str, about: str | float, minutes_ago: int = 0) -> HistoryEvent:
    """One event: about a resource, about a topic when the signal is about topics, or with a band of mood."""
    at = int(NOW.timestamp() * 1e6) - minutes_ago * 60_000_000
    if isinstance(about, str):
        topical = signal in {"topics", "searches"}
        return HistoryEvent(signal, None if topical else about, about if topical else None, None, at)
    return HistoryEvent(signal, None, None, about, at)
