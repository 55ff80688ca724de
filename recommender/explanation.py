"""A ranking as the API shows it: every item with its reasons, in numbers that add up and in one plain sentence.

A sentence says what the person did, never what that might say about them: no diagnosis, no symptom, no "you are".
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

import numpy as np
import orjson

from recommender import kernels
from recommender.page import Page
from recommender.query import CONTEXT, SOMETHING_NEW, Explain, Floats, Ranking, Rows, Strategy
from recommender.wording import Wording, wording

OTHER = "other"
"""The line of a short explanation that holds all that it does not list, so that the sum still holds."""

_SHORT: Final = 3
_IN_A_SENTENCE: Final = 2
_HEADS = [b'%b{"rank":%d,"resource":' % (b"," if rank > 1 else b"", rank) for rank in range(1, 101)]
_VALUE = b',"value":'
_NEXT = b"},{"
_ENDS = (b"},", b"}")
"""What stands behind each object of a list but the last, and behind the last."""


def items(ranking: Ranking, explain: Explain, locale: str | None = None) -> orjson.Fragment:
    """The items of an answer as JSON: `[{rank, resource, score, explanation}]`.

    Args:
        ranking: what the ranker gave; counterfactuals are in it when its query asked for a full explanation.
        explain: "none" gives no explanation (null), "short" the strongest contributions and one line for the
            others, "full" all contributions and the counterfactuals.
        locale: a BCP 47 tag; sentences are in its language where there is a translation, else in English.
    """
    page, payloads = Page(len(ranking.rows)), ranking.shelf.payloads
    page.each([head + payloads[row] for head, row in zip(_HEADS, ranking.rows.tolist(), strict=False)])
    page.all(b',"score":')
    page.place(page.numbers(ranking.scores))
    if ranking.propensities is not None:
        page.all(b',"propensity":')
        page.place(page.numbers(ranking.propensities))
    if explain == "none":
        page.all(b',"explanation":null}')
    else:
        _explain(page, ranking, wording(locale), full=explain == "full")
    return orjson.Fragment(b"[%b]" % page.written())


def _explain(page: Page, ranking: Ranking, words: Wording, *, full: bool) -> None:
    """Write why each item is there."""
    n, lines = ranking.values.shape
    signals = {signal: number for number, signal in enumerate(dict.fromkeys(ranking.line_signals))}
    groups = np.array([signals[signal] for signal in ranking.line_signals], dtype=np.int64)
    order: Rows = (-np.abs(ranking.values)).argsort(axis=1, kind="stable")
    codes = np.empty((n, 3 * (lines if full else min(lines, _SHORT + 1))), dtype=np.int64)
    speaking = np.empty((n, _IN_A_SENTENCE), dtype=np.int64)
    sums, rest = np.empty((n, len(signals))), np.empty(n)
    kernels.line_up(
        ranking.values,
        order,
        groups,
        page.among([_object(OTHER, None) + _VALUE, *_prefixes(ranking)]),
        page.numbers(ranking.values),
        page.numbers(rest),
        page.among(_ENDS),
        codes,
        speaking,
        sums,
        rest,
    )
    page.all(b',"explanation":{"text":')
    page.each([orjson.dumps(each) for each in _sentences(ranking, words, speaking)])
    page.all(b',"contributions":[')
    page.place(codes)
    page.all(b'],"by_signal":[')
    _by_signal(page, signals, sums)
    page.all(b'],"base":')
    page.place(page.numbers(ranking.base))
    page.all(b',"adjustments":[')
    if ranking.adjustments:
        page.each(_adjustments(ranking))
    page.all(b'],"counterfactuals":[')
    if full:
        _counterfactuals(page, ranking)
    page.all(b"]}}")


def _prefixes(ranking: Ranking) -> list[bytes]:
    """Each line as JSON up to its number."""
    about = ranking.shelf.about
    heads = {
        signal: _object(signal, ranking.receipts.get(signal)) + b","
        for signal in dict.fromkeys(ranking.line_signals)
    }
    return [
        heads[signal] + about[column] + _VALUE
        for signal, column in zip(ranking.line_signals, ranking.line_columns, strict=True)
    ]


def _object(signal: str, receipt_id: str | None) -> bytes:
    """The beginning of a contribution."""
    return orjson.dumps({"signal": signal, "receipt_id": receipt_id})[:-1]


def _by_signal(page: Page, signals: Iterable[str], sums: Floats) -> None:
    """Write what each signal adds to each item (n, G): the sums of its lines."""
    heads = [_NEXT + b'"signal":%b,"value":' % orjson.dumps(signal) for signal in signals]
    codes = np.empty((*sums.shape, 2), dtype=np.int64)
    codes[:, :, 0] = page.among(_first(heads))
    codes[:, :, 1] = page.numbers(sums)
    page.place(codes)
    page.all(b"}" if heads else b"")


def _adjustments(ranking: Ranking) -> list[bytes]:
    """What rules add to each item."""
    told: list[list[bytes]] = [[] for _ in ranking.rows]
    for name, added in ranking.adjustments.items():
        for lines, value in zip(told, added.tolist(), strict=True):
            if value:
                lines.append(orjson.dumps({"name": name, "value": value}))
    return [b",".join(lines) for lines in told]


def _counterfactuals(page: Page, ranking: Ranking) -> None:
    """Write where each item would be without each of S signals, and what would stand in its place."""
    ranks, names = ranking.ranks.T, ranking.shelf.names
    heads = [_NEXT + b'"without":%b,"rank":' % orjson.dumps(signal) for signal in ranking.without]
    instead = [names[row] if row >= 0 else b"null" for row in ranking.instead.T.ravel().tolist()]
    codes = np.empty((*ranks.shape, 4), dtype=np.int64)
    codes[:, :, 0] = page.among(_first(heads))
    codes[:, :, 1] = np.where(ranks > 0, page.numbers(ranks), page.text(b"null"))
    codes[:, :, 2] = page.text(b',"instead":')
    codes[:, :, 3] = page.among(instead).reshape(ranks.shape)
    page.place(codes)
    page.all(b"}" if heads else b"")


def _first(heads: list[bytes]) -> list[bytes]:
    """The heads of objects in a list: in front of the first, no other ends."""
    return [heads[0].removeprefix(_NEXT[:2]), *heads[1:]] if heads else []


def _sentences(ranking: Ranking, words: Wording, speaking: Rows) -> Iterator[str]:
    """For each item one sentence from the lines that speak most for it (n, 2), -1 for none."""
    phrases: dict[int, str] = {}  # of lines that other items' sentences had
    lifted = ranking.adjustments.get(SOMETHING_NEW)
    chance = repeat(0.0) if lifted is None else lifted.tolist()
    for lines, lift in zip(speaking.tolist(), chance, strict=False):
        if lift:
            yield words.something_new
            continue
        about, done = "", list[str]()
        for line in lines:
            if line < 0:
                break
            phrase = phrases.get(line)
            if phrase is None:
                phrase = phrases[line] = _phrase(ranking, words, line)
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
