"""Whether a list is more than ten times the same, more than what everyone is shown, and in proportion to the person."""

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.metric import Background, Cuts, MeanOverPeople, listed, summed
from evaluation.ranking import NOTHING, Lists

Values = NDArray[np.float64]

SMOOTHING = 0.01
"""Share of the person's own topics that is mixed into the list's, so that a topic that is not listed has a defined cost."""


def intra_list_diversity(lists: Lists, background: Background, cuts: Cuts) -> Values:
    """How different the items of a list are from each other.

    Formula: mean over the pairs of the list of 1 - cosine(i, j), of what the items are compared by (their topics
    where any are known, else who took them up). 0 where all are alike.
    Edge: an item of which nothing is known differs wholly from every other. A list of fewer than two items has no value.
    Source: Ziegler, McNee, Konstan and Lausen, "Improving recommendation lists through topic diversification", WWW 2005.
    """
    has_vector = (np.einsum("if,if->i", background.vectors, background.vectors) > 0.5).astype(np.float32)
    values = []
    with_vector = summed(lists, has_vector[:, None], cuts)
    sums = summed(lists, background.vectors, cuts)
    for total, own, count in zip(sums, with_vector, listed(lists, cuts).T, strict=True):
        # The sum of all cosines of different items: |sum of unit vectors|² less each with itself.
        alike = np.einsum("uf,uf->u", total, total) - own[:, 0]
        pairs = count * (count - 1)
        values.append(1 - np.divide(alike, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))
    return np.stack(values, axis=1)


def serendipity(lists: Lists, background: Background, cuts: Cuts) -> Values:
    """Share of the list that the person took up and that popularity would not have shown them.

    Formula: |hits@k without the k most popular items that the person had not taken up| / k.
    Edge: of items equally popular the earlier in the catalogue counts as the more popular. Divided by k however
    short the list.
    Source: Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", RecSys 2010, with popularity as the primitive
    recommender.
    """
    place = np.empty(lists.catalogue, dtype=np.int64)
    place[np.argsort(-background.counts, kind="stable")] = np.arange(lists.catalogue)
    rows = np.arange(len(lists.items), dtype=np.int64) * (lists.catalogue + 1)
    known = background.known
    had = np.sort(np.repeat(rows, np.diff(known.indptr)) + place[known.indices])
    own = place[np.maximum(lists.items, 0)]
    # Among what the person has not had, an item's place is that in the catalogue less those before it that they have had.
    before = np.searchsorted(had, rows[:, None] + own) - known.indptr[:-1, None]
    unexpected = own - before
    hits = lists.hits & (lists.items != NOTHING)
    return np.stack(
        [(hits[:, :cut] & (unexpected[:, :cut] >= cut)).sum(axis=1) / cut for cut in cuts.tolist()], axis=1
    )


def miscalibration(lists: Lists, background: Background, cuts: Cuts) -> Values:
    """How far the topics of the list are from the topics of what the person took up.

    Formula: KL(p || q') = sum over topics of p log(p / q'), q' = 0.99 q + 0.01 p, where p and q are the mean over the
    person's known items, and over the list, of each item's topics in equal parts. 0 where the list is in proportion;
    at most log 100.
    Edge: items without a topic do not count; a list without any topic has q = 0. A person none of whose items has a
    topic has no value.
    Source: Steck, "Calibrated recommendations", RecSys 2018.
    """
    parts = background.topics / np.maximum(background.topics.sum(axis=1, keepdims=True), 1)
    own = _shares(np.asarray(background.known @ parts, dtype=np.float64))
    defined = own.sum(axis=1) > 0
    values = []
    for total in summed(lists, parts, cuts):
        mixed = (1 - SMOOTHING) * _shares(total) + SMOOTHING * own
        ratio = np.divide(own, mixed, out=np.ones_like(own), where=own > 0)
        values.append(np.where(defined, (own * np.log(ratio)).sum(axis=1), np.nan))
    return np.stack(values, axis=1)


def _shares(totals: Values) -> Values:
    """Rows that sum to 1, or to 0 where there is nothing."""
    size = totals.sum(axis=1, keepdims=True)
    return totals / np.where(size > 0, size, 1)


DIVERSITY = MeanOverPeople(
    "Intra-list diversity",
    "how different the items of one list are from each other; 0 is all alike, 1 is nothing in common",
    "neither",
    values=intra_list_diversity,
)
SERENDIPITY = MeanOverPeople(
    "Serendipity",
    "the share of the list that people went on to use and that a list of the most popular would not have shown",
    "higher",
    values=serendipity,
)
CALIBRATION = MeanOverPeople(
    "Miscalibration",
    "how far the topics of the list are from the topics of what the person used; 0 is in proportion",
    "lower",
    needs_topics=True,
    values=miscalibration,
)
