"""The metrics against ranx (Bassani, ECIR 2022), as far as it has them."""

import warnings

import numpy as np
import pytest

from evaluation.metrics import MetricName, measure
from evaluation.ranking import judged
from tests.evaluation.lists import Case, indicator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what numba and ranx deprecate in themselves is not ours to mend
    from ranx import Qrels, Run, evaluate

NAMES: dict[MetricName, str] = {
    "ndcg": "ndcg",
    "recall": "recall",
    "precision": "precision",
    "map": "map",
    "mrr": "mrr",
    "hit_rate": "hit_rate",
}


def test_ranx_says_the_same() -> None:
    """On forty random lists, person by person, every metric that ranx has is the same at a short and a full cut-off."""
    random = np.random.default_rng(5)
    people, catalogue, depth = 40, 60, 12
    items = np.array([random.permutation(catalogue)[:depth] for _ in range(people)])
    wanted = [
        set(random.choice(catalogue, size=random.integers(1, 20), replace=False).tolist())
        for _ in range(people)
    ]
    lists = judged(items.astype(np.intp), indicator(wanted, catalogue))
    nothing = Case([[0]], [{0}], [set()], [1] * catalogue, 1, [set()] * catalogue).background
    qrels = Qrels({f"p{p:02}": {f"i{item}": 1 for item in own} for p, own in enumerate(wanted)})
    run = Run(
        {
            f"p{p:02}": {f"i{item}": float(depth - rank) for rank, item in enumerate(own)}
            for p, own in enumerate(items)
        }
    )
    asked = [f"{name}@{k}" for name in NAMES.values() for k in (3, depth)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = evaluate(qrels, run, asked, return_mean=False, threads=1)
    ours = measure(lists, nothing, list(NAMES), [3, depth])
    for (metric, k), one in ours.items():
        assert one.own == pytest.approx(np.asarray(theirs[f"{NAMES[metric]}@{k}"])), (metric, k)
