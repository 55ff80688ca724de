"""How good lists are. Each metric sees the whole ranked catalogue; none is sampled (Krichene and Rendle, KDD 2020).

A metric gives its value, and for each person a share in it, from which the bootstrap makes intervals.
Only people who took up something in the test part are measured.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking import NOTHING, Lists


@dataclass(frozen=True, eq=False)
class Measured:
    """A metric of a set of lists.

    Attributes:
        value: the metric.
        shares: (U,) what each person adds: resampling people and adding the change of the shares' mean to the value
            tells how far the value would move. For a mean over people these are the people's own values.
    """

    value: float
    shares: NDArray[np.float64]


Metric = Callable[[Lists, int], Measured]


def _mean(per_person: NDArray[np.float64]) -> Measured:
    return Measured(float(per_person.mean()), per_person)


def ndcg(lists: Lists, k: int) -> Measured:
    """Normalised discounted cumulative gain with binary relevance.

    DCG@k = sum over ranks r = 1..k of hit(r) / log2(r + 1); divided by the DCG@k of the best possible list, which has
    min(k, positives) hits at the top. Mean over people. From 0 to 1.

    Edge: a list that runs out of items simply earns nothing more.
    Source: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002.
    """
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(discount)[np.minimum(lists.positives, k) - 1]
    return _mean(lists.hits[:, :k] @ discount[: lists.hits.shape[1]] / ideal)


def recall(lists: Lists, k: int) -> Measured:
    """Share of what a person took up that is in their list: hits@k / positives. Mean over people. From 0 to 1.

    Edge: the divisor is all positives, not min(k, positives); whoever took up more than k things cannot reach 1.
    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.3.
    """
    return _mean(lists.hits[:, :k].sum(axis=1) / lists.positives)


def coverage(lists: Lists, k: int) -> Measured:
    """Share of the catalogue that is in at least one person's list: |union of lists@k| / |catalogue|. From 0 to 1.

    Edge: it grows with the number of people, so compare it only among models measured on the same people. A bootstrap
    sample holds fewer different people and would be too low throughout; so a person's share is the jackknife's,
    (U - 1) * (items that no one else was shown) / |catalogue|, which has the right spread around the value.
    Source: Ge, Delgado-Battenfeld and Jannach, RecSys 2010 (catalogue coverage); Efron and Stein, Annals of Statistics
    9(3), 1981 (jackknife).
    """
    shown = lists.items[:, :k]
    listed = shown != NOTHING
    times = np.bincount(shown[listed], minlength=lists.catalogue)
    alone = (listed & (times[np.maximum(shown, 0)] == 1)).sum(axis=1)
    shares = (len(shown) - 1) * alone / lists.catalogue
    return Measured(float((times > 0).sum() / lists.catalogue), shares)


METRICS: Mapping[str, Metric] = MappingProxyType({"ndcg": ndcg, "recall": recall, "coverage": coverage})
"""Every metric by the name that configurations and reports use."""

TITLES: Mapping[str, str] = MappingProxyType({"ndcg": "NDCG", "recall": "Recall", "coverage": "Coverage"})
"""What people read for a metric's name."""

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "ndcg": "how much of what people went on to use is in their list, and how near the top; 1 is a perfect list",
        "recall": "the share of what people went on to use that is in their list; higher is better",
        "coverage": "the share of the catalogue that anyone is shown; higher gives more items a chance, and says nothing of accuracy",
    }
)
"""One sentence for readers of a report."""
