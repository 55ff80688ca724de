"""Small lists that are known, and the metrics' definitions one person and one rank at a time."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from evaluation.metrics import Background
from evaluation.ranking import NOTHING, Lists


@dataclass(frozen=True)
class Case:
    """Lists with what was wanted and known, as plain Python."""

    shown: list[list[int]]
    wanted: list[set[int]]
    known: list[set[int]]
    counts: list[int]
    people: int
    topics: list[set[int]]

    @property
    def lists(self) -> Lists:
        """As the metrics take them."""
        hits = [[item in own for item in shown] for shown, own in zip(self.shown, self.wanted, strict=True)]
        positives = np.array([len(own) for own in self.wanted], dtype=np.int64)
        return Lists(
            np.array(self.shown, dtype=np.intp), np.array(hits, dtype=np.bool_), positives, len(self.counts)
        )

    @property
    def background(self) -> Background:
        """As the metrics take it; items are compared by their topics."""
        catalogue = len(self.counts)
        topics = indicator(self.topics, 3).toarray()
        size = np.linalg.norm(topics, axis=1, keepdims=True)
        return Background(
            people=self.people,
            counts=np.array(self.counts, dtype=np.int64),
            known=indicator(self.known, catalogue),
            topics=topics,
            vectors=np.asarray(topics / np.where(size > 0, size, 1), dtype=np.float32),
        )


def indicator(rows: list[set[int]], width: int) -> csr_array:
    """Ones at the members of sets."""
    columns = [column for own in rows for column in sorted(own)]
    starts = np.cumsum([0, *(len(own) for own in rows)])
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_array((ones, np.array(columns, dtype=np.int64), starts), shape=(len(rows), width))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Lists, some of them short or empty, over a small catalogue in which some items are unknown or without a topic."""
    catalogue, length = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    persons = draw(st.integers(1, 6))
    items = st.integers(0, catalogue - 1)
    shown, wanted, known = [], [], []
    for _ in range(persons):
        had = draw(st.sets(items, max_size=catalogue - 1))
        free = [item for item in draw(st.permutations(range(catalogue))) if item not in had]
        size = draw(st.integers(0, min(length, len(free))))
        shown.append([*free[:size], *[NOTHING] * (length - size)])
        wanted.append(draw(st.sets(st.sampled_from(free), min_size=1)))
        known.append(had)
    people = draw(st.integers(1, 8))
    counts = draw(st.lists(st.integers(0, people), min_size=catalogue, max_size=catalogue))
    topics = draw(st.lists(st.sets(st.integers(0, 2)), min_size=catalogue, max_size=catalogue))
    return Case(shown, wanted, known, counts, people, topics)


def _over_people(value: Callable[[Case, int, int], float | None]) -> Callable[[Case, int], float | None]:
    def mean(case: Case, k: int) -> float | None:
        values = [value(case, person, k) for person in range(len(case.shown))]
        defined = [one for one in values if one is not None]
        return sum(defined) / len(defined) if defined else None

    return mean


def _listed(case: Case, person: int, k: int) -> list[int]:
    return [item for item in case.shown[person][:k] if item != NOTHING]


def _found(case: Case, person: int, k: int) -> list[int]:
    """Ranks of hits, from 1."""
    return [
        rank for rank, item in enumerate(_listed(case, person, k), start=1) if item in case.wanted[person]
    ]


def _ndcg(case: Case, person: int, k: int) -> float:
    best = range(1, min(k, len(case.wanted[person])) + 1)
    dcg, ideal = (sum(1 / math.log2(rank + 1) for rank in ranks) for ranks in (_found(case, person, k), best))
    return dcg / ideal


def _average_precision(case: Case, person: int, k: int) -> float:
    ranks = _found(case, person, k)
    return sum(place / rank for place, rank in enumerate(ranks, start=1)) / len(case.wanted[person])


def _reciprocal_rank(case: Case, person: int, k: int) -> float:
    return next((1 / rank for rank in _found(case, person, k)), 0.0)


def _coverage(case: Case, k: int) -> float:
    shown = {item for person in range(len(case.shown)) for item in _listed(case, person, k)}
    return len(shown) / len(case.counts)


def _gini(case: Case, k: int) -> float | None:
    times = [0] * len(case.counts)
    for person in range(len(case.shown)):
        for item in _listed(case, person, k):
            times[item] += 1
    if not sum(times):
        return None
    # By its other definition: the mean difference of two items, relative to twice the mean.
    apart = sum(abs(a - b) for a in times for b in times)
    return apart / (2 * len(times) * sum(times))


def _novelty(case: Case, person: int, k: int) -> float | None:
    own = _listed(case, person, k)
    return (
        sum(-math.log2(max(case.counts[item], 1) / case.people) for item in own) / len(own) if own else None
    )


def _popularity_lift(case: Case, k: int) -> float | None:
    shown, own = [], []
    for person, known in enumerate(case.known):
        listed = _listed(case, person, k)
        if listed and known:
            shown.append(sum(case.counts[item] for item in listed) / len(listed))
            own.append(sum(case.counts[item] for item in known) / len(known))
    return sum(shown) / sum(own) - 1 if sum(own) else None


def _cosine(one: set[int], other: set[int]) -> float:
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0


def _diversity(case: Case, person: int, k: int) -> float | None:
    own = _listed(case, person, k)
    apart = [1 - _cosine(case.topics[a], case.topics[b]) for i, a in enumerate(own) for b in own[i + 1 :]]
    return sum(apart) / len(apart) if apart else None


def _serendipity(case: Case, person: int, k: int) -> float:
    popular = sorted(range(len(case.counts)), key=lambda item: (-case.counts[item], item))
    plain = [item for item in popular if item not in case.known[person]][:k]
    listed = _listed(case, person, k)
    return sum(item in case.wanted[person] and item not in plain for item in listed) / k


def _calibration(case: Case, person: int, k: int) -> float | None:
    def shares(items: list[int]) -> list[float]:
        tagged = [case.topics[item] for item in items if case.topics[item]]
        return [
            sum(1 / len(own) for own in tagged if topic in own) / len(tagged) if tagged else 0.0
            for topic in range(3)
        ]

    own, listed = shares(sorted(case.known[person])), shares(_listed(case, person, k))
    if not sum(own):
        return None
    return sum(p * math.log(p / (0.99 * q + 0.01 * p)) for p, q in zip(own, listed, strict=True) if p)


SLOWLY: Mapping[str, Callable[[Case, int], float | None]] = {
    "ndcg": _over_people(_ndcg),
    "recall": _over_people(lambda case, p, k: len(_found(case, p, k)) / len(case.wanted[p])),
    "precision": _over_people(lambda case, p, k: len(_found(case, p, k)) / k),
    "map": _over_people(_average_precision),
    "mrr": _over_people(_reciprocal_rank),
    "hit_rate": _over_people(lambda case, p, k: float(bool(_found(case, p, k)))),
    "coverage": _coverage,
    "gini": _gini,
    "novelty": _over_people(_novelty),
    "popularity_lift": _popularity_lift,
    "diversity": _over_people(_diversity),
    "serendipity": _over_people(_serendipity),
    "calibration": _over_people(_calibration),
}
"""The definitions of all metrics, as slow as they are plain; None where a metric is not defined for anyone."""
