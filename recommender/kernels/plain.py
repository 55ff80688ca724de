"""The loops of a recommendation in Python and NumPy: what each does, and what serves where nothing could be compiled.

Results are written into arrays that the caller hands in. Rows, lines and signals are int64, weights and scores float64.
"""

from collections.abc import Callable
from itertools import takewhile
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from recommender.mixing import content

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


CONTEXT: Final = -2
"""Stands for the signal of a line that is a topic of the call itself."""
COUNTS: Final = 0
SHOWN: Final = 1
RATED: Final = 2
FELT: Final = 3

Rule = tuple[int, float, int, float]
"""What events of a signal do: its number, how much one of them counts, one of the four kinds, and from which rating on one counts."""


def mixed(
    rows: list[Any], signals: dict[str, int], resources: dict[str, int], topics: dict[str, int]
) -> list[int]:
    """What events of one moment are ordered by: `recommender.mixing.content` of each.

    Args:
        rows: signal, resource, topic and value of each event; what else is in a row is not looked at.
        signals: the number of each signal.
        resources: the feature of each resource.
        topics: the feature of each topic.
    """
    of_rows: list[int] = content(
        np.array([signals.get(row[0], -1) for row in rows], dtype=np.int8),
        np.array([-1 if row[1] is None else resources.get(row[1], -1) for row in rows], dtype=np.int32),
        np.array([-1 if row[1] is not None else topics.get(row[2], -1) for row in rows], dtype=np.int32),
        np.array([np.nan if row[3] is None else row[3] for row in rows], dtype=np.float32),
    ).tolist()
    return of_rows


def read(  # noqa: C901, PLR0912  one loop over a person's events, on every request: a call per event would double it
    rows: list[Any],
    rules: dict[str, Rule],
    resources: dict[str, int],
    topics: dict[str, int],
    first_band: int,
    bands: int,
    context: list[int],
) -> tuple[
    Numbers, Numbers, Floats, Numbers, list[int], Numbers, Numbers, int,
    dict[int, list[int]], dict[int, list[str]], list[int], list[int],
]:  # fmt: skip
    """Read a person's events as lines: the fields of `recommender.lines.Lines`.

    Args:
        rows: signal, resource, topic and value of each event, newest first; what else is in a row is not looked at.
        rules: what events of each signal do; those of others are passed over.
        resources: the feature of each resource.
        topics: the feature of each topic.
        first_band: the feature of the lowest mood; those of the others come next.
        bands: how many there are.
        context: the features of topics of the call itself: a line each, behind all others.
    """
    signals, columns, strengths = list[int](), list[int](), list[float]()
    events: tuple[list[int], ...] = ([], [], [])
    places, seen, concerns = dict[int, int](), dict[int, list[int]](), dict[int, list[str]]()
    shown, disliked, liked, taken_back = list[int](), list[int](), set[int](), set[int]()
    for signal_id, resource, topic, value, *_ in rows:
        rule = rules.get(signal_id)
        if rule is None:
            continue
        signal, strength, kind, least = rule
        if resource is not None:
            column, family = resources.get(resource), 0
            if column is None:
                continue
            if kind == SHOWN:  # what was merely shown may come back
                shown.append(column)
            else:
                seen.setdefault(signal, []).append(column)
        elif topic is not None:
            concerns.setdefault(signal, []).append(topic)
            column, family = topics.get(topic), 1
            if column is None:
                continue
        elif value is not None and 1 <= value <= bands:
            column, family = first_band + int(value) - 1, 2
        else:
            continue
        if kind == FELT and (value is None or not 1 <= value <= bands):
            continue
        if kind == RATED:
            if value is None or not value >= least:
                if resource is not None:
                    taken_back.add(column)  # whatever was said before
                    if column not in liked:
                        disliked.append(column)
                continue
            if column in taken_back:
                continue
            liked.add(column)  # since it was rated low
        if strength <= 0.0:
            continue
        key = signal * (first_band + bands) + column
        line = places.get(key)
        if line is None:
            places[key] = line = len(columns)
            signals.append(signal)
            columns.append(column)
            strengths.append(strength)
        events[family].append(line)
    own = len(columns)
    signals += [CONTEXT] * len(context)
    return (
        np.array(signals, dtype=np.int64),
        np.array([*columns, *context], dtype=np.int64),
        np.array([*strengths, *[0.0] * len(context)]),
        *_grouped(signals),
        np.array([line for family in events for line in family], dtype=np.int64),
        np.cumsum([0, *map(len, events)]), own, seen, concerns, shown, disliked,
    )  # fmt: skip


def _grouped(signals: list[int]) -> tuple[Numbers, list[int]]:
    """The place of each signal among the different ones, and those."""
    grouped = [*dict.fromkeys(signals)]
    return np.array([grouped.index(signal) for signal in signals], dtype=np.int64), grouped


def weigh(
    events: Numbers,
    starts: Numbers,
    signals: Numbers,
    strengths: Floats,
    removed: Numbers,
    windows: Numbers,
    shares: Floats,
    weights: Floats,
) -> None:
    """Add the weights of events to several profiles at once (see `recommender.profile`).

    Args:
        events: (n,) the line of each event, family after family, newest first in each.
        starts: (F + 1,) where each family starts, and where the last one ends.
        signals: (L,) the signal of each line.
        strengths: (L,) how much one event of each line counts, above 0.
        removed: (P,) the signal that each profile leaves out.
        windows: (W,) how many of the newest events each window holds.
        shares: (F,) what one window of each family weighs.
        weights: (P, L) is added to.
    """
    for share, first, end in zip(shares.tolist(), starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        own = events[first:end]
        counted = np.where(signals[own] == removed[:, None], 0.0, strengths[own])
        place = (counted > 0).cumsum(axis=1)
        inside = counted * (place <= windows[:, None, None])
        for number, of_profile in enumerate(inside.transpose(1, 0, 2)):
            for held in of_profile:
                # In the order of the events, to the last bit as the compiled loop adds.
                total = held.cumsum()[-1:]
                if total.any():
                    np.add.at(weights[number], own, held * (share / total))


def add_up(
    weights: Floats,
    columns: Numbers,
    known: NDArray[np.uint8],
    inputs: NDArray[np.float32],
    vectors: Floats,
    parts: Floats,
) -> list[bool]:
    """Make the vectors of several profiles from the features of their lines.

    Args:
        weights: (P, L) of each line in each profile.
        columns: (L,) the feature of each line.
        known: (F,) 1 for a feature that says something.
        inputs: (F, D) features.
        vectors: (P, D) takes the sum of each profile's lines, each rounded to whole numbers.
        parts: (L, D) takes the lines of the first profile.

    Returns:
        Of each profile, whether anything in it says something.
    """
    of_lines = np.rint(weights[:, :, None] * inputs[columns])
    of_lines.sum(axis=1, out=vectors)
    parts[:] = of_lines[0]
    heard = ((weights > 0) & (known[columns] > 0)).sum(axis=1)
    return [count > 0 for count in heard.tolist()]


def hide(hidden: dict[int, list[int]], removed: Numbers, scores: Floats) -> None:
    """Take rows out of every list but the one that is made without the signal that hides them.

    Args:
        hidden: by signal, the rows that it hides.
        removed: (lists,) the signal that each list is made without.
        scores: (lists, R) takes minus infinity.
    """
    for signal, rows in hidden.items():
        scores[np.ix_(removed != signal, rows)] = -np.inf


def best(scores: Floats, rows: Numbers) -> None:
    """Find the greatest scores of several lists: the lower row first among equals, minus infinity never.

    Args:
        scores: (lists, R)
        rows: (lists, n) takes the rows of the greatest, best first; -1 where a list has ended.
    """
    room = min(rows.shape[1], scores.shape[1])
    rows[:] = -1
    if room == 0:
        return
    last = scores.shape[1] - room
    for of_list, kept in zip(scores, rows, strict=True):
        ordered = _ordered(of_list, np.partition(of_list, last)[last])[:room]
        kept[: len(ordered)] = ordered


def rank(scores: Floats, rows: Numbers, places: Numbers) -> None:
    """Find where some rows stand in several lists: 1 for the best.

    Args:
        scores: (lists, R) minus infinity for what is not in a list.
        rows: (n,) different rows.
        places: (lists, n) takes the place of each; 0 where it is not in the list.
    """
    for of_list, found in zip(scores, places, strict=True):
        own = of_list[rows]
        ordered = _ordered(of_list, own[own > -np.inf].min(initial=np.inf))
        place_of = np.zeros(len(of_list), dtype=np.int64)
        place_of[ordered] = np.arange(1, len(ordered) + 1)
        found[:] = place_of[rows]


class Catalogue:
    """The vectors of resources, laid out as the loops over all of them take them.

    Args:
        outputs: (R, D) whole numbers up to 2**24, which single precision holds.
        biases: (R,) what each resource starts from; whole numbers, as scores are, below 2**53.
    """

    def __init__(self, outputs: NDArray[np.float32], biases: Floats) -> None:
        # As the product reads it, in half the time.
        self._outputs = np.ascontiguousarray(outputs.T, dtype=np.float64)
        self._biases = biases

    def score(self, vectors: Floats, listed: NDArray[np.uint8], scores: Floats) -> None:
        """Score every resource for several profiles; what may not be listed takes minus infinity.

        Args:
            vectors: (lists, D) the profiles, whole numbers.
            listed: (R,) 1 for what may be listed.
            scores: (lists, R) takes the scores.
        """
        np.matmul(vectors, self._outputs, out=scores)
        scores += np.where(listed, self._biases, -np.inf)

    def stand(
        self,
        vectors: Floats,
        listed: NDArray[np.uint8],
        hidden: dict[int, list[int]],
        removed: Numbers,
        rows: Numbers,
        places: Numbers,
        heads: Numbers,
    ) -> None:
        """Find where some rows stand in several lists, and what heads those: as `score`, `hide`, `rank` and `best` do.

        Where it is compiled, most resources are scored roughly, and what is in doubt exactly: the outcome is the same.

        Args:
            vectors: (lists, D) the profile behind each list, whole numbers.
            listed: (R,) 1 for what may be listed.
            hidden: by signal, the rows that it hides.
            removed: (lists,) the signal that each list is made without.
            rows: (n,) different rows.
            places: (lists, n) takes the place of each; 0 where it is not in the list.
            heads: (lists, m) takes the best of each list; -1 where it has ended.
        """
        scores = np.empty((len(vectors), len(self._biases)))
        self.score(vectors, listed, scores)
        hide(hidden, removed, scores)
        rank(scores, rows, places)
        best(scores, heads)


def diversify(scores: Floats, similarity: Floats, strength: float, taken: Numbers, added: Floats) -> None:
    """Take the best, each lowered by its greatest similarity to what was taken before, again and again.

    Args:
        scores: (n,) whole numbers, descending.
        similarity: (n, n) from 0 to 1.
        strength: what a similarity of 1 lowers by.
        taken: (k,) takes places in `scores`, in their new order.
        added: (k,) takes the whole numbers, 0 or less, that lowered them.
    """
    penalty = -np.rint(similarity * strength)
    lowered = scores.copy()
    for step in range(len(taken)):
        pick = int(lowered.argmax())
        taken[step], added[step] = pick, lowered[pick] - scores[pick]
        np.minimum(lowered, scores + penalty[pick], out=lowered)
        lowered[taken[: step + 1]] = -np.inf


def line_up(values: Floats, groups: Numbers, told: Floats, order: Numbers, speaking: Numbers) -> None:
    """Line up what adds to each item: by size, whatever the sign, and what adds nothing left out.

    Args:
        values: (n, L) what each line adds to each item.
        groups: (L,) the group of each line.
        told: (n, k + G) takes the value of each of `order`, 0 where there is none, and the sum of each group.
        order: (n, k) takes the lines of each item, -1 where there are no more; where there are more than k, the last
            is L: all that there is no room for.
        speaking: (n, m) takes the first lines that add something above 0, -1 where there are no more.
    """
    lines, room = values.shape[1], order.shape[1]
    told[:, :room], order[:], speaking[:] = 0.0, -1, -1
    told[:, room:] = values @ (groups[:, None] == np.arange(told.shape[1] - room))
    for item, own in enumerate(values):
        by_size = (-np.abs(own)).argsort(kind="stable")
        by_size = by_size[own[by_size] != 0.0]
        most = by_size[own[by_size] > 0.0][: speaking.shape[1]]
        speaking[item, : len(most)] = most
        shown = by_size[:room]
        order[item, : len(shown)], told[item, : len(shown)] = shown, own[shown]
        if len(by_size) > room > 0:
            order[item, -1], told[item, room - 1] = lines, own[by_size[room - 1 :]].sum()


class Page:
    """A JSON array of n pieces, filled column by column: each method but `numbers` says what comes next in every piece.

    Text that pieces share is made once, and numbers are made text all at once, when all is written.
    """

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self._columns: list[Callable[[int, list[bytes]], bytes]] = []
        self._values: list[NDArray[Any]] = []
        self._counted = 0

    def all(self, text: bytes) -> None:
        """Write the same in each piece."""
        self._columns.append(lambda _piece, _numbers: text)

    def each(self, texts: list[bytes]) -> None:
        """Write to each piece its own of n texts."""
        self._columns.append(lambda piece, _numbers: texts[piece])

    def choose(self, texts: list[bytes], rows: Numbers) -> None:
        """Write to each piece the text that one of n rows names; null for -1."""
        self._columns.append(lambda piece, _numbers: texts[rows[piece]] if rows[piece] >= 0 else b"null")

    def numbers(self, values: NDArray[Any]) -> int:
        """Take numbers, of any shape; where the first of them stands among all that were taken."""
        first = self._counted
        self._counted += values.size
        if values.size:
            self._values.append(values.ravel())
        return first

    def number(self, first: int, step: int = 1) -> None:
        """Write to each piece the number that stands a step behind the one of the piece before."""
        self._columns.append(lambda piece, numbers: numbers[first + piece * step])

    def sums(self, heads: list[bytes], first: int, step: int) -> None:
        """Write to each piece the objects of a list: of each its head, one of the numbers from `first` on, and the end."""

        def objects(piece: int, numbers: list[bytes]) -> bytes:
            own = numbers[first + piece * step :]
            return b",".join(head + number + b"}" for head, number in zip(heads, own, strict=False))

        self._columns.append(objects)

    def places(
        self, heads: list[bytes], places: Numbers, between: bytes, texts: list[bytes], rows: Numbers
    ) -> None:
        """Write to each piece the objects of a list: of each its head, a place, what stands between, a text and the end.

        Args:
            heads: what each of S objects begins with.
            places: (S, n) count from 1; null is written for 0.
            between: what stands between a place and a text.
            texts: what there is to choose from.
            rows: (S, n) which of the texts; null is written for -1.
        """

        def objects(piece: int, _numbers: list[bytes]) -> bytes:
            chosen = zip(heads, places[:, piece].tolist(), rows[:, piece].tolist(), strict=True)
            return b",".join(
                b"%b%b%b%b}"
                % (head, b"%d" % place if place else b"null", between, texts[row] if row >= 0 else b"null")
                for head, place, row in chosen
            )

        self._columns.append(objects)

    def lines(
        self,
        order: Numbers,
        heads: list[bytes],
        groups: Numbers,
        texts: list[bytes],
        columns: Numbers,
        rest: bytes,
        first: int,
        step: int,
    ) -> None:
        """Write to each piece the objects of a list: of each the head of its group, its text, its number and the end.

        Args:
            order: (n, k) the lines of each piece, up to the first -1.
            heads: what the objects of each group begin with.
            groups: (lines,) the group of each line.
            texts: what stands between a head and a number.
            columns: (lines,) the place of each line's text.
            rest: what stands before the number of the line behind the last.
            first: where the numbers of the first piece begin: one for each of `order`.
            step: how far the numbers of one piece are behind those of the piece before.
        """

        def objects(piece: int, numbers: list[bytes]) -> bytes:
            shown = takewhile(lambda line: line >= 0, order[piece].tolist())
            return b",".join(
                (rest if line == len(columns) else heads[groups[line]] + texts[columns[line]])
                + numbers[first + piece * step + place]
                + b"}"
                for place, line in enumerate(shown)
            )

        self._columns.append(objects)

    def written(self) -> bytes:
        """The array."""
        told = [orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for values in self._values]
        numbers = b",".join(told).split(b",")
        pieces = [
            b"".join([column(piece, numbers) for column in self._columns]) for piece in range(self._pieces)
        ]
        return b"[%b]" % b",".join(pieces)


def _ordered(scores: Floats, bound: Any) -> Numbers:
    """Every row in the list that reaches a bound, best first."""
    pool = ((scores >= bound) & (scores > -np.inf)).nonzero()[0]
    ordered: Numbers = pool[(-scores[pool]).argsort(kind="stable")]
    return ordered
