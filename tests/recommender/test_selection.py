import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.query import Query
from recommender.ranking import Ranker
from recommender.selection import best, places_of, rows_in
from tests.recommender.catalogues import GRANTED, NOW, resource
from tests.recommender.questions import ids


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 10, 10**9]),
    st.integers(0, 100),
)
def test_picking_agrees_with_sorting(lists: int, blocks: int, seed: int, values: int, count: int) -> None:
    """The best and the places are those of a full sort by score and row, also with few values and so many ties."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, (lists, 100 * blocks)).astype(float)
    scores[rng.random(scores.shape) < rng.random()] = -np.inf
    rows = rng.choice(scores.shape[1], 7, replace=False)
    places, heads = places_of(scores, rows), best(scores, count)
    for own, place, head in zip(scores, places, heads, strict=True):
        ordered = [row for row in np.lexsort((np.arange(len(own)), -own)) if own[row] > -np.inf]
        assert rows_in(own).tolist() == sorted(ordered)
        assert head.tolist() == ordered[:count] + [-1] * (count - len(ordered))
        assert place.tolist() == [ordered.index(row) + 1 if row in ordered else 0 for row in rows]


def test_diversity_moves_near_repeats_down() -> None:
    """Without it the alikes fill the head; with it something else comes second."""
    shelf = [resource(name, topics=["sleep"], editorial_rank=1) for name in "abc"] + [
        resource("d", topics=["grief"])
    ]
    ranker = Ranker(shelf)
    assert ids(ranker.rank([], GRANTED, Query(), NOW)) == ["a", "b", "c", "d"]
    diverse = ranker.rank([], GRANTED, Query(diversity=1.0), NOW)
    assert ids(diverse)[:2] == ["a", "d"]
    assert diverse.items[0].adjustments == {"diversity": 0.0}
