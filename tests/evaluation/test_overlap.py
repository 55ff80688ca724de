import numpy as np
import pytest

from evaluation import overlap
from evaluation.overlap import jaccard, rbo
from evaluation.ranking import NOTHING

ONE = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [4, NOTHING, NOTHING], [NOTHING] * 3])
OTHER = np.array([[1, 2, 3], [3, 2, 1], [4, 5, 6], [4, 5, NOTHING], [NOTHING] * 3])


def test_jaccard_knows_no_order() -> None:
    """The same items in any order are 1, none shared is 0, one of two is a half; two empty lists are the same."""
    assert jaccard(ONE, OTHER).tolist() == [1, 1, 0, 0.5, 1]


def test_rank_biased_overlap_by_hand() -> None:
    """Agreement at each depth, weighted by persistence; the last depth's agreement stands for all beyond it."""
    half = rbo(ONE, OTHER, 0.5)
    assert half[[0, 2, 4]].tolist() == [1, 0, 1]
    assert half[1] == pytest.approx(1 * 0.125 + (0 * 0.5 + 0.5 * 0.25 + 1 * 0.125))
    assert half[3] == pytest.approx(2 / 3 * 0.125 + (1 * 0.5 + 2 / 3 * 0.25 + 2 / 3 * 0.125))


def test_rank_biased_overlap_counts_the_top_most() -> None:
    """An exchange at the top costs more than the same at the bottom; Jaccard sees neither."""
    lists = np.arange(10)[None]
    top, bottom = lists.copy(), lists.copy()
    top[0, [0, 1]], bottom[0, [8, 9]] = [1, 0], [9, 8]
    assert rbo(lists, top)[0] < rbo(lists, bottom)[0] < 1
    assert jaccard(lists, top)[0] == jaccard(lists, bottom)[0] == 1


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """People a few at a time get what all at once get."""
    random = np.random.default_rng(0)
    one, other = (random.permuted(np.tile(np.arange(8), (30, 1)), axis=1)[:, :5] for _ in range(2))
    whole = jaccard(one, other), rbo(one, other)
    monkeypatch.setattr(overlap, "_CELLS", 60)
    assert np.array_equal(jaccard(one, other), whole[0])
    assert np.array_equal(rbo(one, other), whole[1])
