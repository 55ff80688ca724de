"""How much of what people went on to use is in their list, and how near the top.

`hit(r)` is 1 where the item at rank r was taken up in the test part; `positives` is how many items were. Relevance is
binary. A list that runs out of items simply earns nothing more. All are means over people, from 0 to 1.
"""

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.metric import Background, Cuts, MeanOverPeople, running
from evaluation.ranking import Lists

Values = NDArray[np.float64]


def ndcg(lists: Lists, _background: Background | None, cuts: Cuts) -> Values:
    """Normalised discounted cumulative gain.

    Formula: DCG@k = sum over r = 1..k of hit(r) / log2(r + 1), divided by the DCG@k of the best possible list, which
    has min(k, positives) hits at the top.
    Edge: a list that runs out of items earns nothing more.
    Source: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002.
    """
    discount = 1 / np.log2(np.arange(max(cuts.max(), lists.hits.shape[1])) + 2)
    ideal = np.cumsum(discount)[np.minimum(lists.positives[:, None], cuts) - 1]
    return np.asarray(running(lists.hits * discount[: lists.hits.shape[1]], cuts) / ideal)


def ndcg_of(lists: Lists, k: int) -> float:
    """The NDCG of lists at one cut-off, which is what settings are chosen by."""
    return float(ndcg(lists, None, np.array([k])).mean())


def recall(lists: Lists, _background: Background, cuts: Cuts) -> Values:
    """Share of what a person took up that is in their list.

    Formula: hits@k / positives.
    Edge: the divisor is all positives, not min(k, positives); whoever took up more than k things cannot reach 1.
    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.3.
    """
    return running(lists.hits, cuts) / lists.positives[:, None]


def precision(lists: Lists, _background: Background, cuts: Cuts) -> Values:
    """Share of the list that the person took up.

    Formula: hits@k / k.
    Edge: a list shorter than k is divided by k all the same; whoever took up fewer than k things cannot reach 1.
    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.4.
    """
    return running(lists.hits, cuts) / cuts


def mean_average_precision(lists: Lists, _background: Background, cuts: Cuts) -> Values:
    """Mean of the precision at each hit.

    Formula: AP@k = sum over r = 1..k of hit(r) * precision@r, divided by positives.
    Edge: positives beyond k are in the divisor, as in TREC; hits that are not listed count as precision 0.
    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.4.
    """
    ranks = np.arange(1, lists.hits.shape[1] + 1)
    at_hits = lists.hits * np.cumsum(lists.hits, axis=1) / ranks
    return running(at_hits, cuts) / lists.positives[:, None]


def reciprocal_rank(lists: Lists, _background: Background, cuts: Cuts) -> Values:
    """One over the rank of the first hit.

    Formula: 1 / min{r : hit(r) = 1}.
    Edge: 0 where there is no hit among the first k.
    Source: Voorhees, "The TREC-8 question answering track report", 1999.
    """
    first = lists.hits.argmax(axis=1)
    found = np.asarray(lists.hits.any(axis=1))
    return np.where(found[:, None] & (first[:, None] < cuts), 1 / (first[:, None] + 1), 0.0)


def hit_rate(lists: Lists, _background: Background, cuts: Cuts) -> Values:
    """Share of people with any hit.

    Formula: 1 where hits@k > 0, else 0.
    Edge: an empty list has no hit.
    Source: Deshpande and Karypis, ACM TOIS 22(1), 2004.
    """
    return (running(lists.hits, cuts) > 0).astype(np.float64)


NDCG = MeanOverPeople(
    "NDCG",
    "how much of what people went on to use is in their list, and how near the top; 1 is a perfect list",
    "higher",
    values=ndcg,
)
RECALL = MeanOverPeople(
    "Recall", "the share of what people went on to use that is in their list", "higher", values=recall
)
PRECISION = MeanOverPeople(
    "Precision", "the share of the list that people went on to use", "higher", values=precision
)
MAP = MeanOverPeople(
    "MAP",
    "mean precision at each thing found; rewards finding many, and early",
    "higher",
    values=mean_average_precision,
)
MRR = MeanOverPeople(
    "MRR",
    "one over the place of the first thing that people went on to use",
    "higher",
    values=reciprocal_rank,
)
HIT_RATE = MeanOverPeople(
    "Hit rate",
    "the share of people for whom the list holds anything they went on to use",
    "higher",
    values=hit_rate,
)
