"""A ranking as the API shows it: every item with its reasons, in numbers that add up and in one plain sentence.

A sentence says what the person did, never what that might say about them: no diagnosis, no symptom, no "you are".
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from recommender import kernels
from recommender.query import CONTEXT, SOMETHING_NEW, Explain, Floats, Ranking, Strategy
from recommender.wording import Wording, wording

OTHER = "other"
"""The line of a short explanation that holds all that it does not list, so that the sum still holds."""

_SHORT = 3
_IN_A_SENTENCE = 2
_HEADS = [b'%b{"rank":%d,"resource":' % (b"," if rank > 1 else b"", rank) for rank in range(1, 101)]
_NEXT = b"},{"
"""What stands between two objects of a list. Every object is written with it in front; the first gives up all but the brace."""
_OTHERS = _NEXT + orjson.dumps({"signal": OTHER, "receipt_id": None})[1:-1] + b',"value":'

Columns = Iterable[Iterable[bytes]]
"""Pieces of JSON: for each item the next of every column, in turn."""


def items(ranking: Ranking, explain: Explain, locale: str | None = None) -> orjson.Fragment:
    """The items of an answer as JSON: `[{rank, resource, score, explanation}]`.

    There may be thousands of contributions. What tells one item's from another's are their numbers and their order,
    so the text around the numbers is made once per line, and all numbers are written at once.

    Args:
        ranking: what the ranker gave; counterfactuals are in it when its query asked for a full explanation.
        explain: "none" gives no explanation (null), "short" the strongest contributions and one line for the
            others, "full" all contributions and the counterfactuals.
        locale: a BCP 47 tag; sentences are in its language where there is a translation, else in English.
    """
    resources = map(ranking.shelf.payloads.__getitem__, ranking.rows.tolist())
    columns: list[Iterable[bytes]] = [_HEADS, resources, repeat(b',"score":'), _numbers(ranking.scores)]
    if ranking.propensities is not None:
        columns += (repeat(b',"propensity":'), _numbers(ranking.propensities))
    if explain == "none":
        columns.append(repeat(b',"explanation":null}'))
    else:
        columns += _explanations(ranking, wording(locale), full=explain == "full")
    return orjson.Fragment(b"[" + b"".join(chain.from_iterable(zip(*columns, strict=False))) + b"]")


def _explanations(ranking: Ranking, words: Wording, *, full: bool) -> Columns:
    """Why each item is there."""
    order = np.argsort(-np.abs(ranking.values), axis=1, kind="stable")
    ordered = ranking.values[np.arange(len(order))[:, None], order]
    sentences = _sentences(ranking, words, order.tolist(), ordered.tolist())
    return (
        repeat(b',"explanation":{"text":'), map(orjson.dumps, sentences),
        repeat(b',"contributions":['), _contributions(ranking, order, ordered, full=full),
        repeat(b'],"by_signal":['), _by_signal(ranking),
        repeat(b'],"base":'), _numbers(ranking.base),
        repeat(b',"adjustments":['), _adjustments(ranking),
        repeat(b'],"counterfactuals":['), _counterfactuals(ranking) if full else repeat(b""),
        repeat(b"]}}"),
    )  # fmt: skip


def _contributions(
    ranking: Ranking, order: NDArray[np.int64], ordered: Floats, *, full: bool
) -> Iterator[bytes]:
    """The lines of each item, the strongest first; those that add nothing are left out."""
    counts = np.count_nonzero(ordered, axis=1)
    shown = counts if full else np.where(counts <= _SHORT + 1, counts, _SHORT)
    written = kernels.interleave(_prefixes(ranking), order, shown, _array(ordered))
    for place, (lines, told, count) in enumerate(zip(written, shown.tolist(), counts.tolist(), strict=True)):
        rest = b"" if told == count else _OTHERS + orjson.dumps(float(ordered[place, told:].sum()))
        yield _listed(lines + rest)


def _listed(objects: bytes) -> bytes:
    """What stands in the brackets of a list of objects that are written with `_NEXT` in front of each, and without an end."""
    return objects[len(_NEXT) - 1 :] + b"}" if objects else b""


def _prefixes(ranking: Ranking) -> list[bytes]:
    """Each line as JSON up to its number."""
    about = ranking.shelf.about
    heads = {
        signal: _NEXT
        + orjson.dumps({"signal": signal, "receipt_id": ranking.receipts.get(signal)})[1:-1]
        + b","
        for signal in dict.fromkeys(ranking.line_signals)
    }
    return [
        heads[signal] + about[column] + b',"value":'
        for signal, column in zip(ranking.line_signals, ranking.line_columns, strict=True)
    ]


def _by_signal(ranking: Ranking) -> Iterator[bytes]:
    """What each signal adds to each item: the sums of its lines."""
    numbers = {signal: number for number, signal in enumerate(dict.fromkeys(ranking.line_signals))}
    of_line = np.array([numbers[signal] for signal in ranking.line_signals])
    member = (of_line[:, None] == np.arange(len(numbers))).astype(np.float64)
    heads = [_NEXT + b'"signal":' + orjson.dumps(signal) + b',"value":' for signal in numbers]
    return map(_listed, _in_turn(heads, ranking.values @ member))


def _adjustments(ranking: Ranking) -> list[bytes]:
    """What rules add to each item."""
    told: list[list[bytes]] = [[] for _ in ranking.rows]
    for name, added in ranking.adjustments.items():
        for lines, value in zip(told, added.tolist(), strict=True):
            if value:
                lines.append(orjson.dumps({"name": name, "value": value}))
    return [b",".join(lines) for lines in told]


def _counterfactuals(ranking: Ranking) -> Iterator[bytes]:
    """Where each item would be without each signal, and what would stand in its place."""
    names, size = ranking.shelf.names, len(ranking.without)
    heads = [_NEXT + b'"without":' + orjson.dumps(signal) + b',"rank":' for signal in ranking.without]
    ranks = [b"null" if rank == b"0" else rank for rank in _numbers(ranking.ranks.T)]
    instead = [names[row] if row >= 0 else b"null" for row in ranking.instead.T.ravel().tolist()]
    pieces = [
        head + rank + b',"instead":' + name
        for head, rank, name in zip(heads * len(ranking.rows), ranks, instead, strict=True)
    ]
    return (
        _listed(b"".join(pieces[size * place : size * (place + 1)])) for place in range(len(ranking.rows))
    )


def _in_turn(heads: list[bytes], values: Floats) -> list[bytes]:
    """Heads (k) and values (n, k) in turn, for each of n items."""
    n, k = values.shape
    return kernels.interleave(heads, np.tile(np.arange(k), (n, 1)), np.full(n, k), _array(values))


def _array(array: NDArray[Any]) -> bytes:
    """Every number of an array as one JSON array."""
    return orjson.dumps(array.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _numbers(array: NDArray[Any]) -> list[bytes]:
    """Every number of an array as JSON."""
    return _array(array)[1:-1].split(b",") if array.size else []


def _sentences(
    ranking: Ranking, words: Wording, order: Sequence[Sequence[int]], ordered: Sequence[Sequence[float]]
) -> Iterator[str]:
    """For each item one sentence from the lines that speak most for it."""
    deeds: dict[int, str] = {}  # the phrases of lines that other items' sentences had
    lifted = ranking.adjustments.get(SOMETHING_NEW)
    chance = repeat(0.0) if lifted is None else lifted.tolist()
    for row, values, lift in zip(order, ordered, chance, strict=False):
        if lift:
            yield words.something_new
            continue
        speaking = (line for line, value in zip(row, values, strict=True) if value > 0)
        about, done = "", list[str]()
        for line in islice(speaking, _IN_A_SENTENCE):
            phrase = deeds.get(line)
            if phrase is None:
                phrase = deeds[line] = _phrase(ranking, words, line)
            if ranking.line_signals[line] == CONTEXT:
                about = about or phrase
            elif phrase not in done:
                done.append(phrase)
        yield _sentence(ranking.strategy, words, done, about)


def _sentence(strategy: Strategy, words: Wording, done: Sequence[str], about: str) -> str:
    """One sentence of what the person did and what the call is about."""
    if strategy is Strategy.EDITORIAL:
        return words.editors_topic.format(about) if about else words.editors
    if not done:
        return words.context.format(about) if about else words.beyond
    sentence = words.because.format(words.joined.join(done))
    return sentence + words.and_context.format(about) if about else sentence


def _phrase(ranking: Ranking, words: Wording, line: int) -> str:
    """What the person did, in words; of the call's context, the name of the topic."""
    signal, column = ranking.line_signals[line], ranking.line_columns[line]
    resources = ranking.shelf.resources
    if column < len(resources):
        return words.deeds[signal].format(resources[column].title)
    topic = words.topic(ranking.line(line).topic or "")
    return topic if signal == CONTEXT else words.deeds[signal].format(topic)
