import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.interactions import Interactions
from evaluation.metrics import METRICS, Background, Measured, MetricName, background, measure
from evaluation.metrics import metric as metric_module
from evaluation.metrics.metric import MeanOverPeople, OfAllLists
from evaluation.problem import Exam
from evaluation.ranking import NOTHING, Lists
from evaluation.splits import PerUserTime
from tests.evaluation import generated
from tests.evaluation.lists import SLOWLY, Case, cases, indicator

TWO = Case(
    shown=[[4, 2, 0], [1, 3, NOTHING]],
    wanted=[{2, 0, 1, 5}, {1}],
    known=[{7}, {0, 7}],
    counts=[4, 3, 2, 1, 1, 1, 0, 8],
    people=8,
    topics=[{0}, {0}, {1}, {0, 1}, {2}, set(), set(), {1}],
)


def value(metric: MetricName, case: Case, k: int) -> float | None:
    """A metric of a case at one cut-off."""
    return measure(case.lists, case.background, [metric], [k])[metric, k].value


class TestByHand:
    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            ("ndcg", ((1 / math.log2(3) + 0.5) / (1 + 1 / math.log2(3) + 0.5) + 1) / 2),
            ("recall", (2 / 4 + 1) / 2),
            ("precision", (2 / 3 + 1 / 3) / 2),
            ("map", ((1 / 2 + 2 / 3) / 4 + 1) / 2),
            ("mrr", (1 / 2 + 1) / 2),
            ("hit_rate", 1.0),
            ("coverage", 5 / 8),
            ("gini", 3 / 8),
            ("novelty", ((3 + 2 + 1) / 3 + (math.log2(8 / 3) + 3) / 2) / 2),
            ("popularity_lift", (7 / 3 + 2) / (8 + 6) - 1),
            ("diversity", (1 + (1 - 1 / math.sqrt(2))) / 2),
            ("serendipity", 0.0),
        ],
    )
    def test_two_people(self, metric: MetricName, expected: float) -> None:
        """Two hits at ranks 2 and 3 of a possible three, and one list that begins with all there was to find."""
        assert value(metric, TWO, 3) == pytest.approx(expected)

    def test_calibration(self) -> None:
        """A third of the list is on the one topic that the first person knows, a quarter of the second's lists on theirs."""
        first = math.log(1 / (0.99 / 3 + 0.01))
        half = 0.5 * math.log(0.5 / (0.99 * 0.75 + 0.005)) + 0.5 * math.log(0.5 / (0.99 * 0.25 + 0.005))
        assert value("calibration", TWO, 3) == pytest.approx((first + half) / 2)

    def test_serendipity_counts_what_popularity_would_not_show(self) -> None:
        """Of two hits, the one that is also among the three most popular not yet had is no surprise."""
        case = Case([[0, 4, 5]], [{0, 4}], [set()], [5, 4, 3, 2, 1, 0], 5, [set()] * 6)
        assert value("serendipity", case, 3) == pytest.approx(1 / 3)
        had = Case([[0, 4, 5]], [{0, 4}], [{1, 2, 3}], [5, 4, 3, 2, 1, 0], 5, [set()] * 6)
        assert value("serendipity", had, 3) == 0

    def test_shorter_cut_offs_look_at_the_top_alone(self) -> None:
        """At 1, only the first places count."""
        assert [value(metric, TWO, 1) for metric in ("ndcg", "recall", "coverage")] == [0.5, 0.5, 2 / 8]


@pytest.mark.parametrize("metric", METRICS)
class TestEveryMetric:
    """What every metric has to keep."""

    @given(case=cases(), k=st.integers(1, 6))
    def test_equals_its_slow_definition(self, metric: MetricName, case: Case, k: int) -> None:
        """The vectorised metric equals the definition, is never NaN, and is None just where the definition is."""
        k = min(k, len(case.shown[0]))
        found, expected = value(metric, case, k), SLOWLY[metric](case, k)
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))

    @given(case=cases(), size=st.integers(1, 3))
    def test_batches_change_nothing(self, metric: MetricName, case: Case, size: int) -> None:
        """In batches of a few people the figures and the shares are the same as at once."""
        cuts = list(range(1, len(case.shown[0]) + 1))
        whole = measure(case.lists, case.background, [metric], cuts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metric_module, "_BATCH", size)
            parts = measure(case.lists, case.background, [metric], cuts)
        for cell, one in whole.items():
            assert parts[cell].value == (None if one.value is None else pytest.approx(one.value))
            assert parts[cell].shares == pytest.approx(one.shares)
            assert parts[cell].people == one.people

    @given(case=cases())
    def test_shares_are_finite_and_one_for_each_person(self, metric: MetricName, case: Case) -> None:
        """Everyone has a share, also whoever the metric is not defined for."""
        for one in measure(case.lists, case.background, [metric], [1, len(case.shown[0])]).values():
            assert one.shares.shape == (len(case.shown),)
            assert np.isfinite(one.shares).all()
            assert (one.value is None) == (one.people == 0)
            assert (one.own is not None) == isinstance(METRICS[metric], MeanOverPeople)
            if one.own is not None and one.value is not None:
                assert np.nanmean(one.own) == pytest.approx(one.value)
                assert one.shares.mean() == pytest.approx(one.value)

    @given(case=cases(), factor=st.integers(2, 3))
    def test_more_of_the_same_people_change_nothing(
        self, metric: MetricName, case: Case, factor: int
    ) -> None:
        """With everyone there several times over, every figure is the same."""
        more = Case(
            case.shown * factor,
            case.wanted * factor,
            case.known * factor,
            case.counts,
            case.people,
            case.topics,
        )
        k = len(case.shown[0])
        expected = value(metric, case, k)
        assert value(metric, more, k) == (None if expected is None else pytest.approx(expected, abs=1e-6))

    def test_says_what_it_is(self, metric: MetricName) -> None:
        """Its docstring has formula, rule at the edges and source; readers get a sentence and a direction."""
        about = METRICS[metric]
        function = about.values if isinstance(about, MeanOverPeople) else about.of  # type: ignore[attr-defined]  # there are two kinds
        assert isinstance(about, MeanOverPeople | OfAllLists)
        for part in ("Formula: ", "Edge: ", "Source: "):
            assert part in (function.__doc__ or "")
        assert len(about.meaning) > 20
        assert about.better in {"higher", "lower", "neither"}

    def test_shares_tell_the_spread(self, metric: MetricName) -> None:
        """Over many worlds of other people, the value spreads about as much as one world's shares tell."""
        random = np.random.default_rng(0)
        worlds = [self.sampled(metric, random) for _ in range(60)]
        spread = np.std([one.value or 0.0 for one in worlds])
        told = np.mean([one.shares.std() / math.sqrt(len(one.shares)) for one in worlds])
        assert 0.7 * spread < told < (2 if metric == "coverage" else 1.4) * spread

    def sampled(self, metric: MetricName, random: np.random.Generator) -> Measured:
        """People drawn from a world whose items are not equally likely."""
        people, catalogue, k = 200, 300, 10
        likely = np.arange(catalogue, 0, -1.0)
        likely /= likely.sum()
        drawn = np.array([random.choice(catalogue, k + 8, replace=False, p=likely) for _ in range(people)])
        hits = random.random((people, k)) < random.random((people, 1)) * 0.4
        known = indicator([set(row) for row in drawn[:, k:].tolist()], catalogue)
        topics = np.eye(5, dtype=np.float32)[np.arange(catalogue) % 5]
        counts = np.arange(catalogue, 0, -1)
        lists = Lists(drawn[:, :k].astype(np.intp), hits, hits.sum(axis=1) + 3, catalogue)
        return measure(lists, Background(400, counts, known, topics, topics), [metric], [k])[metric, k]


def test_shares_of_coverage_are_the_jackknifes() -> None:
    """A person's share in coverage is what leaving them out would cost, times the others' number."""
    found = measure(TWO.lists, TWO.background, ["coverage"], [3])["coverage", 3]
    assert found.shares == pytest.approx([3 / 8, 2 / 8])


def test_cut_offs_come_in_the_order_asked_for() -> None:
    """The figures are by metric, then cut-off, as they were asked for."""
    found = measure(TWO.lists, TWO.background, ["recall", "ndcg"], [3, 1])
    assert list(found) == [("recall", 3), ("recall", 1), ("ndcg", 3), ("ndcg", 1)]


def exam() -> Exam:
    """The test of the generated world."""
    events = generated.events()
    split = next(PerUserTime(items_per_user=2, users_per_item=2).folds(events))
    return Exam.of(split, (*sorted(events["item"].unique()), "never-used"))


class TestBackground:
    def test_knows_train_alone(self) -> None:
        """Counts and what is known come from before the test."""
        problem = exam()
        known = background(problem, {})
        assert known.counts.sum() == len(problem.train.user)
        assert (known.known != problem.train.matrix[problem.people]).nnz == 0
        assert known.people == len(problem.train.users)

    def test_items_are_compared_by_topics_where_there_are_any(self) -> None:
        """Two items of one topic are the same to diversity, two of different topics have nothing in common."""
        vectors = background(
            exam(), {"item-00": ("calm",), "item-02": ("calm",), "item-01": ("sleep",)}
        ).vectors
        assert vectors[0] @ vectors[2] == pytest.approx(1)
        assert vectors[0] @ vectors[1] == 0

    def test_else_by_who_took_them_up(self) -> None:
        """In a world of two tastes, items of one taste are nearer; an item that nobody took up is near to none."""
        vectors = background(exam(), {}).vectors
        near = vectors @ vectors.T
        assert near[0:40:2, 0:40:2].mean() > near[0:40:2, 1:40:2].mean() + 0.2
        assert not vectors[-1].any()

    def test_equal_interactions_give_equal_places(self) -> None:
        """The decomposition is seeded."""
        assert np.array_equal(background(exam(), {}).vectors, background(exam(), {}).vectors)


def test_empty_lists_everywhere() -> None:
    """Where nothing at all is listed, every metric is zero or None, and none is NaN."""
    shown: NDArray[np.intp] = np.full((2, 3), NOTHING, dtype=np.intp)
    case = TWO.lists
    empty = Lists(shown, np.zeros((2, 3), dtype=np.bool_), case.positives, case.catalogue)
    found = {name: one.value for (name, _), one in measure(empty, TWO.background, list(METRICS), [3]).items()}
    undefined = {name for name, one in found.items() if one is None}
    assert undefined == {"gini", "novelty", "popularity_lift", "diversity"}
    assert found["calibration"] == pytest.approx(math.log(100))
    assert all(found[name] == 0 for name in METRICS if name not in undefined | {"calibration"})


def test_interactions_of_nobody_have_a_shape() -> None:
    """A frame in which nobody is known still has the catalogue's width."""
    nobody = Interactions.of(generated.events().clear(), (), ("a", "b"))
    assert nobody.matrix.shape == (0, 2)
