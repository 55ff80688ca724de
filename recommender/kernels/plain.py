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
    total = inside.sum(axis=2, keepdims=True)
    of_events = (inside * (share / np.where(total > 0, total, 1.0))).sum(axis=0)
    for number, each in enumerate(of_events):
        weights[number] += np.bincount(events, each, weights.shape[1])


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


def best(scores: Floats, rows: Numbers) -> int:
    """Find the greatest scores: the lower row first among equals, minus infinity never.

    Args:
        scores: (R,)
        rows: (n,) takes the rows of the greatest, best first.

    Returns:
        How many were found.
    """
    room = min(len(rows), len(scores))
    if room == 0:
        return 0
    last = len(scores) - room
    ordered = _ordered(scores, np.partition(scores, last)[last])[:room]
    rows[: len(ordered)] = ordered
    return len(ordered)


def rank(scores: Floats, rows: Numbers, places: Numbers) -> None:
    """Find where some rows stand in a list: 1 for the best.

    Args:
        scores: (R,) minus infinity for what is not in the list.
        rows: (n,) different rows.
        places: (n,) takes the place of each; 0 where it is not in the list.
    """
    own = scores[rows]
    present = own > -np.inf
    ordered = _ordered(scores, own[present].min(initial=np.inf))
    place_of = np.zeros(len(scores), dtype=np.int64)
    place_of[ordered] = np.arange(1, len(ordered) + 1)
    places[:] = place_of[rows]


def interleave(texts: list[bytes], order: Numbers, counts: Numbers, numbers: bytes) -> list[bytes]:
    """Write texts and numbers in turn.

    Args:
        texts: what may stand before a number.
        order: (n, k) which text stands before each number.
        counts: (n,) how many of the k are written.
        numbers: n x k numbers as a JSON array, row by row.

    Returns:
        For each of n rows its first texts and numbers.
    """
    told, width = numbers[1:-1].split(b","), order.shape[1]
    return [
        b"".join(
            texts[text] + told[row * width + place]
            for place, text in enumerate(which[: counts[row]].tolist())
        )
        for row, which in enumerate(order)
    ]


def _ordered(scores: Floats, bound: Any) -> Numbers:
    """Every row in the list that reaches a bound, best first."""
    pool = ((scores >= bound) & (scores > -np.inf)).nonzero()[0]
    ordered: Numbers = pool[(-scores[pool]).argsort(kind="stable")]
    return ordered
