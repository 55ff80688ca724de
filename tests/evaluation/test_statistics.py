import numpy as np
import pytest

from evaluation import statistics
from evaluation.statistics import interval, movements, verdict


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
    ("low", "high", "word"),
    [
        (0.1, 0.2, "better"),
        (-0.2, -0.1, "worse"),
        (-0.1, 0.1, "no clear difference"),
        (0.0, 0.1, "no clear difference"),
    ],
)
def test_words_follow_the_interval(low: float, high: float, word: str) -> None:
    """Better and worse are said only where zero is outside."""
    assert verdict(low, high) == word
