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
from recommender.lists import Lists, Profiled, Scored
from recommender.query import CONTEXT, SOMETHING_NEW, Floats, HistoryEvent, Query, Ranking, Rows, Strategy
from recommender.release import Release
from recommender.scoring import Scorer
from recommender.selection import best, diversified
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
class _Profiles:
    """The person and the call, as a release knows them: with everything, and without each of some signals."""

    vectors: Floats
    """(profiles, D)"""
    parts: Floats
    """(lines, D) what each line adds to the first."""
    personal: list[bool]
    """Of each, whether the release knows anything in it."""


@dataclass(slots=True)
class _Head:
    """The n best of the list asked for; scores and what moved them are whole numbers."""

    rows: Rows
    scores: Floats
    moved: dict[str, Floats]
    propensities: Floats | None


@lru_cache
def _nowhere(count: int) -> tuple[Rows, Rows]:
    """What `Ranker._elsewhere` gives where there is no other list."""
    nothing = np.zeros((0, count), dtype=np.int64)
    return nothing, nothing


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
        self._similarity = Similarity(resource_topics, self._scorer.outputs if self._scorer else None)
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
        hidden, listed = self._hidden(told, query), self._listed(query, now)
        rules = list(self._adjustments.rules(told, query, now))
        looked_at = {*told.grouped, *hidden, *([IMPRESSIONS] if told.shown else [])}
        used = [number for number in map(SIGNAL_NUMBERS.__getitem__, permitted) if number in looked_at]
        removed = used if query.explain == "full" else []
        without = np.array([_NONE, *removed])
        scorer, profiles = self._scorer, self._profiles(told, without)
        adjusted: dict[str, Floats] = {}
        lists: Lists
        if scorer is not None and profiles is not None and all(profiles.personal) and not rules:
            lists = Profiled(scorer, profiles.vectors, listed, hidden, without)
        else:
            lists = Scored(self._scores(profiles, query, listed, without))
            kernels.hide(hidden, without, lists.scores)
            adjusted = self._adjustments.add(lists.scores, rules, without) if rules else {}
        head = self._head(lists, query, random)
        ranks, instead = self._elsewhere(lists, head.rows, query) if removed else _nowhere(len(head.rows))
        added = {name: by_list[0, head.rows] for name, by_list in adjusted.items()} | head.moved
        if scorer is not None and profiles is not None and profiles.personal[0]:
            strategy, unit, first, grouped = Strategy.PERSONALISED, scorer.unit, 0, told.grouped
            base, values = scorer.reasons(profiles.parts, head.rows)
        else:  # the editors' list knows nothing of the person: what it has are the call's lines
            strategy, unit, first = Strategy.EDITORIAL, EDITORIAL_UNIT, told.own
            grouped = [signal for signal in told.grouped if signal == kernels.CONTEXT]
            base, values, nearby = self._editors_reasons(head.rows, query)
            added = nearby | added
        return Ranking(
            shelf=self.shelf,
            strategy=strategy,
            rows=head.rows,
            scores=head.scores * unit,
            base=base * unit,
            values=values * unit,
            adjustments={name: whole * unit for name, whole in added.items()},
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
        scores = np.where(self._filters.listed(query, now), self._similarity.to_all([row])[0], -np.inf)
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

    def _profiles(self, told: Lines, without: Rows) -> _Profiles | None:
        """The profiles without each of some signals, the first of them without none; None where nothing is known."""
        if self._scorer is None or not len(told.columns):
            return None
        weights = told.weights(without, self._scorer.weighing)
        profiles = _Profiles(*self._scorer.vectors(weights, told.columns))
        # Others may be personal without the first, where a signal that says nothing filled the windows.
        return profiles if any(profiles.personal) else None

    def _scores(
        self, profiles: _Profiles | None, query: Query, listed: NDArray[np.bool_], without: Rows
    ) -> Floats:
        """(lists, R) the score of every resource in every list: the editors' where a profile says nothing."""
        if self._scorer is None or profiles is None:
            return np.tile(self._editors(query, listed), (len(without), 1))
        scores = self._scorer.scores(profiles.vectors, listed)
        if not all(profiles.personal):
            scores[~np.array(profiles.personal)] = self._editors(query, listed)
        return scores

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

    def _editors_reasons(self, rows: Rows, query: Query) -> tuple[Floats, Floats, dict[str, Floats]]:
        """What each row of the editors' list starts from, what each topic of the call and what the region adds to it."""
        topics = [
            self.shelf.features.topics[column - len(self.shelf.resources)] for column in self._context(query)
        ]
        matches = self._editorial.matches(topics, rows).reshape(len(topics), len(rows))
        nearby = self._editorial.nearby(query.region, rows)
        values = np.ascontiguousarray(matches.T)
        return self._editorial.base(rows), values, {"region": nearby} if nearby.any() else {}

    def _head(self, lists: Lists, query: Query, random: np.random.Generator | None) -> _Head:
        """The head of the list asked for.

        With diversity, the best `_POOL` of a list are reordered whatever the limit, so that a longer list begins as
        a shorter one does.
        """
        rows = lists.head(_POOL if query.diversity > 0 else query.limit)
        scores, moved, propensities = lists.scores_of(0, rows), dict[str, Floats](), None
        if query.diversity > 0:
            order, less = self._diversified(scores, rows, query)
            rows, moved["diversity"] = rows[order][: query.limit], less[: query.limit]
            scores = scores[order][: query.limit] + moved["diversity"]
        if query.explore > 0:
            unseen = np.setdiff1d(lists.rows(), rows, assume_unique=True)
            done = explore(rows, unseen, query.explore, random or np.random.default_rng())
            scores, rows, propensities = scores[done.instead_of], done.rows, done.propensities
            moved = {name: np.where(done.new, 0.0, less[done.instead_of]) for name, less in moved.items()}
            moved[SOMETHING_NEW] = np.where(done.new, scores - lists.scores_of(0, rows), 0.0)
        return _Head(rows, scores, moved, propensities)

    def _elsewhere(self, lists: Lists, rows: Rows, query: Query) -> tuple[Rows, Rows]:
        """The places of n rows in the other lists (lists - 1, n), and what stands in theirs there, -1 for the same or nothing."""
        places, heads = lists.elsewhere(rows, _POOL if query.diversity > 0 else len(rows))
        if query.diversity > 0:
            for number, (own, head) in enumerate(zip(places, heads, strict=True), start=1):
                pool = head[head >= 0]
                head[: len(pool)] = pool[self._diversified(lists.scores_of(number, pool), pool, query)[0]]
                place, within = np.nonzero(rows[:, None] == head)
                own[place] = within + 1
        instead = np.ascontiguousarray(heads[:, : len(rows)])
        instead[instead == rows] = -1
        return places, instead

    def _diversified(self, scores: Floats, pool: Rows, query: Query) -> tuple[Rows, Floats]:
        """The new order of the head of a list, by its scores (n,), and what that added to them."""
        return diversified(scores, self._similarity.among(pool), query.diversity, len(pool))
