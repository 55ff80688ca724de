"""What is asked of the ranker, and what it answers: values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.catalog import Format, Kind, Resource
from recommender.shelf import Shelf

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

CONTEXT = "context"
"""The name under which the topics of this very call contribute. It is no signal: nothing of it is stored."""

SOMETHING_NEW = "something_new"
"""The adjustment that lifts what chance chose to the place that it stands in."""

Explain = Literal["none", "short", "full"]


class HistoryEvent(NamedTuple):
    """One permitted event of the person, as the database hands it over; any row that begins so will do."""

    signal: str
    resource_id: str | None
    topic: str | None
    value: float | None
    occurred_at: datetime | int


@dataclass(frozen=True, slots=True)
class Query:
    """One question: how many, of what, in which situation.

    `topics` to `max_shown` filter: nothing else is ever shown. An empty filter lets everything through; `max_shown`
    leaves out what the person is known to have been shown that often.
    `context_topics` to `region` describe this call; they are never stored. `minutes` is the time that the person has.
    `without` names signals to leave out, as though they had not been granted. `explore` is the probability with which
    each place is given to something new.
    """

    limit: int = 10
    topics: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    languages: frozenset[str] = frozenset()
    formats: frozenset[Format] = frozenset()
    max_minutes: int | None = None
    exclude: frozenset[str] = frozenset()
    max_shown: int | None = None
    context_topics: tuple[str, ...] = ()
    context_formats: frozenset[Format] = frozenset()
    minutes: int | None = None
    locale: str | None = None
    region: str | None = None
    exclude_seen: bool = True
    diversity: float = 0.0
    freshness: float = 0.0
    explore: float = 0.0
    without: frozenset[str] = frozenset()
    explain: Explain = "short"

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 100:
            raise ValueError("limit must be from 1 to 100")
        for name in ("diversity", "freshness", "explore"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1")


class Strategy(StrEnum):
    """Where a list comes from."""

    PERSONALISED = "personalised"
    EDITORIAL = "editorial"


class Line(NamedTuple):
    """What one person did with one thing under one signal: one line of an explanation.

    Exactly one of `resource_id`, `topic` and `band` is set. `receipt_id` names the consent behind it; it is None
    for the context of the call.
    """

    signal: str
    resource_id: str | None = None
    topic: str | None = None
    band: int | None = None
    receipt_id: str | None = None


class Counterfactual(NamedTuple):
    """Where an item would stand in the list without one signal; `rank` is None when it would not be in it at all.

    `instead` is the resource that would stand in the item's place, None when that is the item itself or nothing.
    """

    without: str
    rank: int | None
    instead: Resource | None


class Ranked(NamedTuple):
    """One item of a list: `base` + sum of `values` + sum of `adjustments` is `score`, exactly.

    `values` has one number for each of the ranking's `lines`. `propensity` is the probability that it stands where it
    stands, given the items above it; None when nothing was left to chance.
    """

    rank: int
    resource: Resource
    score: float
    base: float
    values: Sequence[float]
    adjustments: Mapping[str, float]
    counterfactuals: Sequence[Counterfactual]
    propensity: float | None


@dataclass(slots=True)
class Ranking:
    """The answer to a query: a list of n items, and the L lines of the person that it was made from, as columns.

    What one item or one line is in words: `items` and `lines`. An answer by HTTP is written from the columns.
    """

    shelf: Shelf
    strategy: Strategy
    rows: Rows
    """(n,) the resources, best first."""
    scores: Floats
    """(n,)"""
    base: Floats
    """(n,) what each item starts from."""
    values: Floats
    """(n, L) what each line adds to each item."""
    adjustments: Mapping[str, Floats]
    """By name, (n,) what a rule adds to each item, 0 where it adds nothing."""
    line_groups: Rows
    """(L,) the signal of each line, as a place in `grouped`."""
    line_columns: Rows
    """(L,) features of the shelf."""
    grouped: Sequence[str]
    """The signals that have lines, in the order of their first; `CONTEXT`, if there is one, last."""
    receipts: Mapping[str, str | None]
    """The consent behind each signal."""
    without: Sequence[str]
    """S signals that were left out in turn."""
    ranks: Rows
    """(S, n) the place of each item in the list without a signal, 0 where it is not in it."""
    propensities: Floats | None
    """(n,) see `Ranked`; None when nothing was left to chance."""
    instead: Rows
    """(S, n) the row that stands in the item's place there; -1 for the item itself, or for nothing."""
    signals_used: tuple[str, ...]
    """What changed this list or could have: it weighed, or it hid something. In the catalogue's order."""
    signals_withheld: tuple[str, ...]
    """What was not granted or was left out. In the catalogue's order."""

    @property
    def lines(self) -> list[Line]:
        """Every line."""
        return [self.line(number) for number in range(len(self.line_groups))]

    @property
    def items(self) -> list[Ranked]:
        """Every item, best first."""
        return [self._item(place) for place in range(len(self.rows))]

    def line(self, number: int) -> Line:
        """One line."""
        signal, column, features = (
            self.grouped[self.line_groups[number]],
            int(self.line_columns[number]),
            self.shelf.features,
        )
        resources, named = len(features.resources), len(features.resources) + len(features.topics)
        return Line(
            signal,
            resource_id=features.resources[column] if column < resources else None,
            topic=features.topics[column - resources] if resources <= column < named else None,
            band=column - named + 1 if column >= named else None,
            receipt_id=self.receipts.get(signal),
        )

    def _item(self, place: int) -> Ranked:
        resources = self.shelf.resources
        others = zip(
            self.without, self.ranks[:, place].tolist(), self.instead[:, place].tolist(), strict=True
        )
        return Ranked(
            rank=place + 1,
            resource=resources[self.rows[place]],
            score=float(self.scores[place]),
            base=float(self.base[place]),
            values=self.values[place].tolist(),
            adjustments={name: float(added[place]) for name, added in self.adjustments.items()},
            counterfactuals=[
                Counterfactual(without, rank or None, None if other < 0 else resources[other])
                for without, rank, other in others
            ],
            propensity=None if self.propensities is None else float(self.propensities[place]),
        )
