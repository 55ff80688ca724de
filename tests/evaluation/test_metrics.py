import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.metrics import METRICS, coverage, ndcg, recall
from evaluation.ranking import NOTHING, Lists


def lists(items: list[list[int]], wanted: list[set[int]], catalogue: int) -> Lists:
    """Lists of items, with what was wanted of them."""
    hits = [[item in own for item in shown] for shown, own in zip(items, wanted, strict=True)]
    positives = np.array([len(own) for own in wanted], dtype=np.int64)
    return Lists(np.array(items, dtype=np.intp), np.array(hits, dtype=np.bool_), positives, catalogue)


TWO = lists([[4, 2, 0], [1, 3, NOTHING]], [{2, 0, 1, 5}, {1}], catalogue=8)


class TestByHand:
    def test_ndcg(self) -> None:
        """Hits at ranks 2 and 3 of a possible three, and one perfect list."""
        dcg = 1 / math.log2(3) + 1 / math.log2(4)
        ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
        assert ndcg(TWO, 3).shares == pytest.approx([dcg / ideal, 1.0])
        assert ndcg(TWO, 3).value == pytest.approx((dcg / ideal + 1) / 2)

    def test_recall(self) -> None:
        """Two of four, and one of one."""
        assert recall(TWO, 3).value == pytest.approx((2 / 4 + 1) / 2)

    def test_coverage(self) -> None:
        """Five of eight items are shown; no item means no item."""
        assert coverage(TWO, 3).value == 5 / 8

    def test_shorter_cut_offs_look_at_the_top_alone(self) -> None:
        """At 1, only the first places count."""
        assert (ndcg(TWO, 1).value, recall(TWO, 1).value, coverage(TWO, 1).value) == (0.5, 0.5, 2 / 8)


@st.composite
def some_lists(draw: st.DrawFn) -> tuple[Lists, list[list[int]], list[set[int]], int]:
    """Lists, some of them short, with the same as plain Python."""
    catalogue, k = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    people = draw(st.integers(1, 6))
    shown, wanted = [], []
    for _ in range(people):
        order = draw(st.permutations(range(catalogue)))
        length = draw(st.integers(0, min(k, catalogue)))
        shown.append([*order[:length], *[NOTHING] * (k - length)])
        wanted.append(draw(st.sets(st.integers(0, catalogue - 1), min_size=1)))
    return lists(shown, wanted, catalogue), shown, wanted, catalogue


def slowly(metric: str, shown: list[list[int]], wanted: list[set[int]], k: int, catalogue: int) -> float:
    """The definitions, one person and one rank at a time."""
    if metric == "coverage":
        return len({item for own in shown for item in own[:k] if item != NOTHING}) / catalogue
    total = 0.0
    for own, truth in zip(shown, wanted, strict=True):
        found = [rank for rank, item in enumerate(own[:k], start=1) if item in truth]
        best = range(1, min(k, len(truth)) + 1)
        if metric == "recall":
            total += len(found) / len(truth)
        else:
            total += sum(1 / math.log2(r + 1) for r in found) / sum(1 / math.log2(r + 1) for r in best)
    return total / len(shown)


@pytest.mark.parametrize("metric", METRICS)
class TestAgainstLoops:
    @given(case=some_lists(), k=st.integers(1, 6))
    def test_equals_the_slow_definition(
        self, metric: str, case: tuple[Lists, list[list[int]], list[set[int]], int], k: int
    ) -> None:
        """The vectorised metric equals the definition, from 0 to 1, also where k is beyond the lists."""
        found, shown, wanted, catalogue = case
        value = METRICS[metric](found, k).value
        assert value == pytest.approx(slowly(metric, shown, wanted, k, catalogue))
        assert 0 <= value <= 1 + 1e-12


@given(case=some_lists())
def test_shares_of_coverage_are_the_jackknifes(
    case: tuple[Lists, list[list[int]], list[set[int]], int],
) -> None:
    """A person's share in coverage is what leaving them out would cost, times the others' number."""
    found, shown, _, catalogue = case
    shares = coverage(found, 6).shares
    for left_out, share in enumerate(shares):
        rest = [own for person, own in enumerate(shown) if person != left_out]
        lost = coverage(found, 6).value - slowly("coverage", rest, [], 6, catalogue)
        assert share == pytest.approx(lost * len(rest))


def test_coverage_has_an_interval_around_it() -> None:
    """Sampled people differ in what they are shown; over many worlds the shares tell the true spread of coverage."""
    random = np.random.default_rng(0)
    people, catalogue = 200, 2_000

    def world() -> Lists:
        shown = np.array([random.choice(catalogue, 10, replace=False) for _ in range(people)])
        empty: NDArray[np.bool_] = np.zeros((people, 10), dtype=np.bool_)
        return Lists(shown, empty, np.ones(people, dtype=np.int64), catalogue)

    worlds = [coverage(world(), 10) for _ in range(100)]
    spread = np.std([one.value for one in worlds])
    told = np.mean([one.shares.std() / math.sqrt(people) for one in worlds])
    assert 0.7 * spread < told < 2 * spread
