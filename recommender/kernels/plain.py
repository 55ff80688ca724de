"""The loops of a recommendation in NumPy: what each does, and what serves where nothing could be compiled.

Results are written into arrays that the caller hands in. Rows, lines and signals are int64, weights and scores float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def weigh(
    events: Numbers,
    signals: Numbers,
    strengths: Floats,
    removed: Numbers,
    windows: Numbers,
    share: float,
    weights: Floats,
) -> None:
    """Add the weights of one family's events to several profiles at once (see `recommender.profile`).

    Args:
        events: (n,) the line of each event, newest first.
        signals: (L,) the signal of each line.
        strengths: (L,) how much one event of each line counts, above 0.
        removed: (P,) the signal that each profile leaves out.
        windows: (W,) how many of the newest events each window holds.
        share: what one window of this family weighs.
        weights: (P, L) is added to.
    """
    counted = np.where(signals[events] == removed[:, None], 0.0, strengths[events])
    place = (counted > 0).cumsum(axis=1)
    inside = counted * (place <= windows[:, None, None])
    for number, of_profile in enumerate(inside.transpose(1, 0, 2)):
        for held in of_profile:
            total = held.cumsum()[
                -1:
            ]  # in the order of the events, to the last bit as the compiled loop adds
            if total.any():
                np.add.at(weights[number], events, held * (share / total))


def add_up(
    weights: Floats, columns: Numbers, inputs: NDArray[np.float32], vectors: Floats, parts: Floats
) -> None:
    """Make the vectors of several profiles from the features of their lines.

    Args:
        weights: (P, L) of each line in each profile.
        columns: (L,) the feature of each line.
        inputs: (F, D) features.
        vectors: (P, D) takes the sum of each profile's lines, each rounded to whole numbers.
        parts: (L, D) takes the lines of the first profile.
    """
    of_lines = np.rint(weights[:, :, None] * inputs[columns])
    of_lines.sum(axis=1, out=vectors)
    parts[:] = of_lines[0]


def hide(rows: Numbers, signals: Numbers, removed: Numbers, scores: Floats) -> None:
    """Take rows out of every list but the one that is made without the signal that hides them.

    Args:
        rows: (n,) what is hidden.
        signals: (n,) by which signal.
        removed: (lists,) the signal that each list is made without.
        scores: (lists, R) takes minus infinity.
    """
    lists, places = (signals != removed[:, None]).nonzero()
    scores[lists, rows[places]] = -np.inf


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


def line_up(
    values: Floats,
    order: Numbers,
    groups: Numbers,
    lines: Numbers,
    numbers: Numbers,
    others: Numbers,
    ends: Numbers,
    codes: Numbers,
    speaking: Numbers,
    sums: Floats,
    rest: Floats,
) -> None:
    """Line up the contributions of each item as `Page` writes them: text, number and end of each, those of zero left out.

    Args:
        values: (n, L) what each line adds to each item.
        order: (n, L) the lines of each item, by size.
        groups: (L,) the group of each line.
        lines: (1 + L,) the codes of the lines' texts; the first stands for all lines that there is no room for.
        numbers: (n, L) the codes of `values`.
        others: (n,) the codes of `rest`.
        ends: (2,) the codes of what ends a contribution, and of what ends the last one.
        codes: (n, 3 k) takes the codes of up to k contributions; what there is no room for is one, the last.
        speaking: (n, m) takes the first lines that add something, -1 where there are no more.
        sums: (n, G) takes the sum of each group.
        rest: (n,) takes the sum of what there is no room for.
    """
    n, room = len(order), codes.shape[1] // 3
    sums[:] = values @ (groups[:, None] == np.arange(sums.shape[1]))
    ordered = values[np.arange(n)[:, None], order]
    told = np.count_nonzero(ordered, axis=1)
    rest[:] = ordered[:, room - 1 :].sum(axis=1) if room else 0.0
    codes[:], speaking[:] = 0, -1
    for item in range(n):
        most = order[item, ordered[item] > 0][: speaking.shape[1]]
        speaking[item, : len(most)] = most
        shown = order[item, : told[item]][:room]
        mine = codes[item].reshape(room, 3)[: len(shown)]
        mine[:, 0], mine[:, 1], mine[:, 2] = lines[1 + shown], numbers[item, shown], ends[0]
        if told[item] > room:
            mine[-1, :2] = lines[0], others[item]
        mine[-1:, 2] = ends[1]


def weave(texts: list[bytes], codes: Numbers, numbers: bytes) -> bytes:
    """Write texts and numbers, one after the other.

    Args:
        texts: what a code from 0 stands for.
        codes: (n,) what is written: a text by its place, a number by the complement of its place.
        numbers: a JSON array of numbers.
    """
    told = numbers[1:-1].split(b",")
    return b"".join([texts[code] if code >= 0 else told[~code] for code in codes.tolist()])


def _ordered(scores: Floats, bound: Any) -> Numbers:
    """Every row in the list that reaches a bound, best first."""
    pool = ((scores >= bound) & (scores > -np.inf)).nonzero()[0]
    ordered: Numbers = pool[(-scores[pool]).argsort(kind="stable")]
    return ordered
