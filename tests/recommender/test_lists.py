import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.lists import Profiled, Scored
from recommender.scoring import Scorer
from recommender.shelf import Shelf, topic_matrix
from tests.recommender.catalogues import release, resource

SHELF = Shelf([resource(f"r{number:03}", topics=["sleep", "work"][number % 3 : 2]) for number in range(200)])
SCORER = Scorer(release(SHELF.resources), SHELF.features, topic_matrix(SHELF.resources, SHELF.features))


@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.integers(1, 30), st.integers(0, 3))
def test_lists_by_profiles_answer_as_those_with_every_score(
    random: np.random.Generator, count: int, others: int
) -> None:
    """Heads, scores, places and rows are the same, whatever is hidden or not listed."""
    weights = random.random((others + 1, 5))
    vectors, _, _ = SCORER.vectors(weights, random.permutation(len(SHELF.features))[:5])
    without = np.arange(-1, others)
    listed = random.random(len(SHELF.resources)) < random.choice([0.0, 0.05, 0.8, 1.0])
    hidden = {0: random.integers(0, 200, 20).tolist(), 7: random.integers(0, 200, 3).tolist()}
    scores = SCORER.scores(vectors, listed)
    for number, signal in enumerate(without.tolist()):
        scores[number, [row for by, rows in hidden.items() if by != signal for row in rows]] = -np.inf
    every, few = Scored(scores), Profiled(SCORER, vectors, listed, hidden, without)
    head = every.head(count)
    assert np.array_equal(head, few.head(count))
    assert np.array_equal(every.rows(), few.rows())
    assert np.array_equal(every.scores_of(0, head), few.scores_of(0, head))
    for one, other in zip(every.elsewhere(head, count), few.elsewhere(head, count), strict=True):
        assert np.array_equal(one, other)
