"""From a catalogue, a release and what a person shared to a list, with the reasons for every place in it.

    score = bias + sum over lines of weight x <input[feature], output[resource]> + adjustments

A `Ranker` is made once for a catalogue and a release and never changes; a person's profile lives as long as the call.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy import sparse

from consent.signals import SIGNALS
from recommender import editorial
from recommender.catalog import Resource, json_ready
from recommender.editorial import Editorial
from recommender.filters import Filters
from recommender.lines import SIGNAL_IDS, Lines, read_lines
from recommender.profile import Features
from recommender.query import CONTEXT, Counterfactual, HistoryEvent, Line, Query, Ranked, Ranking, Strategy
from recommender.release import Release
from recommender.scoring import Scorer
from recommender.selection import BLOCKS, best, diversified, places

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

_NOTHING_REMOVED = -1
_MOST_CONTEXT_TOPICS = 20


@dataclass(slots=True)
class _Lists:
    """The list asked for, and after it the list without each of `removed`; all scores are whole numbers of `unit`."""

    strategy: Strategy
    unit: float
    scores: Floats
    """(lists, width)"""
    lines: list[Line]
    parts: Floats
    """(lines, D) what each line adds to the profile of the first list; without rows when that is editorial."""
    removed: list[str]


class Ranker:
    """Ranks one catalogue of R resources by one release, or in the editors' order where there is none.

    Args:
        resources: the catalogue, whatever its state: what must not be shown is left out when ranking.
        release: what was trained, or None.

    Raises:
        ValueError: two resources share an id, or the release holds numbers that are not finite.
    """

    def __init__(self, resources: Sequence[Resource], release: Release | None = None) -> None:
        self.resources = tuple(sorted(resources, key=lambda each: each.id))
        self._rows = {resource.id: row for row, resource in enumerate(self.resources)}
        if len(self._rows) < len(self.resources):
            raise ValueError("two resources share an id")
        self._payloads = [orjson.dumps(json_ready(resource)) for resource in self.resources]
        topics = {topic for resource in self.resources for topic in resource.topics}
        topics |= set(release.features.topics) if release else set()
        self._features = Features(tuple(self._rows), tuple(sorted(topics)))
        self._topics = _topic_matrix(self.resources, self._features)
        width = max(1, -(-len(self.resources) // BLOCKS)) * BLOCKS
        self._filters = Filters(self.resources, width)
        self._editorial = Editorial(self.resources, self._filters, width)
        self._scorer = Scorer(release, self._features, self._topics, width) if release else None

    def rank(
        self,
        history: Iterable[HistoryEvent | tuple[Any, ...]],
        granted: Collection[str],
        query: Query,
        now: datetime,
    ) -> Ranking:
        """Answer a query.

        Args:
            history: the person's permitted events, newest first, in the shape of `HistoryEvent`. Rows of a signal
                that is not in `granted`, or that the query leaves out, are not looked at.
            granted: the signals that the person lets this purpose use.
            query: what is asked for.
            now: the moment of asking, with its time zone.
        """
        used = {name for name in SIGNAL_IDS if name in granted and name not in query.without}
        config = self._scorer.config if self._scorer else None
        told = read_lines(history, used, self._features, config)
        lists = self._lists(told, query, now)
        heads, added = self._heads(lists, query)
        items = self._items(lists, heads, added[0], query)
        signals = self._signals_used(told, lists, query)
        return Ranking(
            strategy=lists.strategy,
            items=tuple(items),
            lines=tuple(lists.lines),
            signals_used=signals,
            signals_withheld=tuple(name for name in SIGNALS if name not in used),
        )
