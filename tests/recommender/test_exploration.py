import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.explanation import items
from recommender.exploration import explore
from recommender.query import HistoryEvent, Query
from tests.recommender.catalogues import GRANTED, NOW
from tests.recommender.questions import RANKERS, histories, ids, rankers


@given(st.integers(0, 8), st.integers(0, 8), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**32))
def test_a_list_stays_a_list(best: int, rest: int, probability: float, seed: int) -> None:
    """As long as before, nothing twice, the best in their order, and chance only from the rest."""
    head, others = np.arange(best), np.arange(100, 100 + rest)
    done = explore(head, others, probability, np.random.default_rng(seed))
    assert len(done.rows) == best == len(set(done.rows.tolist()))
    assert done.rows[~done.new].tolist() == list(range(best - int(done.new.sum())))
    assert set(done.rows[done.new].tolist()) <= set(others.tolist())
    assert ((done.propensities > 0) & (done.propensities <= 1)).all()


@pytest.mark.parametrize(
    ("best", "rest", "probability"), [(3, 4, 0.4), (3, 2, 0.9), (2, 1, 0.5), (2, 0, 0.5)]
)
def test_propensities_are_the_chances(best: int, rest: int, probability: float) -> None:
    """Their product over a list is how often that very list comes: counted, list by list."""
    random, rounds = np.random.default_rng(3), 60_000
    counted: dict[tuple[int, ...], int] = {}
    told: dict[tuple[int, ...], float] = {}
    for _ in range(rounds):
        done = explore(np.arange(best), np.arange(100, 100 + rest), probability, random)
        key = tuple(done.rows.tolist())
        counted[key] = counted.get(key, 0) + 1
        told[key] = float(np.prod(done.propensities))
    assert sum(told.values()) == pytest.approx(1.0)
    for key, times in counted.items():
        error = math.sqrt(told[key] * (1 - told[key]) / rounds)
        assert times / rounds == pytest.approx(told[key], abs=5 * error + 1e-9)


@given(rankers, histories, st.sampled_from([0.0, 0.5]), st.integers(0, 2**32))
def test_a_list_with_something_new_still_adds_up(
    name: str, history: list[HistoryEvent], diversity: float, seed: int
) -> None:
    """Scores descend, reasons sum to them, every item has its propensity, and what is new is said to be."""
    query = Query(limit=20, explore=0.5, diversity=diversity, explain="full")
    ranking = RANKERS[name].rank(history, GRANTED, query, NOW, np.random.default_rng(seed))
    scores = [item.score for item in ranking.items]
    assert scores == sorted(scores, reverse=True)
    for item, shown in zip(
        ranking.items, orjson.loads(orjson.dumps(items(ranking, "full", "en"))), strict=True
    ):
        assert math.fsum([item.base, *item.values, *item.adjustments.values()]) == pytest.approx(
            item.score, abs=1e-9
        )
        assert shown["propensity"] == item.propensity
        lifted = {each["name"] for each in shown["explanation"]["adjustments"]} & {"something_new"}
        assert bool(lifted) == (shown["explanation"]["text"] == "Something new, picked by chance")


def test_nothing_is_left_to_chance_unless_asked_for() -> None:
    """Off by default: the same list every time, and no propensity in the answer."""
    ranker = RANKERS["release"]
    one, other = (ranker.rank([], GRANTED, Query(), NOW) for _ in range(2))
    assert ids(one) == ids(other)
    assert one.propensities is None
    assert "propensity" not in orjson.loads(orjson.dumps(items(one, "full")))[0]
