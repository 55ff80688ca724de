import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evaluation.baselines import Popularity
from evaluation.datasets import SCHEMA
from evaluation.errors import ExamTakenError, ScoreError
from evaluation.interactions import Indices, Interactions
from evaluation.problem import Exam, Validation
from evaluation.ranking import NOTHING, lists, top


@given(
    scores=st.lists(
        st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), min_size=7, max_size=7),
        min_size=1,
        max_size=4,
    ),
    k=st.integers(1, 9),
    order=st.permutations(range(7)),
)
def test_top_equals_sorting(scores: list[list[float]], k: int, order: list[int]) -> None:
    """The k best are those of a full sort by score and, among equals, by the given order."""
    found = top(np.array(scores), k, np.array(order, dtype=np.intp))
    for row, own in zip(scores, found, strict=True):
        ranked = sorted(
            (-score, order.index(item), item) for item, score in enumerate(row) if score > -np.inf
        )
        wanted = [item for _, _, item in ranked][:k]
        assert own.tolist() == wanted + [NOTHING] * (k - len(wanted))


class Fixed(Popularity):
    """Scores that are given beforehand."""

    def __init__(self, rows: list[list[float]]) -> None:
        self._rows: NDArray[np.float64] = np.array(rows)

    def scores(self, _known: Interactions, users: Indices) -> NDArray[np.float64]:
        return self._rows[users]


def known(*had: tuple[str, str]) -> Interactions:
    """What two people, a and b, have had of four items, w to z."""
    rows = [(user, item, "views", 1, None, None) for user, item in had]
    return Interactions.of(pl.DataFrame(rows, schema=SCHEMA, orient="row"), ("a", "b"), tuple("wxyz"))


SEEN = known(("a", "w"))
WANTED = csr_array(np.array([[0, 1, 0, 1], [1, 0, 0, 0]], dtype=np.float32))
BOTH = np.arange(2)


def test_seen_items_are_left_out() -> None:
    """What a person has had is not listed, however high it scores, and places stay empty when nothing is left."""
    found = lists(Fixed([[9, 3, 2, 1], [4, 3, 2, 1]]), SEEN, WANTED, BOTH, 4, 0, "fixed")
    assert found.items.tolist() == [[1, 2, 3, NOTHING], [0, 1, 2, 3]]
    assert found.hits.tolist() == [[True, False, True, False], [True, False, False, False]]
    assert found.positives.tolist() == [2, 1]


def test_equal_scores_favour_no_id() -> None:
    """With all scores equal, the order comes from the seed: every item leads under some seed, the same for all people."""
    leaders = set()
    for seed in range(60):
        found = lists(Fixed([[0, 0, 0, 0], [0, 0, 0, 0]]), known(), WANTED, BOTH, 1, seed, "flat")
        assert found.items[0] == found.items[1]
        leaders.add(int(found.items[0, 0]))
    assert leaders == {0, 1, 2, 3}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    """A model that diverged is named, instead of being ranked."""
    with pytest.raises(ScoreError, match="diverged: 1 scores are not finite"):
        lists(Fixed([[bad, 0, 0, 0], [0, 0, 0, 0]]), SEEN, WANTED, BOTH, 1, 0, "diverged")


def test_scores_of_a_part_of_the_catalogue_are_refused() -> None:
    """A model has to score the whole catalogue."""
    with pytest.raises(ScoreError, match=r"narrow: scores have the shape \(2, 3\)"):
        lists(Fixed([[0, 0, 0], [0, 0, 0]]), SEEN, WANTED, BOTH, 1, 0, "narrow")


class TestExam:
    MODEL = Fixed([[4, 3, 2, 1], [4, 3, 2, 1]])

    def test_takes_each_name_once(self) -> None:
        """A model that was measured on the test is not measured again; another one is."""
        exam = Exam(SEEN, SEEN, WANTED, BOTH)
        first = exam.sit(self.MODEL, 2, 0, "one")
        with pytest.raises(ExamTakenError, match="one was measured on this test before"):
            exam.sit(self.MODEL, 2, 0, "one")
        with pytest.raises(ExamTakenError):
            exam.recall(first.items, "one")
        assert exam.recall(first.items, "other").hits.tolist() == first.hits.tolist()

    def test_validation_may_be_asked_again(self) -> None:
        """What is chosen on may be asked as often as choosing needs."""
        validation = Validation(SEEN, SEEN, WANTED, BOTH)
        once, twice = (validation.ask(self.MODEL, 2, 0, "one") for _ in range(2))
        assert once.items.tolist() == twice.items.tolist()
        assert not isinstance(validation, Exam)
