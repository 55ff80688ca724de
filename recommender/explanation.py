"""A ranking as the API shows it: every item with its reasons, in numbers that add up and in one plain sentence.

A sentence says what the person did, never what that might say about them: no diagnosis, no symptom, no "you are".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from consent.signals import SIGNALS
from recommender.query import CONTEXT, Explain, Line, Ranked, Ranking, Strategy
from recommender.wording import Wording, wording

OTHER = "other"
"""The line of a short explanation that holds all that it does not list, so that the sum still holds."""

_SHORT = 3
_IN_A_SENTENCE = 2


def items(ranking: Ranking, explain: Explain, locale: str | None = None) -> list[dict[str, Any]]:
    """The items of an answer, ready for orjson: `{rank, resource, score, explanation}`.

    Args:
        ranking: what the ranker gave; counterfactuals are in it when its query asked for a full explanation.
        explain: "none" gives no explanation (None), "short" the strongest contributions and one line for the
            others, "full" all contributions and the counterfactuals.
        locale: a BCP 47 tag; sentences are in its language where there is a translation, else in English.
    """
    words = wording(locale)
    prefixes = [_prefix(line) for line in ranking.lines]
    return [
        {
            "rank": item.rank,
            "resource": orjson.Fragment(item.payload),
            "score": item.score,
            "explanation": None
            if explain == "none"
            else _explanation(ranking, item, prefixes, explain, words),
        }
        for item in ranking.items
    ]


def _explanation(
    ranking: Ranking, item: Ranked, prefixes: Sequence[dict[str, Any]], explain: Explain, words: Wording
) -> dict[str, Any]:
    values = item.values
    order = [number for number, value in enumerate(values) if value]
    order.sort(key=list(map(abs, values)).__getitem__, reverse=True)
    shown = order if explain == "full" or len(order) <= _SHORT + 1 else order[:_SHORT]
    contributions = []
    for number in shown:
        contribution = prefixes[number].copy()  # the quickest way to make what there may be thousands of
        contribution["value"] = values[number]
        contributions.append(contribution)
    if len(shown) < len(order):
        rest = sum(values[number] for number in order[_SHORT:])
        contributions.append({"signal": OTHER, "receipt_id": None, "value": rest})
    return {
        "text": _text(ranking, [number for number in order if values[number] > 0], words),
        "contributions": contributions,
        "base": item.base,
        "adjustments": [{"name": name, "value": value} for name, value in item.adjustments.items()],
        "counterfactuals": [
            {
                "without": without,
                "rank": rank,
                "instead": None if instead is None else {"id": instead.id, "title": instead.title},
            }
            for without, rank, instead in item.counterfactuals
        ]
        if explain == "full"
        else [],
    }


def _prefix(line: Line) -> dict[str, Any]:
    """A contribution without its value: the signal, the one thing that it is about, the consent behind it."""
    prefix: dict[str, Any] = {"signal": line.signal, "receipt_id": line.receipt_id}
    if line.resource_id is not None:
        prefix["resource_id"] = line.resource_id
    elif line.topic is not None:
        prefix["topic"] = line.topic
    elif line.band is not None:
        prefix["band"] = line.band
    return prefix


def _text(ranking: Ranking, helpful: Sequence[int], words: Wording) -> str:
    """One sentence from the lines that speak most for an item."""
    lines = [ranking.lines[number] for number in helpful[:_IN_A_SENTENCE]]
    about = [words.topic(line.topic) for line in lines if line.signal == CONTEXT and line.topic]
    if ranking.strategy is Strategy.EDITORIAL:
        return words.editors_topic.format(about[0]) if about else words.editors
    done = dict.fromkeys(_deed(line, ranking.titles, words) for line in lines if line.signal in SIGNALS)
    if not done:
        return words.context.format(about[0]) if about else words.beyond
    sentence = words.because.format(words.joined.join(done))
    return sentence + words.and_context.format(about[0]) if about else sentence


def _deed(line: Line, titles: Mapping[str, str], words: Wording) -> str:
    thing = titles.get(line.resource_id, "") if line.resource_id else words.topic(line.topic or "")
    return words.deeds[line.signal].format(thing)
