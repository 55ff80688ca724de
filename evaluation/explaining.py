"""How far explanations can be trusted: whether they add up, whether what they cite matters, how short and how stable they are.

Sources: counterfactual validity as deletion of what is cited, Samek et al., IEEE TNNLS 28(11), 2017; DeYoung et al., "ERASER", ACL 2020
(comprehensiveness); stability, Alvarez-Melis and Jaakkola, "On the robustness of interpretability methods", 2018.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.config import ExperimentConfig, ExplainingConfig
from evaluation.histories import histories
from evaluation.ours import Ours
from evaluation.preparation import Prepared
from evaluation.statistics import interval, movements
from recommender.catalog import Evidence, Kind, Resource, Source, SourceKind, Status
from recommender.query import CONTEXT, HistoryEvent, Query, Ranking
from recommender.ranking import Ranker

_EXACT = 1e-9
_MOST = 0.8
_TOP = 3
_LONGEST = 100

EXPLANATIONS = {
    "measure": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "people": pl.Int64(),
}
"""A row for each measure: the mean over the people for whom it is defined, and its bootstrap interval.

- `sum_fidelity`: share of items whose base, lines and adjustments sum to their score, to within 1e-9.
- `validity`: how many more doublings an item's rank falls without the signal that adds most to it than without another of the
  person's signals (the mean over the others, which is what a random one gives); above 0, what is cited matters more.
- `validity_share`: share of items that fall further so than on average without another.
- `lines`: how many lines an explanation has; `lines_for_most`: how many make up 80 % of what all lines add and take away.
- `same_signal`: share of items listed under two seeds for which the same signal adds most; `same_lines`: overlap (Jaccard) of
  their three largest lines.
"""


def explanations(
    rankers: Sequence[Ranker],
    people: Sequence[Sequence[HistoryEvent]],
    granted: Mapping[str, str | None],
    query: Query,
    now: datetime,
    *,
    samples: int = 2_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Measure the explanations of lists; rows of `EXPLANATIONS`, with nulls where a measure is defined for nobody.

    Args:
        rankers: of one catalogue, with releases that differ by their seed alone; the first is measured, and the others
            say how stable it is.
        people: each one's permitted events, newest first.
        granted: the signals that they let this purpose use.
        query: what is asked, with `explain="full"`. With `exclude_seen`, what a signal had hidden comes back without it, and
            moves items that the signal did not speak for.
        now: the moment of asking.
        samples: of the bootstrap.
        confidence: of intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: the query does not ask for full explanations.
    """
    if query.explain != "full":
        raise ValueError("validity needs a query with explain='full'")
    measured = [_one([ranker.rank(history, granted, query, now) for ranker in rankers]) for history in people]
    names = (
        "sum_fidelity",
        "validity",
        "validity_share",
        "lines",
        "lines_for_most",
        "same_signal",
        "same_lines",
    )
    rows: list[tuple[str, float | None, float | None, float | None, int]] = []
    for name in names:
        own = np.array([one[name] for one in measured if name in one])
        if not len(own):
            rows.append((name, None, None, None, 0))
            continue
        value = float(own.mean())
        low, high = interval(value, movements(own[:, None], samples, seed)[:, 0], confidence)
        rows.append((name, value, low, high, len(own)))
    return pl.DataFrame(rows, schema=EXPLANATIONS, orient="row")


def _one(rankings: Sequence[Ranking]) -> dict[str, float]:
    """One person's measures, those that are defined."""
    ranking = rankings[0]
    if not len(ranking.rows):
        return {}
    added = ranking.base + ranking.values.sum(axis=1) + sum(ranking.adjustments.values())
    found = {"sum_fidelity": float((np.abs(added - ranking.scores) <= _EXACT).mean())}
    if not len(ranking.line_groups):
        return found
    size = -np.sort(-np.abs(ranking.values), axis=1)
    reached = np.cumsum(size, axis=1) >= _MOST * size.sum(axis=1, keepdims=True) - _EXACT
    found |= {
        "lines": float(len(ranking.line_groups)),
        "lines_for_most": float((reached.argmax(axis=1) + 1).mean()),
    }
    return found | _validity(ranking) | _stability(ranking, rankings[1:])


def by_signal(ranking: Ranking) -> tuple[list[str], NDArray[np.float64]]:
    """The S signals that have lines, and (n, S) what the lines of each add to each item."""
    names = sorted({*ranking.grouped} - {CONTEXT})
    groups = np.array([ranking.grouped.index(name) for name in names], dtype=np.int64)
    belongs = (ranking.line_groups[:, None] == groups).astype(np.float64)
    return names, np.asarray(ranking.values @ belongs)


def _validity(ranking: Ranking) -> dict[str, float]:
    names, added = by_signal(ranking)
    names_left_out = list(ranking.without)
    if len(names) < 2 or not set(names) <= set(names_left_out):
        return {}
    ranks = ranking.ranks[[names_left_out.index(name) for name in names]].T.astype(np.float64)
    last = len(ranking.shelf.resources)
    own = np.arange(1, len(ranking.rows) + 1)[:, None]
    fall = np.log2(np.where(ranks == 0, last, ranks) / own)
    cited = added.argmax(axis=1)
    each = np.arange(len(cited))
    others = (fall.sum(axis=1) - fall[each, cited]) / (len(names) - 1)
    more = fall[each, cited] - others
    return {"validity": float(more.mean()), "validity_share": float((more > 0).mean())}


def _stability(ranking: Ranking, others: Sequence[Ranking]) -> dict[str, float]:
    signals, lines = [], []
    for other in others:
        _, places, theirs = np.intersect1d(ranking.rows, other.rows, return_indices=True)
        for place, there in zip(places, theirs, strict=True):
            signals.append(_top_signal(ranking, place) == _top_signal(other, there))
            one, two = _top_lines(ranking, place), _top_lines(other, there)
            lines.append(len(one & two) / len(one | two) if one | two else 1.0)
    if not signals:
        return {}
    return {"same_signal": float(np.mean(signals)), "same_lines": float(np.mean(lines))}


def _top_signal(ranking: Ranking, place: int) -> str | None:
    names, added = by_signal(ranking)
    return names[int(added[place].argmax())] if names else None


def _top_lines(ranking: Ranking, place: int) -> set[tuple[str, int]]:
    first = np.argsort(-np.abs(ranking.values[place]), kind="stable")[:_TOP]
    return {(ranking.grouped[ranking.line_groups[line]], ranking.line_columns[line]) for line in first}


def explained(config: ExperimentConfig, asked: ExplainingConfig, prepared: Prepared) -> pl.DataFrame:
    """`explanations` of the lists that our model as shipped gives to people of the first fold.

    Used items may be listed, so that nothing but scores moves what is listed when a signal is left out.

    Args:
        config: says seed and intervals.
        asked: of how many people and seeds.
        prepared: the test itself is not looked at, but for who is in it.
    """
    exam = prepared.folds[0].exam
    setting = prepared.setting
    resources = [_resource(item, setting.item_topics.get(item, ())) for item in prepared.catalogue]
    rankers = []
    for seed in range(config.seed, config.seed + asked.seeds):
        training = config.training.model_copy(update={"seed": seed})
        rankers.append(Ranker(resources, Ours(training, setting.item_topics).fit(exam.train).release))
    drawn = np.random.default_rng(config.seed).permutation(exam.people)[: asked.people]
    events = exam.known.events
    latest = datetime.fromtimestamp(np.asarray(events["at"]).max() / 1e6, UTC)
    return explanations(
        rankers,
        histories(exam.known, drawn),
        dict.fromkeys(events["signal"].unique()),
        Query(limit=min(config.k[0], _LONGEST), exclude_seen=False, explain="full"),
        latest,
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        seed=config.seed,
    )


def _resource(item: str, topics: tuple[str, ...]) -> Resource:
    """An item of a file as something that may be listed; not validated, since a file's ids may be any text."""
    return Resource.model_construct(
        id=item,
        title=item,
        summary=item,
        body=item,
        kind=Kind.ARTICLE,
        topics=topics,
        languages=("en",),
        source=Source(name="a file", kind=SourceKind.COMMUNITY),
        evidence=Evidence.EXPERT,
        reviewed_at=date(1970, 1, 1),
        status=Status.PUBLISHED,
    )
