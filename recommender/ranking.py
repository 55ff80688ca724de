"""From a catalogue, a release and what a person shared to a list, with the reasons for every place in it.

    score = bias + sum over lines of weight x <input[feature], output[resource]> + adjustments

A `Ranker` is made once for a catalogue and a release and never changes; a person's profile lives as long as the call.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.catalog import Resource
from recommender.editorial import UNIT as EDITORIAL_UNIT
from recommender.editorial import Editorial
from recommender.filters import Filters
from recommender.lines import SIGNAL_IDS, Lines, read_lines
from recommender.profile import Features
from recommender.query import CONTEXT, Counterfactual, HistoryEvent, Line, Query, Ranked, Ranking, Strategy
from recommender.release import Release
from recommender.scoring import Scorer
from recommender.selection import Lists, diversified
from recommender.similarity import Similarity

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

_POOL = 128  # how many of a list take part when it is made more diverse; above every limit
_NO_SIGNAL = -1  # stands, among the numbers of signals, for leaving none out


@dataclass(frozen=True, slots=True)
class _Scored:
    """The list asked for and, after it, the list without each of some signals; scores are whole numbers of `unit`."""

    strategy: Strategy
    unit: float
    scores: Floats
    """(lists, R)"""
    lines: list[Line]
    parts: Floats | None
    """(lines, D) what each line adds to the profile of the list asked for; None when that is the editors' list."""


class Ranker:
    """Ranks one catalogue of R resources by one release, or in the editors' order where there is none.

    Args:
        resources: the catalogue, whatever its state: what must not be shown is left out when ranking.
        release: what was trained, or None.

    Raises:
        ValueError: two resources share an id, or the release holds numbers that are not finite.
    """

    def __init__(self, resources: Iterable[Resource], release: Release | None = None) -> None:
        self.resources = tuple(sorted(resources, key=lambda each: each.id))
        self._rows = {resource.id: row for row, resource in enumerate(self.resources)}
        if len(self._rows) < len(self.resources):
            raise ValueError("two resources share an id")
        self._titles = {resource.id: resource.title for resource in self.resources}
        self._payloads = [resource.model_dump_json().encode() for resource in self.resources]
        topics = {topic for resource in self.resources for topic in resource.topics}
        topics |= set(release.features.topics) if release else set()
        self._features = Features(tuple(self._rows), tuple(sorted(topics)))
        resource_topics = topic_matrix(self.resources, self._features)
        self._filters = Filters(self.resources)
        self._editorial = Editorial(self.resources, self._filters)
        self._scorer = Scorer(release, self._features, resource_topics) if release else None
        self._similarity = Similarity(self._scorer.outputs if self._scorer else resource_topics)

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
        permitted = [name for name in SIGNAL_IDS if name in granted and name not in query.without]
        told = read_lines(history, permitted, self._features, self._scorer.config if self._scorer else None)
        hidden = self._hidden(told, query)
        weighed = {line.signal for line in told.lines}
        used = tuple(name for name in permitted if name in weighed or name in hidden)
        removed = used if query.explain == "full" else ()
        lists = self._scored(told, query, removed)
        self._leave_out(lists.scores, hidden, removed, query, now)
        return Ranking(
            strategy=lists.strategy,
            items=tuple(self._items(lists, removed, query)),
            lines=tuple(lists.lines),
            signals_used=used,
            signals_withheld=tuple(name for name in SIGNAL_IDS if name not in permitted),
            titles=self._titles,
        )

    def similar(self, resource_id: str, query: Query, now: datetime) -> list[tuple[Resource, float]]:
        """The resources nearest to one, with their cosine similarity, within what the query lets through.

        Raises:
            KeyError: no resource has that id.
        """
        row = self._rows[resource_id]
        scores = self._filters.floor(query, now).copy()
        scores += self._similarity.to_all(row)
        scores[[row, *self._rows_of(query.exclude)]] = -np.inf
        nearest = Lists(scores[None, :]).best(query.limit)[0]
        return [(self.resources[near], float(scores[near])) for near in nearest if scores[near] > 0.0]

    def _scored(self, told: Lines, query: Query, removed: Sequence[str]) -> _Scored:
        context = [
            topic for topic in dict.fromkeys(query.context_topics) if topic in self._features.topic_index
        ]
        context_lines = [Line(CONTEXT, topic=topic) for topic in context]
        count = 1 + len(removed)
        personal = np.zeros(count, dtype=np.bool_)
        scorer = self._scorer
        if scorer is not None and (told.lines or context):
            weights = told.weights([_NO_SIGNAL, *(SIGNAL_IDS.index(name) for name in removed)], scorer.config)
            if context:
                asked = np.full((count, len(context)), scorer.context_weight / len(context))
                weights = np.hstack((weights, asked))
            columns = np.array([*told.columns, *(self._features.topic_index[topic] for topic in context)])
            personal = weights @ scorer.known[columns] > 0
        if scorer is None or not personal[0]:
            scores = np.tile(self._editorial.scores(context, query.region), (count, 1))
            return _Scored(Strategy.EDITORIAL, EDITORIAL_UNIT, scores, context_lines, None)
        parts = scorer.vectors(weights, columns)
        scores = scorer.scores(parts.sum(axis=1))
        if not personal.all():
            scores[~personal] = self._editorial.scores(context, query.region)
        return _Scored(Strategy.PERSONALISED, scorer.unit, scores, [*told.lines, *context_lines], parts[0])

    def _hidden(self, told: Lines, query: Query) -> dict[str, list[int]]:
        """The rows that each signal keeps out of the list: what was used before, and what is contraindicated."""
        hidden: dict[str, list[int]] = {}
        if query.exclude_seen:
            hidden = {signal: self._rows_of(seen) for signal, seen in told.seen.items()}
        for signal, topics in told.concerns.items():
            ruled_out = [row for topic in topics for row in self._filters.contraindicated(topic).tolist()]
            hidden[signal] = hidden.get(signal, []) + ruled_out
        return {signal: rows for signal, rows in hidden.items() if rows}

    def _leave_out(
        self,
        scores: Floats,
        hidden: Mapping[str, list[int]],
        removed: Sequence[str],
        query: Query,
        now: datetime,
    ) -> None:
        """Put minus infinity, in each list, where a resource must not be."""
        scores += self._filters.floor(query, now)
        if query.exclude:
            scores[:, self._rows_of(query.exclude)] = -np.inf
        for number, without in enumerate((None, *removed)):
            rows = [row for signal, of_signal in hidden.items() if signal != without for row in of_signal]
            scores[number][rows] = -np.inf

    def _items(self, lists: _Scored, removed: Sequence[str], query: Query) -> list[Ranked]:
        heads, added, ranks = self._heads(lists.scores, query)
        rows = heads[0]
        base, values, region = self._reasons(lists, rows, query)
        scores = (lists.scores[0, rows] + added) * lists.unit
        counterfactuals = self._counterfactuals(heads, ranks, removed)
        items = []
        for place, row in enumerate(rows.tolist()):
            adjustments = {}
            if query.diversity > 0:
                adjustments["diversity"] = float(added[place]) * lists.unit
            if region is not None and region[place]:
                adjustments["region"] = float(region[place])
            resource, payload = self.resources[row], self._payloads[row]
            items.append(
                Ranked(
                    place + 1, resource, payload, float(scores[place]), base[place], values[place], adjustments,
                    counterfactuals[place],
                )
            )  # fmt: skip
        return items

    def _reasons(
        self, lists: _Scored, rows: Rows, query: Query
    ) -> tuple[list[float], list[list[float]], Floats | None]:
        """What each row of the first list starts from, what each line adds to it, and what the region adds."""
        if lists.parts is None or self._scorer is None:
            matches = self._editorial.matches([line.topic for line in lists.lines if line.topic], rows)
            base = self._editorial.base(rows) * lists.unit
            values = matches.reshape(len(lists.lines), len(rows)).T * lists.unit
            return base.tolist(), values.tolist(), self._editorial.nearby(query.region, rows) * lists.unit
        values = self._scorer.outputs[rows] @ lists.parts.T * lists.unit
        return (self._scorer.biases[rows] * lists.unit).tolist(), values.tolist(), None

    def _counterfactuals(
        self, heads: Sequence[Rows], ranks: Sequence[NDArray[np.int64]], removed: Sequence[str]
    ) -> list[list[Counterfactual]]:
        """For each row of the first list, where it stands in each other list and what stands in its place there."""
        told: list[list[Counterfactual]] = [[] for _ in heads[0]]
        mine = heads[0].tolist()
        for signal, head, places in zip(removed, heads[1:], ranks, strict=True):
            there = [*head.tolist(), *[None] * (len(mine) - len(head))]
            for each, row, other, rank in zip(told, mine, there, places.tolist(), strict=False):
                instead = None if other is None or other == row else self.resources[other]
                each.append(Counterfactual(signal, rank or None, instead))
        return told

    def _heads(self, scores: Floats, query: Query) -> tuple[list[Rows], Floats, list[NDArray[np.int64]]]:
        """The head of each list, what diversity added in the first, and the places of the first's rows in the others.

        With diversity, the best `_POOL` of a list are reordered whatever the limit, so that a longer list begins as
        a shorter one does.
        """
        lists = Lists(scores)
        if query.diversity == 0:
            heads = lists.best(query.limit)
            ranks = [lists.places(heads[0], number) for number in range(1, len(heads))]
            return heads, np.zeros(len(heads[0])), ranks
        pools = lists.best(_POOL)
        moved = []
        for number, pool in enumerate(pools):
            count = query.limit if number == 0 else _POOL
            moved.append(
                diversified(scores[number, pool], self._similarity.among(pool), query.diversity, count)
            )
        heads = [pool[order] for pool, (order, _) in zip(pools, moved, strict=True)]
        ranks = [lists.places(heads[0], number) for number in range(1, len(heads))]
        for head, places in zip(heads[1:], ranks, strict=True):
            place, within = np.nonzero(heads[0][:, None] == head)
            places[place] = within + 1
        return heads, moved[0][1], ranks

    def _rows_of(self, resource_ids: Iterable[str]) -> list[int]:
        return [self._rows[each] for each in resource_ids if each in self._rows]


def topic_matrix(resources: Sequence[Resource], features: Features) -> sparse.csr_array:
    """(R, T) ones where a resource has a topic."""
    start = len(features.resources)
    pairs = [
        (row, features.topic_index[topic] - start)
        for row, each in enumerate(resources)
        for topic in each.topics
    ]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    shape = (len(resources), len(features.topics))
    return sparse.csr_array((np.ones(len(pairs), dtype=np.float32), (rows, columns)), shape=shape)
