"""A ranking as the API shows it: every item with its reasons, in numbers that add up and in one plain sentence.

A sentence says what the person did, never what that might say about them: no diagnosis, no symptom, no "you are".
"""

from typing import Final

import numpy as np
import orjson

from recommender import kernels
from recommender.kernels import Page
from recommender.lines import SIGNAL_IDS
from recommender.query import CONTEXT, SOMETHING_NEW, Explain, Ranking, Rows, Strategy
from recommender.wording import Wording, json_text, wording

OTHER = "other"
"""The line of a short explanation that holds all that it does not list, so that the sum still holds."""

_SHORT: Final = 3
_IN_A_SENTENCE: Final = 2  # as `_sentences` has them
_RANKS = [b'{"rank":%d,"resource":' % rank for rank in range(1, 101)]
_HEADS = {name: b'{"signal":"%b","receipt_id":' % name.encode() for name in (*SIGNAL_IDS, CONTEXT)}
_REST = b'{"signal":"%b","receipt_id":null,"value":' % OTHER.encode()
_SUMS = {name: b'{"signal":"%b","value":' % name.encode() for name in (*SIGNAL_IDS, CONTEXT)}
_COUNTERFACTUALS = {name: b'{"without":"%b","rank":' % name.encode() for name in SIGNAL_IDS}


def items(ranking: Ranking, explain: Explain, locale: str | None = None) -> orjson.Fragment:
    """The items of an answer as JSON: `[{rank, resource, score, explanation}]`.

    Args:
        ranking: what the ranker gave; counterfactuals are in it when its query asked for a full explanation.
        explain: "none" gives no explanation (null), "short" the strongest contributions and one line for the
            others, "full" all contributions and the counterfactuals.
        locale: a BCP 47 tag; sentences are in its language where there is a translation, else in English.
    """
    page = Page(len(ranking.rows))
    page.each(_RANKS)
    page.choose(ranking.shelf.payloads, ranking.rows)
    page.all(b',"score":')
    page.number(page.numbers(ranking.scores))
    if ranking.propensities is not None:
        page.all(b',"propensity":')
        page.number(page.numbers(ranking.propensities))
    if explain == "none":
        page.all(b',"explanation":null}')
    else:
        _explain(page, ranking, wording(locale), full=explain == "full")
    return orjson.Fragment(page.written())


def _explain(page: Page, ranking: Ranking, words: Wording, *, full: bool) -> None:
    """Write why each item is there."""
    n, lines = ranking.values.shape
    groups = ranking.line_groups
    room = lines if full else min(lines, _SHORT + 1)
    told, order = np.empty((n, room + len(ranking.grouped))), np.empty((n, room), dtype=np.int64)
    speaking = np.empty((n, _IN_A_SENTENCE), dtype=np.int64)
    kernels.line_up(ranking.values, groups, told, order, speaking)
    first, step = page.numbers(told), told.shape[1]
    page.all(b',"explanation":{"text":')
    page.each(_sentences(ranking, words, speaking))
    page.all(b',"contributions":[')
    heads = [_HEADS[signal] + orjson.dumps(ranking.receipts.get(signal)) + b"," for signal in ranking.grouped]
    page.lines(order, heads, groups, ranking.shelf.about, ranking.line_columns, _REST, first, step)
    page.all(b'],"by_signal":[')
    page.sums([_SUMS[signal] for signal in ranking.grouped], first + room, step)
    page.all(b'],"base":')
    page.number(page.numbers(ranking.base))
    page.all(b',"adjustments":[')
    if ranking.adjustments:
        page.each(_adjustments(ranking))
    page.all(b'],"counterfactuals":[')
    if full:
        others = [_COUNTERFACTUALS[signal] for signal in ranking.without]
        page.places(others, ranking.ranks, b',"instead":', ranking.shelf.names, ranking.instead)
    page.all(b"]}}")


def _adjustments(ranking: Ranking) -> list[bytes]:
    """What rules add to each item."""
    told: list[list[bytes]] = [[] for _ in ranking.rows]
    for name, added in ranking.adjustments.items():
        for lines, value in zip(told, added.tolist(), strict=True):
            if value:
                lines.append(orjson.dumps({"name": name, "value": value}))
    return [b",".join(lines) for lines in told]


def _sentences(ranking: Ranking, words: Wording, speaking: Rows) -> list[bytes]:
    """For each item one sentence, as JSON, from the two lines that speak most for it (n, 2), -1 for none."""
    pairs = speaking.tolist()
    deeds, topics = _phrases(ranking, words, {line for pair in pairs for line in pair})
    joined, sentences = words.told("joined"), []
    for first, second in pairs:
        done, other = deeds[first], deeds[second]
        if other and other != done:
            done = done + joined + other if done else other
        about = topics and (topics.get(first) or topics.get(second))
        sentences.append(b'"%b"' % _sentence(ranking.strategy, words, done, about or b""))
    lifted = ranking.adjustments.get(SOMETHING_NEW)
    if lifted is not None:
        new = b'"%b"' % words.told("something_new")
        sentences = [new if lift else each for lift, each in zip(lifted.tolist(), sentences, strict=True)]
    return sentences


def _phrases(ranking: Ranking, words: Wording, lines: set[int]) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """What the person did, in words, by line, b"" for a line that tells of no deed; and what topics of the call are named."""
    titles, columns = ranking.shelf.titles, ranking.line_columns.tolist()
    groups = ranking.line_groups.tolist()
    deeds, topics = dict.fromkeys(lines, b""), dict[int, bytes]()
    for line in lines:
        if line < 0:
            continue
        signal, column = ranking.grouped[groups[line]], columns[line]
        if column < len(titles):
            thing = titles[column]
        else:
            thing = json_text(words.topic(ranking.line(line).topic or ""))
        if signal == CONTEXT:
            topics[line] = thing
        else:
            deeds[line] = words.told(signal, thing)
    return deeds, topics


def _sentence(strategy: Strategy, words: Wording, done: bytes, about: bytes) -> bytes:
    """One sentence of what the person did and what the call is about, b"" for nothing."""
    if strategy is Strategy.EDITORIAL:
        return words.told("editors_topic", about) if about else words.told("editors")
    if not done:
        return words.told("context", about) if about else words.told("beyond")
    sentence = words.told("because", done)
    return sentence + words.told("and_context", about) if about else sentence
