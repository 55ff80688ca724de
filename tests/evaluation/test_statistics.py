import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evaluation import statistics
from evaluation.metrics import Better
from evaluation.statistics import effect, holm, interval, movements, permutation_tests, verdict, wilcoxon


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 300 simulated studies with a true mean of 0.3, about 95 % of the 95 % intervals hold it."""
    random = np.random.default_rng(1)
    held = 0
    for study in range(300):
        shares = random.binomial(1, 0.3, size=(150, 1)).astype(float)
        low, high = interval(float(shares.mean()), movements(shares, 400, study)[:, 0], 0.95)
        held += low <= 0.3 <= high
    assert 0.90 <= held / 300 <= 0.99


def test_columns_are_resampled_together() -> None:
    """A model compared with itself plus a constant differs by that constant, without any spread."""
    shares = np.random.default_rng(2).random((50, 1))
    moved = movements(np.hstack([shares, shares + 0.1]), 200, 0)
    assert moved[:, 0] == pytest.approx(moved[:, 1])
    assert moved[:, 0].std() > 0


def test_the_seed_decides() -> None:
    """The same seed gives the same samples, another seed gives others."""
    shares = np.random.default_rng(3).random((50, 2))
    assert np.array_equal(movements(shares, 100, 5), movements(shares, 100, 5))
    assert not np.array_equal(movements(shares, 100, 5), movements(shares, 100, 6))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resampling in small blocks, as for many people, gives what one block gives."""
    shares = np.random.default_rng(4).random((30, 2))
    whole = movements(shares, 100, 0)
    monkeypatch.setattr(statistics, "_CELLS", 30 * 7)
    assert movements(shares, 100, 0) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (0.1, 0.2, "higher", "better"),
        (-0.2, -0.1, "higher", "worse"),
        (-0.2, -0.1, "lower", "better"),
        (0.1, 0.2, "lower", "worse"),
        (0.1, 0.2, "neither", "higher"),
        (-0.2, -0.1, "neither", "lower"),
        (-0.1, 0.1, "higher", "no clear difference"),
        (0.0, 0.1, "lower", "no clear difference"),
        (0.0, 0.0, "neither", "no clear difference"),
    ],
)
def test_words_follow_the_interval(low: float, high: float, better: Better, word: str) -> None:
    """Better and worse are said only where zero is outside, and by which way is better."""
    assert verdict(low, high, better) == word


class TestEffect:
    def test_by_hand(self) -> None:
        """Differences of 1, 2 and 3 have a mean of 2 and a deviation of 1; all three are above 0."""
        found = effect(np.array([1.0, 2.0, 3.0]))
        assert found.d == pytest.approx(2.0)
        assert found.dominance == 1

    @pytest.mark.parametrize(
        ("differences", "d"), [([0.0, 0.0], 0.0), ([0.1, 0.1, 0.1], None), ([0.5], None), ([0.0], 0.0)]
    )
    def test_without_spread(self, differences: list[float], d: float | None) -> None:
        """No difference at all is an effect of 0; the same difference for all has no spread to be measured by."""
        assert effect(np.array(differences)).d == d


class TestTests:
    def test_permutations_are_as_scipys(self) -> None:
        """On a few people, where SciPy goes through all changes of sign, the sampled p is near its exact one."""
        gaps = np.random.default_rng(0).normal(0.4, 1.0, size=12)
        exact = stats.permutation_test(
            (gaps,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert permutation_tests(gaps[:, None], 20_000, 0)[0] == pytest.approx(exact, abs=0.01)

    def test_false_alarms_are_as_rare_as_said(self) -> None:
        """Of 400 comparisons of equals, about a twentieth has p at most 0.05, by either test."""
        gaps = np.random.default_rng(1).normal(size=(80, 400))
        assert 0.02 <= np.mean(permutation_tests(gaps, 500, 0) <= 0.05) <= 0.08
        assert 0.02 <= np.mean([wilcoxon(column) <= 0.05 for column in gaps.T]) <= 0.08

    def test_equal_models_have_p_1(self) -> None:
        """Where nobody's value differs, both tests say 1."""
        assert permutation_tests(np.zeros((9, 1)), 100, 0)[0] == 1
        assert wilcoxon(np.zeros(9)) == 1

    def test_permutations_in_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Signs drawn in small blocks, as for many people, give as many draws."""
        gaps = np.random.default_rng(2).normal(0.3, 1.0, size=(30, 1))
        whole = permutation_tests(gaps, 4_000, 0)
        monkeypatch.setattr(statistics, "_CELLS", 30 * 7)
        assert permutation_tests(gaps, 4_000, 0) == pytest.approx(whole, abs=0.02)

    def test_holm_by_hand(self) -> None:
        """The smallest of three is multiplied by 3, the next by 2, and no later one falls below an earlier."""
        assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
        assert holm([]) == []

    @settings(max_examples=10)  # statsmodels collects garbage at every call
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
    def test_holm_is_as_statsmodels(self, p: list[float]) -> None:
        """Whatever the p values, the corrected ones are those of statsmodels."""
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
