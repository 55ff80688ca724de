"""What a metric is: a number for a set of lists, with what each person adds to it.

Only people who took up something in the test part are measured, and the whole catalogue is ranked; no metric is
sampled (Krichene and Rendle, "On sampled metrics for item recommendation", KDD 2020).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evaluation.ranking import NOTHING, Lists

Cuts = NDArray[np.intp]
"""(C,) cut-offs, ascending, the largest at most the length of the lists."""

Better = Literal["higher", "lower", "neither"]

_BATCH = 4_096
"""People measured at once: what is made beside the lists stays small however many people there are."""


@dataclass(frozen=True, eq=False)
class Background:
    """What metrics may know beside the lists: all of it from before the test.

    Attributes:
        people: how many people were learned from.
        counts: (I,) how many of them took up each item.
        known: (U, I) ones at what each measured person is known to have taken up.
        topics: (I, T) ones where an item has a topic; T is 0 where no topics are known.
        vectors: (I, F) of length 1, or zeros: what items are compared by. Their topics where any are known, else
            the people who took them up (see `evaluation.metrics.background`).
    """

    people: int
    counts: NDArray[np.int64]
    known: csr_array
    topics: NDArray[np.float32]
    vectors: NDArray[np.float32]

    def part(self, people: slice) -> "Background":
        """The background of some of the people."""
        return Background(self.people, self.counts, self.known[people], self.topics, self.vectors)

    @cached_property
    def popularity(self) -> NDArray[np.float64]:
        """(I,) the share of people who took up each item."""
        return np.asarray(self.counts / max(1, self.people))


@dataclass(frozen=True, eq=False)
class Measured:
    """A metric of a set of lists at a cut-off.

    Attributes:
        value: the metric; None where it is not defined for anyone.
        shares: (U,) what each person adds: resampling people and adding the change of the shares' mean to the value
            tells how far the value would move. For a mean over people these are the people's own values; who has
            none adds the mean, and so nothing.
        people: how many people it is defined for.
        own: (U,) the people's own values, NaN for whom it is not defined; None for a metric of all lists together.
    """

    value: float | None
    shares: NDArray[np.float64]
    people: int
    own: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Metric(ABC):
    """A metric with what people read of it.

    Attributes:
        title: its name.
        meaning: one sentence for readers of a report.
        better: which way is better, `neither` where more is only different.
        needs_topics: not defined where no item has a topic.
    """

    title: str
    meaning: str
    better: Better
    needs_topics: bool = False

    @abstractmethod
    def measure(self, lists: Lists, background: Background, cuts: Cuts) -> list[Measured]:
        """Measure at every cut-off."""


@dataclass(frozen=True)
class MeanOverPeople(Metric):
    """A metric that each person has a value of, and that is their mean.

    Attributes:
        values: gives (U, C) the people's values at every cut-off, NaN for people it is not defined for.
    """

    values: Callable[[Lists, Background, Cuts], NDArray[np.float64]] | None = None

    def measure(self, lists: Lists, background: Background, cuts: Cuts) -> list[Measured]:
        """Measure batch by batch."""
        if self.values is None:
            raise TypeError(f"{self.title} has no function of values")
        own = np.concatenate(
            [self.values(lists.part(part), background.part(part), cuts) for part in batches(len(lists.items))]
        )
        return [_mean(column) for column in own.T]


@dataclass(frozen=True)
class OfAllLists(Metric):
    """A metric of all lists together.

    Attributes:
        of: gives the value at one cut-off and (U,) shares, as in `Measured`.
    """

    of: Callable[[Lists, Background, int], Measured] | None = None

    def measure(self, lists: Lists, background: Background, cuts: Cuts) -> list[Measured]:
        """Measure one cut-off after the other."""
        if self.of is None:
            raise TypeError(f"{self.title} has no function")
        return [self.of(lists, background, int(cut)) for cut in cuts]


def _mean(values: NDArray[np.float64]) -> Measured:
    defined = ~np.isnan(values)
    count = int(defined.sum())
    if not count:
        return Measured(None, np.zeros(len(values)), 0, values)
    value = float(values[defined].mean())
    if count == len(values):
        return Measured(value, values, count, values)
    # Whoever has no value moves nothing; the others' shares count in proportion to how few they are.
    scale = len(values) / count
    return Measured(value, np.where(defined, value + (values - value) * scale, value), count, values)


def batches(people: int) -> Iterator[slice]:
    """Slices over the people."""
    for start in range(0, people, _BATCH):
        yield slice(start, start + _BATCH)


def running(per_rank: NDArray[np.generic], cuts: Cuts) -> NDArray[np.float64]:
    """(U, C) sums over the first ranks up to each cut-off, of (U, K) numbers."""
    edges = np.concatenate(([0], np.minimum(cuts, per_rank.shape[1])))
    parts = [per_rank[:, a:b].sum(axis=1, dtype=np.float64) for a, b in pairwise(edges)]
    return np.cumsum(np.stack(parts, axis=1), axis=1)


def listed(lists: Lists, cuts: Cuts) -> NDArray[np.float64]:
    """(U, C) how many items each list has up to each cut-off."""
    return running(lists.items != NOTHING, cuts)


def summed(lists: Lists, rows: NDArray[np.float32], cuts: Cuts) -> Iterator[NDArray[np.float64]]:
    """For each cut-off (U, F) the sum of the listed items' `rows`, (I, F)."""
    people, length = lists.items.shape
    total = np.zeros((people, rows.shape[1]))
    done = 0
    for cut in np.minimum(cuts, length):
        items = lists.items[:, done:cut]
        there = (items != NOTHING).astype(np.float32).ravel()
        starts = np.arange(people + 1) * (cut - done)
        picked = csr_array((there, np.maximum(items, 0).ravel(), starts), shape=(people, len(rows)))
        total = total + picked @ rows
        done = int(cut)
        yield total
