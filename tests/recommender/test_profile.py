import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recommender.profile import ProfileConfig, event_strengths, event_weights, topic_shares


def test_weights_are_a_mean_over_windows_of_normalised_events() -> None:
    """Two windows over three events of strengths 1, 1, 2, newest first, worked out by hand."""
    config = ProfileConfig(windows=(1, 3), family_weights=(1.0, 0.5, 0.25))
    weights = event_weights(np.zeros(3, dtype=np.int64), np.array([1.0, 1.0, 2.0]), config)
    np.testing.assert_allclose(weights, [(1 + 1 / 4) / 2, 1 / 8, 2 / 8])
    weights = event_weights(np.array([1, 1, 1]), np.array([1.0, 1.0, 2.0]), config)
    np.testing.assert_allclose(weights, np.array([(1 + 1 / 4) / 2, 1 / 8, 2 / 8]) / 2)


sizes = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 50)), min_size=1, max_size=12)


@given(sizes, st.integers(0, 2**32 - 1))
def test_a_group_weighs_the_same_whoever_stands_before_it(groups: list[tuple[int, int]], seed: int) -> None:
    """Each group sums to its family's weight, and its weights alone are its weights among others, to the last bit."""
    config = ProfileConfig()
    random = np.random.default_rng(seed)
    number = np.repeat(
        [profile * 3 + family for profile, (family, _) in enumerate(groups)], [n for _, n in groups]
    )
    strength = random.uniform(0.01, 3.0, len(number))
    together = event_weights(number, strength, config)
    for group in np.unique(number):
        alone = event_weights(number[number == group], strength[number == group], config)
        np.testing.assert_array_equal(together[number == group], alone)
        np.testing.assert_allclose(alone.sum(), config.family_weights[group % 3], rtol=1e-12)
        assert not alone[config.longest :].any()


def test_no_events_have_no_weights() -> None:
    """An empty input gives an empty output."""
    assert event_weights(np.zeros(0, dtype=np.int64), np.zeros(0), ProfileConfig()).shape == (0,)


def test_low_ratings_and_unnamed_signals_have_no_strength() -> None:
    """A rating counts from `liked_from` on, a rating without stars never, another signal whatever its value."""
    signals = ("views", "ratings", "impressions")
    signal = np.array([0, 1, 1, 1, 2, 0], dtype=np.int8)
    value = np.array([np.nan, 2.0, 3.0, np.nan, np.nan, 1.0], dtype=np.float32)
    config = ProfileConfig(strengths={"views": 0.5, "ratings": 2.0}, liked_from=3.0)
    assert event_strengths(signal, value, signals, config).tolist() == [0.5, 0, 2.0, 0, 0, 0.5]


def test_topics_share_in_equal_parts() -> None:
    """A resource hands `share` to its topics together, whatever number stands for having one; none hands nothing."""
    topics = sparse.csr_array(np.array([[1, 0, 0], [5, 0, 1], [0, 0, 0]], dtype=np.float32))
    assert topic_shares(topics, 0.4).toarray().tolist() == [[0.4, 0, 0], [0.2, 0, 0.2], [0, 0, 0]]
