"""A ranking as the API shows it: every item with its reasons, in numbers that add up and in one plain sentence.

A sentence says what the person did, never what that might say about them: no diagnosis, no symptom, no "you are".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from consent.signals import SIGNALS
from recommender.query import CONTEXT, Explain, Line, Ranked, Ranking, Strategy
from recommender.wording import Wording, wording

OTHER = "other"
"""The line of a short explanation that holds all that it does not list, so that the sum still holds."""

_OTHERS = orjson.dumps({"signal": OTHER, "receipt_id": None})[:-1] + b',"value":'
_SHORT = 3
_IN_A_SENTENCE = 2


def items(ranking: Ranking, explain: Explain, locale: str | None = None) -> list[dict[str, Any]]:
    """The items of an answer, ready for orjson: `{rank, resource, score, explanation}`.

    Resources and contributions are JSON already (`orjson.Fragment`): there may be thousands of contributions, and
    all that tells one item's from another's are their numbers and their order.

    Args:
        ranking: what the ranker gave; counterfactuals are in it when its query asked for a full explanation.
        explain: "none" gives no explanation (None), "short" the strongest contributions and one line for the
            others, "full" all contributions and the counterfactuals.
        locale: a BCP 47 tag; sentences are in its language where there is a translation, else in English.
    """
    told = _Told(ranking, wording(locale)) if explain != "none" else None
    return [
        {
            "rank": item.rank,
            "resource": orjson.Fragment(item.payload),
            "score": item.score,
            "explanation": None if told is None else told.explanation(place, item, full=explain == "full"),
        }
        for place, item in enumerate(ranking.items)
    ]


class _Told:
    """What all items of a ranking share: the lines as JSON up to their numbers, all numbers as JSON, all orders."""

    def __init__(self, ranking: Ranking, words: Wording) -> None:
        self._ranking, self._words = ranking, words
        self._prefixes = [orjson.dumps(_prefix(line))[:-1] + b',"value":' for line in ranking.lines]
        self._deeds: dict[int, str] = {}
        values = np.array([item.values for item in ranking.items], dtype=np.float64)
        values = values.reshape(len(ranking.items), len(ranking.lines))
        self._orders = np.argsort(-np.abs(values), axis=1, kind="stable").tolist()
        self._counted = np.count_nonzero(values, axis=1).tolist()
        numbers = orjson.dumps(values.ravel().tolist())[1:-1].split(b",")
        width = len(ranking.lines)
        self._numbers = [numbers[start : start + width] for start in range(0, len(numbers), max(width, 1))]

    def explanation(self, place: int, item: Ranked, *, full: bool) -> dict[str, Any]:
        """Why the item of a place is there."""
        order = self._orders[place][: self._counted[place]]
        return {
            "text": self._text(order, item.values),
            "contributions": self._contributions(place, order, item, full=full),
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
            if full
            else [],
        }

    def _contributions(
        self, place: int, order: Sequence[int], item: Ranked, *, full: bool
    ) -> orjson.Fragment:
        shown = order if full or len(order) <= _SHORT + 1 else order[:_SHORT]
        prefixes, numbers = self._prefixes, self._numbers[place] if order else []
        written = [prefixes[number] + numbers[number] for number in shown]
        if len(shown) < len(order):
            rest = sum(item.values[number] for number in order[_SHORT:])
            written.append(_OTHERS + orjson.dumps(rest))
        return orjson.Fragment(b"[" + b"},".join(written) + b"}]" if written else b"[]")

    def _text(self, order: Sequence[int], values: Sequence[float]) -> str:
        """One sentence from the lines that speak most for an item."""
        words = self._words
        lines: list[tuple[int, Line]] = []
        for number in order:
            if values[number] > 0:
                lines.append((number, self._ranking.lines[number]))
                if len(lines) == _IN_A_SENTENCE:
                    break
        about = [words.topic(line.topic) for _, line in lines if line.signal == CONTEXT and line.topic]
        if self._ranking.strategy is Strategy.EDITORIAL:
            return words.editors_topic.format(about[0]) if about else words.editors
        done = dict.fromkeys(self._deed(number, line) for number, line in lines if line.signal in SIGNALS)
        if not done:
            return words.context.format(about[0]) if about else words.beyond
        sentence = words.because.format(words.joined.join(done))
        return sentence + words.and_context.format(about[0]) if about else sentence

    def _deed(self, number: int, line: Line) -> str:
        deed = self._deeds.get(number)
        if deed is None:
            titles, words = self._ranking.titles, self._words
            thing = titles.get(line.resource_id, "") if line.resource_id else words.topic(line.topic or "")
            deed = self._deeds[number] = words.deeds[line.signal].format(thing)
        return deed


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
