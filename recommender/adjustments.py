"""Rules that move resources up or down after scoring: each adds a number under its own name, so explanations add up.

What a rule adds is told in spreads: standard deviations of the scores of the list that it is added to. So a rule
counts as much beside a model's scores as beside the editors' places.

- `time`: of what takes no longer than the time that the person has now, half a spread more; of what takes longer, less.
- `format`: half a spread more for a format that suits this moment.
- `freshness`: at most one spread for what was reviewed today, half of it after a quarter of a year, and so on.
- `shown_before`: a quarter of a spread less for every time that it was shown, up to eight (signal `impressions`).
- `not_helpful`: up to half a spread less for being like something that the person rated low (signal `ratings`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.catalog import Format, Resource
from recommender.columns import Columns
from recommender.lines import SIGNAL_NUMBERS, Lines
from recommender.query import Floats, Query
from recommender.similarity import Similarity

SUITS: Final = 0.5
HALF_LIFE_DAYS: Final = 91.0
PER_SHOWING: Final = 0.25
SHOWINGS: Final = 8
LIKE_NOT_HELPFUL: Final = 0.5
_RATED_LOW: Final = 20  # the newest so many low ratings are looked at

IMPRESSIONS, RATINGS = SIGNAL_NUMBERS["impressions"], SIGNAL_NUMBERS["ratings"]

Rule = tuple[str, int | None, Floats]
"""A rule's name, the signal that it needs, and (R,) spreads."""


class Adjustments:
    """The rules over the columns of one catalogue of R resources."""

    def __init__(self, columns: Columns, similarity: Similarity) -> None:
        self._minutes = columns.array(_minutes, np.float64)
        self._reviewed = columns.array(_reviewed, np.float64)
        self._formats = columns.each(_formats)
        self._similarity = similarity

    def add(self, scores: Floats, rules: Sequence[Rule], without: NDArray[np.int64]) -> dict[str, Floats]:
        """Add what the rules say to the scores of each list, in place; return it by rule.

        Args:
            scores: (lists, R) whole numbers, minus infinity for what is not in a list.
            rules: the rules that take part.
            without: for each list, the signal that it is made without.

        Returns:
            For every rule that took part, (lists, R) the whole numbers that it added.
        """
        spreads = np.array([_spread(each) for each in scores])
        added = {
            name: np.rint(np.where(without == signal, 0.0, spreads)[:, None] * parts)
            for name, signal, parts in rules
        }
        for each in added.values():
            scores += each
        return added

    def rules(self, told: Lines, query: Query, now: datetime) -> Iterator[Rule]:
        """Each rule that takes part, for what the person shared, what is asked for, and the moment of asking."""
        if query.minutes is not None:
            fits = np.where(self._minutes <= query.minutes, SUITS, -SUITS)
            yield "time", None, np.where(np.isnan(self._minutes), 0.0, fits)
        if query.context_formats:
            yield (
                "format",
                None,
                np.array([SUITS * (not query.context_formats.isdisjoint(each)) for each in self._formats]),
            )
        if query.freshness > 0:
            age = np.maximum(now.astimezone(UTC).toordinal() - self._reviewed, 0.0)
            yield "freshness", None, query.freshness * 0.5 ** (age / HALF_LIFE_DAYS)
        if told.shown:
            parts = np.zeros(len(self._minutes))
            for row, times in Counter(told.shown).items():
                parts[row] = -PER_SHOWING * min(times, SHOWINGS)
            yield "shown_before", IMPRESSIONS, parts
        if told.disliked:
            likeness = self._similarity.to_all(told.disliked[:_RATED_LOW]).max(axis=0)
            yield "not_helpful", RATINGS, -LIKE_NOT_HELPFUL * likeness


def _minutes(resource: Resource) -> float:
    return resource.minutes or np.nan


def _reviewed(resource: Resource) -> float:
    return resource.reviewed_at.toordinal() if resource.reviewed_at else -np.inf


def _formats(resource: Resource) -> frozenset[Format]:
    return resource.formats


def _spread(scores: Floats) -> float:
    listed = scores[scores > -np.inf]
    return float(listed.std()) if len(listed) else 0.0
