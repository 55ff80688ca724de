"""The editors' list: what everybody gets who shares nothing, and whoever the model knows nothing about."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from recommender.catalog import Evidence, Resource
from recommender.columns import Columns, Rows
from recommender.filters import Filters

PLACE = 2.0**-20
"""What one place in the editors' list is worth."""
UNIT = PLACE / 1024
"""What one whole number of an editorial score is worth: rules add fractions of places."""
MATCH = 2.0
"""What a topic of the call adds to a resource that has it: more than any place in the list."""
NEARBY = 10 * PLACE
"""What serving the call's region adds: ten places, so that local help comes up without crowding out the rest."""

_STRENGTH = {evidence: place for place, evidence in enumerate(Evidence)}


class Editorial:
    """Editorial scores as whole multiples of `UNIT`: place in the editors' list, topics of the call, region.

    The place is by `editorial_rank`, those without one last. Equals are dealt out by kind, so that a head has
    some of everything (the best of each kind, then the second of each; every language by itself), and among
    those the stronger evidence comes first, then the id.
    """

    def __init__(self, columns: Columns, filters: Filters) -> None:
        self._filters = filters
        order = _order(columns)
        self._base = np.zeros(len(order))
        self._base[order] = (1.0 / PLACE - 1.0 - np.arange(len(order))) * (PLACE / UNIT)

    def base(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the scores of rows before topics and region."""
        return np.asarray(self._base[rows], dtype=np.float64)

    def matches(self, topics: Iterable[str], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(topics, n) what each topic of the call adds to each row."""
        empty: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        has = [np.isin(rows, self._filters.topics.get(topic, empty)) for topic in topics]
        return np.where(np.array(has, dtype=np.bool_), MATCH / UNIT, 0.0)

    def nearby(self, region: str | None, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) what the region of the call adds to each row."""
        return np.where(np.isin(rows, self._filters.serving(region)), NEARBY / UNIT, 0.0)

    def scores(self, topics: Iterable[str], region: str | None) -> NDArray[np.float64]:
        """(R,) the scores of all rows."""
        scores = self._base.copy()
        for topic in topics:
            if topic in self._filters.topics:
                scores[self._filters.topics[topic]] += MATCH / UNIT
        scores[self._filters.serving(region)] += NEARBY / UNIT
        return scores


def _order(columns: Columns) -> Rows:
    """Rows in the order of the editors' list; rows are in the order of ids."""
    size = len(columns.resources)
    rank, evidence = columns.array(_rank, np.float64), columns.array(_weakness, np.int64)
    kind = np.zeros(size, dtype=np.int64)
    for number, rows in enumerate(columns.rows_by(_kind_and_language).values()):
        kind[rows] = number
    # Equals of one kind one after another, the best first: the place of each among them is its round of dealing.
    together = np.lexsort((evidence, kind, rank))
    ranks, kinds = rank[together], kind[together]
    begins = np.flatnonzero(np.append(True, (ranks[1:] != ranks[:-1]) | (kinds[1:] != kinds[:-1]))[:size])
    dealt = np.empty(size, dtype=np.int64)
    dealt[together] = np.arange(size) - np.repeat(begins, np.diff(np.append(begins, size)))
    return np.lexsort((evidence, dealt, rank))


def _rank(resource: Resource) -> float:
    return resource.editorial_rank or math.inf


def _weakness(resource: Resource) -> int:
    return len(Evidence) if resource.evidence is None else _STRENGTH[resource.evidence]


def _kind_and_language(resource: Resource) -> Iterable[str]:
    return (f"{resource.kind} {resource.languages[0]}",)
