"""From a catalogue, a release and what a person shared to a list, with the reasons for every place in it.

    score = bias + sum over lines of weight x <input[feature], output[resource]> + adjustments

In this order: score, leave out what must not be shown, add what rules say, pick, make diverse, give places to chance.

A `Ranker` is made once for a catalogue and a release and never changes; a person's profile lives as long as the call.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender import kernels
from recommender.adjustments import IMPRESSIONS, RATINGS, Adjustments
from recommender.catalog import Resource
from recommender.editorial import UNIT as EDITORIAL_UNIT
from recommender.editorial import Editorial
from recommender.exploration import explore
from recommender.filters import Filters
from recommender.lines import SIGNAL_IDS, SIGNAL_NUMBERS, Lines, Weighing, read_lines
from recommender.query import CONTEXT, SOMETHING_NEW, Floats, HistoryEvent, Query, Ranking, Rows, Strategy
from recommender.release import Release
from recommender.scoring import Scorer
from recommender.selection import best, diversified, places_of, rows_in
from recommender.shelf import Shelf, topic_matrix
from recommender.similarity import Similarity

_NONE = -1  # stands for no signal
_UNTRAINED = Weighing(None)
_LINE_NAMES = {**dict(enumerate(SIGNAL_IDS)), kernels.CONTEXT: CONTEXT}
_POOL = 128  # how many of a list take part when it is made more diverse; above every limit


@lru_cache(maxsize=1024)
def _told_apart(granted: tuple[str, ...], without: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The signals that may be looked at, and those that may not, in the catalogue's order."""
    permitted = tuple(name for name in SIGNAL_IDS if name in granted and name not in without)
    return permitted, tuple(name for name in SIGNAL_IDS if name not in permitted)


@dataclass(slots=True)
class _Scored:
    """The list asked for and, after it, the list without each of some signals; scores are whole numbers of `unit`."""

    strategy: Strategy
    unit: float
    scores: Floats
    """(lists, R) minus infinity for what is not in a list; of the list asked for alone, where there are `others`."""
    parts: Floats | None = None
    """(lines, D) what each line adds to the profile of the list asked for; None when that is the editors' list."""
    others: Floats | None = None
    """(lists - 1, D) the profiles of the other lists, where nothing needs their scores."""


@dataclass(slots=True)
class _Head:
    """The n best of the list asked for; scores and what moved them are whole numbers."""

    rows: Rows
    scores: Floats
    moved: dict[str, Floats]
    propensities: Floats | None


class Ranker:
    """Ranks one catalogue of R resources by one release, or in the editors' order where there is none.

    Args:
        resources: the catalogue, whatever its state: what must not be shown is left out when ranking.
        release: what was trained, or None.
        former: what ranked before, by whatever release; what it knows of resources that are still the same objects is
            taken over, and the outcome is the same without it.

    Raises:
        ValueError: two resources share an id, or the release holds numbers that are not finite.
    """

    def __init__(
        self, resources: Iterable[Resource], release: Release | None = None, former: "Ranker | None" = None
    ) -> None:
        topics = release.features.topics if release else ()
        self.shelf: Shelf = Shelf(resources, topics, former.shelf if former else None)
        features, columns = self.shelf.features, self.shelf.columns
        resource_topics = topic_matrix(self.shelf.resources, features)
        self._filters = Filters(self.shelf)
        self._editorial = Editorial(columns, self._filters)
        self._scorer = Scorer(release, features, resource_topics) if release else None
        embeddings = [self._scorer.outputs] if self._scorer else []
        self._similarity = Similarity(resource_topics, *embeddings)
        self._adjustments = Adjustments(columns, self._similarity)
        columns.let_go()

    def rank(
        self,
        history: Iterable[HistoryEvent | tuple[Any, ...]],
        granted: Mapping[str, str | None],
        query: Query,
        now: datetime,
        random: np.random.Generator | None = None,
    ) -> Ranking:
        """Answer a query.

        Args:
            history: the person's permitted events, newest first, in the shape of `HistoryEvent`. Rows of a signal
                that is not in `granted`, or that the query leaves out, are not looked at.
            granted: the signals that the person lets this purpose use, each with the receipt of that consent.
            query: what is asked for.
            now: the moment of asking, with its time zone.
            random: where the chance comes from that a query to `explore` asks for; the operating system's when None.
        """
        permitted, withheld = _told_apart(tuple(granted), query.without)
        weighing = self._scorer.weighing if self._scorer else _UNTRAINED
        told = read_lines(history, permitted, self.shelf.features, weighing, self._context(query))
        hidden = self._hidden(told, query)
        rules = list(self._adjustments.rules(told, query, now))
        looked_at = {*told.grouped, *hidden, *([IMPRESSIONS] if told.shown else [])}
        used = [number for number in map(SIGNAL_NUMBERS.__getitem__, permitted) if number in looked_at]
        removed = used if query.explain == "full" else []
        without = np.array([_NONE, *removed])
        listed = self._listed(query, now)
        scored = self._scored(told, query, without, listed, in_full=bool(rules) or query.diversity > 0)
        if hidden:
            kernels.hide(hidden, without[: len(scored.scores)], scored.scores)
        by_rule = self._adjustments.add(scored.scores, rules, without) if rules else {}
        head = self._head(scored.scores[0], query, random)
        ranks, instead = self._elsewhere(scored, head.rows, listed, hidden, without[1:], query)
        base, values, nearby = self._reasons(scored, head.rows, query)
        added = nearby | {name: by_list[0, head.rows] for name, by_list in by_rule.items()} | head.moved
        first, grouped = 0, told.grouped
        # The editors' list knows nothing of the person: what it has are the call's lines.
        if scored.parts is None:
            first, grouped = told.own, [signal for signal in grouped if signal == kernels.CONTEXT]
        return Ranking(
            shelf=self.shelf,
            strategy=scored.strategy,
            rows=head.rows,
            scores=head.scores * scored.unit,
            base=base * scored.unit,
            values=values * scored.unit,
            adjustments={name: whole * scored.unit for name, whole in added.items()},
            line_groups=told.groups[first:] - (len(told.grouped) - len(grouped)),
            line_columns=told.columns[first:],
            grouped=[_LINE_NAMES[number] for number in grouped],
            receipts=granted,
            without=[SIGNAL_IDS[number] for number in removed],
            ranks=ranks,
            instead=instead,
            propensities=head.propensities,
            signals_used=tuple(SIGNAL_IDS[number] for number in used),
            signals_withheld=withheld,
        )

    def similar(self, resource_id: str, query: Query, now: datetime) -> list[tuple[Resource, float]]:
        """The resources nearest to one, with their cosine similarity, within what the query lets through.

        Raises:
            KeyError: no resource has that id.
        """
        row = self.shelf.rows[resource_id]
        scores = np.where(self._filters.listed(query, now), self._similarity.to_all(row), -np.inf)
        scores[[row, *self.shelf.rows_of(query.exclude)]] = -np.inf
        nearest = best(scores[None], query.limit)[0]
        return [
            (self.shelf.resources[near], float(scores[near]))
            for near in nearest
            if near >= 0 and scores[near] > 0.0
        ]

    def _context(self, query: Query) -> list[int]:
        """The columns of the call's own topics."""
        index = self.shelf.features.topic_index
        return [index[topic] for topic in dict.fromkeys(query.context_topics) if topic in index]

    def _listed(self, query: Query, now: datetime) -> NDArray[np.bool_]:
        """(R,) what may be listed, whatever the person shared."""
        listed = self._filters.listed(query, now)
        if query.exclude:
            listed = listed.copy()
            listed[self.shelf.rows_of(query.exclude)] = False
        return listed

    def _scored(
        self, told: Lines, query: Query, without: Rows, listed: NDArray[np.bool_], *, in_full: bool
    ) -> _Scored:
        """Score the list made without each of some signals, the first of them without none; `in_full` every one."""
        scorer, personal = self._scorer, [False]
        if scorer is not None and len(told.columns):
            weights = told.weights(without, scorer.weighing)
            vectors, parts, personal = scorer.vectors(weights, told.columns)
        if scorer is None or not any(personal):
            editors = np.tile(self._editors(query, listed), (len(without), 1))
            return _Scored(Strategy.EDITORIAL, EDITORIAL_UNIT, editors)
        if all(personal) and not in_full:
            scores = scorer.scores(vectors[:1], listed)
            return _Scored(Strategy.PERSONALISED, scorer.unit, scores, parts, vectors[1:])
        scores = scorer.scores(vectors, listed)
        if not all(personal):
            scores[~np.array(personal)] = self._editors(query, listed)
        # Others may be personal even so, where a signal that says nothing filled the windows.
        if not personal[0]:
            return _Scored(Strategy.EDITORIAL, EDITORIAL_UNIT, scores)
        return _Scored(Strategy.PERSONALISED, scorer.unit, scores, parts)

    def _editors(self, query: Query, listed: NDArray[np.bool_]) -> Floats:
        scores = self._editorial.scores(dict.fromkeys(query.context_topics), query.region)
        return np.where(listed, scores, -np.inf)

    def _hidden(self, told: Lines, query: Query) -> dict[int, list[int]]:
        """The rows that each signal keeps out of the list: what was used before, and what is contraindicated."""
        hidden = dict(told.seen) if query.exclude_seen else {}
        if told.disliked:  # "not for me" holds, whatever else is asked for
            hidden.setdefault(RATINGS, told.disliked)
        if query.max_shown is not None:
            often = [row for row, times in Counter(told.shown).items() if times >= query.max_shown]
            hidden |= {IMPRESSIONS: often} if often else {}
        for signal, topics in told.concerns.items():
            ruled_out = [row for topic in topics for row in self._filters.contraindicated(topic).tolist()]
            if ruled_out:
                hidden[signal] = hidden.get(signal, []) + ruled_out
        return hidden

    def _reasons(self, scored: _Scored, rows: Rows, query: Query) -> tuple[Floats, Floats, dict[str, Floats]]:
        """What each row of the first list starts from, what each line adds to it, and what the region adds."""
        if scored.parts is not None and self._scorer is not None:
            return *self._scorer.reasons(scored.parts, rows), {}
        topics = [
            self.shelf.features.topics[column - len(self.shelf.resources)] for column in self._context(query)
        ]
        matches = self._editorial.matches(topics, rows).reshape(len(topics), len(rows))
        nearby = self._editorial.nearby(query.region, rows)
        values = np.ascontiguousarray(matches.T)
        return self._editorial.base(rows), values, {"region": nearby} if nearby.any() else {}

    def _head(self, scores: Floats, query: Query, random: np.random.Generator | None) -> _Head:
        """The head of the list asked for, by the scores (R,) of that.

        With diversity, the best `_POOL` of a list are reordered whatever the limit, so that a longer list begins as
        a shorter one does.
        """
        rows = best(scores[None], _POOL if query.diversity > 0 else query.limit)[0]
        rows = rows if rows[-1] >= 0 else rows[rows >= 0]
        final, moved, propensities = scores[rows], dict[str, Floats](), None
        if query.diversity > 0:
            order, less = self._diversified(scores, rows, query)
            rows, moved["diversity"] = rows[order][: query.limit], less[: query.limit]
            final = final[order][: query.limit] + moved["diversity"]
        if query.explore > 0:
            unseen = np.setdiff1d(rows_in(scores), rows, assume_unique=True)
            done = explore(rows, unseen, query.explore, random or np.random.default_rng())
            final, rows, propensities = final[done.instead_of], done.rows, done.propensities
            moved = {name: np.where(done.new, 0.0, less[done.instead_of]) for name, less in moved.items()}
            moved[SOMETHING_NEW] = np.where(done.new, final - scores[rows], 0.0)
        return _Head(rows, final, moved, propensities)

    def _elsewhere(
        self,
        scored: _Scored,
        rows: Rows,
        listed: NDArray[np.bool_],
        hidden: dict[int, list[int]],
        without: Rows,
        query: Query,
    ) -> tuple[Rows, Rows]:
        """The places of n rows in the other lists (lists - 1, n), and what stands in theirs there, -1 for the same or nothing."""
        if scored.others is not None and self._scorer is not None:
            places, heads = self._scorer.standings(scored.others, listed, hidden, without, rows)
        else:
            others = scored.scores[1:]
            places, heads = places_of(others, rows), best(others, _POOL if query.diversity > 0 else len(rows))
            if query.diversity > 0:
                self._diversify(others, rows, places, heads, query)
        instead = heads[:, : len(rows)]
        return places, np.where(instead == rows, -1, instead)

    def _diversify(self, others: Floats, rows: Rows, places: Rows, heads: Rows, query: Query) -> None:
        """Make the heads of other lists diverse as well, and put right the places of what stands in them."""
        for of_list, own, head in zip(others, places, heads, strict=True):
            pool = head[head >= 0]
            head[: len(pool)] = pool[self._diversified(of_list, pool, query)[0]]
            place, within = np.nonzero(rows[:, None] == head)
            own[place] = within + 1

    def _diversified(self, scores: Floats, pool: Rows, query: Query) -> tuple[Rows, Floats]:
        """The new order of the head of a list, and what that added to its scores."""
        return diversified(scores[pool], self._similarity.among(pool), query.diversity, len(pool))
