"""What is asked of the ranker, and what it answers: values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from recommender.catalog import Format, Kind, Resource

CONTEXT = "context"
"""The name under which the topics of this very call contribute. It is no signal: nothing of it is stored."""

Explain = Literal["none", "short", "full"]


class HistoryEvent(NamedTuple):
    """One permitted event of the person, as the database hands it over; any tuple of this shape will do."""

    signal: str
    resource_id: str | None
    topic: str | None
    value: float | None
    occurred_at: datetime | int
    receipt_id: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """One question: how many, of what, in which situation.

    `topics` to `exclude` filter: nothing else is ever shown. An empty filter lets everything through.
    `context_topics`, `locale` and `region` describe this call; they are never stored.
    `without` names signals to leave out, as though they had not been granted.
    """

    limit: int = 10
    topics: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    languages: frozenset[str] = frozenset()
    formats: frozenset[Format] = frozenset()
    max_minutes: int | None = None
    exclude: frozenset[str] = frozenset()
    context_topics: tuple[str, ...] = ()
    locale: str | None = None
    region: str | None = None
    exclude_seen: bool = True
    diversity: float = 0.0
    without: frozenset[str] = frozenset()
    explain: Explain = "short"

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 100:
            raise ValueError("limit must be from 1 to 100")
        if not 0.0 <= self.diversity <= 1.0:
            raise ValueError("diversity must be from 0 to 1")


class Strategy(StrEnum):
    """Where a list comes from."""

    PERSONALISED = "personalised"
    EDITORIAL = "editorial"


class Line(NamedTuple):
    """What one person did with one thing under one signal: one line of an explanation.

    Exactly one of `resource_id`, `topic` and `band` is set. `receipt_id` names the consent behind the newest of
    the events; it is None for the context of the call.
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

    `values` has one number for each of the ranking's `lines`; `payload` is the resource as JSON.
    """

    rank: int
    resource: Resource
    payload: bytes
    score: float
    base: float
    values: Sequence[float]
    adjustments: Mapping[str, float]
    counterfactuals: Sequence[Counterfactual]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer to a query.

    `signals_used` changed this list or could have (they weighed, or they hid something already seen);
    `signals_withheld` were not granted or were left out. Both are in the catalogue's order. `titles` names
    every resource of the catalogue by its id.
    """

    strategy: Strategy
    items: tuple[Ranked, ...]
    lines: tuple[Line, ...]
    signals_used: tuple[str, ...]
    signals_withheld: tuple[str, ...]
    titles: Mapping[str, str]
