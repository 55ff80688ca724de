"""Whether lists are safe to be shown: what they ask of people, whether they dwell on one topic, where they say to turn.

| figure | is | source |
|---|---|---|
| exposure of a group | share of the places, of the attention, and of the lists that it is in | Singh and Joachims, KDD 2018 |
| concentration | share of a list's items that have its most frequent topic | Simpson's dominance, reduced to one topic |
| support | share of answers with a block on where to turn | none: counted |

Exposure and concentration need lists and a catalogue, from wherever lists come. Support is a property of what the API
answers: no file of events and no ranking tells of it, so it is counted in real answers, or is not defined.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.errors import DatasetError
from evaluation.statistics import interval, movements
from recommender.catalog import Intensity, Resource

Lists = Sequence[Sequence[str]]
"""Ids of resources, best first, one list for each answer."""

EXPOSURE = {
    "property": pl.String(),
    "group": pl.String(),
    "catalogue_share": pl.Float64(),
    "place_share": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "attention_share": pl.Float64(),
    "list_share": pl.Float64(),
}
"""Columns of `exposure`: the group's share of the catalogue, of all places, of all places weighted by 1 / log2(1 + rank),
and of the lists in which it has at least one place. `low` and `high` are the ends of the interval of `place_share`."""


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are found: lists are resampled whole."""

    samples: int = 2_000
    confidence: float = 0.95
    seed: int = 0

    def around(self, value: float, moved: NDArray[np.float64]) -> tuple[float, float]:
        """The interval of a value that each of (N,) lists moves so far."""
        return interval(value, movements(moved[:, None], self.samples, self.seed)[:, 0], self.confidence)


_GROUPS: Sequence[tuple[str, str, Callable[[Resource], bool]]] = (
    ("intensity", "gentle", lambda each: each.intensity is Intensity.GENTLE),
    ("intensity", "moderate", lambda each: each.intensity is Intensity.MODERATE),
    ("intensity", "demanding", lambda each: each.intensity is Intensity.DEMANDING),
    ("contraindications", "none", lambda each: not each.contraindications),
    ("contraindications", "some", lambda each: bool(each.contraindications)),
    (
        "both",
        "demanding, with contraindications",
        lambda each: each.intensity is Intensity.DEMANDING and bool(each.contraindications),
    ),
)


@dataclass(frozen=True)
class Concentration:
    """How far lists dwell on one topic.

    Attributes:
        mean: mean over lists of the share of the list's items that have its most frequent topic.
        low: end of the interval of the mean.
        high: the other end.
        worst_decile: the same over the tenth of the lists, at least one, where it is largest.
        lists: how many lists have items; empty ones have no share.
    """

    mean: float
    low: float
    high: float
    worst_decile: float
    lists: int


def exposure(
    lists: Lists,
    catalogue: Sequence[Resource],
    bootstrap: Bootstrap = Bootstrap(),
) -> pl.DataFrame:
    """What the lists show, by what it asks of a person and by whether it should sometimes not be used.

    Formula: over all places of all lists, (places of the group) / (places), plain and weighted by 1 / log2(1 + rank);
    and (lists with at least one of the group) / (lists). Equal to `catalogue_share` where lists are drawn at random.
    Edge: an empty list has no places, and counts among the lists; where all are empty, the shares of places are null.
    The interval is that of a ratio of means over lists, linearised.
    Source: Singh and Joachims, "Fairness of exposure in rankings", KDD 2018 (attention by logarithmic discount).

    Returns:
        A row for each group, columns as in `EXPOSURE`.

    Raises:
        DatasetError: there are no lists, or one names what is not in the catalogue.
    """
    known = _checked(lists, catalogue)
    lengths = np.array([len(each) for each in lists], dtype=np.float64)
    rank = np.array([place for each in lists for place in range(1, len(each) + 1)], dtype=np.float64)
    of_list = np.array([number for number, each in enumerate(lists) for _ in each], dtype=np.int64)
    shown = [known[each] for listed in lists for each in listed]
    attention = 1 / np.log2(1 + rank)
    rows = []
    for name, group, belongs in _GROUPS:
        member = np.array([belongs(each) for each in shown], dtype=np.bool_)
        own = np.bincount(of_list[member], minlength=len(lists))
        row = {
            "property": name,
            "group": group,
            "catalogue_share": sum(map(belongs, catalogue)) / len(catalogue),
            "list_share": float((own > 0).mean()),
        }
        if shown:
            share = float(member.mean())
            low, high = bootstrap.around(share, (own - share * lengths) / lengths.mean())
            row |= {"place_share": share, "low": low, "high": high}
            row["attention_share"] = float(attention[member].sum() / attention.sum())
        rows.append(row)
    return pl.DataFrame(rows, schema=EXPOSURE)


def concentration(
    lists: Lists,
    catalogue: Sequence[Resource],
    bootstrap: Bootstrap = Bootstrap(),
) -> Concentration | None:
    """How far the lists dwell on one topic, on average and where it is worst.

    Formula: for a list, max over topics of (items that have the topic) / (items). Between 0 and 1.
    Edge: an item without a topic counts as an item, so that a list without any topic has 0; a list of one item with a
    topic has 1; an empty list has none, and None is returned where all are empty.

    Raises:
        DatasetError: there are no lists, or one names what is not in the catalogue.
    """
    known = _checked(lists, catalogue)
    shares = sorted(
        (_dominance([known[each] for each in listed]) for listed in lists if listed), reverse=True
    )
    if not shares:
        return None
    worst = shares[: math.ceil(len(shares) / 10)]
    mean = math.fsum(shares) / len(shares)
    ends = bootstrap.around(mean, np.array(shares))
    return Concentration(mean, *ends, math.fsum(worst) / len(worst), len(shares))


def support_share(answers: Sequence[Mapping[str, Any]]) -> float:
    """Share of the API's answers that say where to turn: a title, somewhere with an address or a number, and an emergency text.

    Formula: (answers with such a block) / (answers). An answer without items counts like any other.

    Args:
        answers: bodies as `POST /v1/recommendations` and its like answer, `support_only` included.

    Raises:
        DatasetError: there are no answers.
    """
    if not answers:
        raise DatasetError("answers: there are none")
    return sum(_supports(each.get("support")) for each in answers) / len(answers)


def lists_of(answers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The lists of the API's answers, by rank; an answer without items gives an empty one.

    Raises:
        DatasetError: naming the answer and the item that is not as the API answers.
    """
    lists = []
    for number, answer in enumerate(answers, start=1):
        try:
            ranked = sorted(answer["items"], key=lambda item: int(item["rank"]))
            lists.append([str(item["resource"]["id"]) for item in ranked])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"answers, row {number}: is no answer of the API ({error!r})") from None
    return lists


def _checked(lists: Lists, catalogue: Sequence[Resource]) -> Mapping[str, Resource]:
    if not lists:
        raise DatasetError("lists: there are none")
    known = {each.id: each for each in catalogue}
    for number, listed in enumerate(lists, start=1):
        for place, each in enumerate(listed, start=1):
            if each not in known:
                raise DatasetError(
                    f"lists, row {number}, place {place}: {each!r} is not in the catalogue of {len(known):,} resources"
                )
    if not known:
        raise DatasetError("catalogue: is empty")
    return known


def _dominance(listed: Sequence[Resource]) -> float:
    times = Counter(topic for each in listed for topic in set(each.topics))
    return max(times.values(), default=0) / len(listed)


def _supports(block: Any) -> bool:
    if not isinstance(block, Mapping):
        return False
    lines = [each for each in block.get("helplines") or () if each.get("url") or each.get("phone")]
    return bool(block.get("title") and lines and (block.get("emergency") or {}).get("text"))
