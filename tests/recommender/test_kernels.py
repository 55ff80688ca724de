"""The compiled loops do what the plain ones do."""

import shutil

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender import kernels
from recommender.kernels import plain
from recommender.profile import ProfileConfig, event_weights

compiled = pytest.importorskip(
    "recommender.kernels.compiled", reason="there was no C compiler here at installation"
)

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
few = st.sampled_from([2, 10, 10**9])


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_where_there_is_a_compiler_the_compiled_loops_serve() -> None:
    """An installation that quietly fell back would be slow, and nobody would know why."""
    assert kernels.rank is compiled.rank


@given(seeds, st.integers(0, 40), st.integers(1, 12), st.integers(1, 5))
@settings(deadline=None)
def test_weights(random: np.random.Generator, events: int, lines: int, profiles: int) -> None:
    """Those of every profile are the same, to rounding; those of the first are what training gives the same events."""
    of_events = random.integers(0, lines, events)
    signals, strengths = random.integers(0, 4, lines), random.uniform(0.1, 2.0, lines)
    removed = np.array([-1, 0, 1, 2, 3][:profiles])
    config = ProfileConfig()
    windows, share = np.array(config.windows), 1.0 / len(config.windows)
    told = {}
    for module in (plain, compiled):
        told[module] = np.ones((profiles, lines))
        module.weigh(of_events, signals, strengths, removed, windows, share, told[module])
    np.testing.assert_allclose(told[plain], told[compiled], rtol=1e-12)
    trained = event_weights(np.zeros(events, dtype=np.int64), strengths[of_events], config)
    np.testing.assert_allclose(told[compiled][0] - 1.0, np.bincount(of_events, trained, lines), atol=1e-12)


@given(seeds, st.integers(0, 12), st.integers(1, 70), st.integers(1, 5))
@settings(deadline=None)
def test_vectors(random: np.random.Generator, lines: int, components: int, profiles: int) -> None:
    """Whole numbers, and the same ones."""
    weights, columns = random.normal(size=(profiles, lines)), random.integers(0, 20, lines)
    inputs = random.normal(scale=1e5, size=(20, components)).astype(np.float32)
    told = []
    for module in (plain, compiled):
        vectors, parts = np.empty((profiles, components)), np.empty((lines, components))
        module.add_up(weights, columns, inputs, vectors, parts)
        told.append((vectors, parts))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(seeds, st.integers(1, 5), st.integers(1, 300), few, st.integers(0, 100))
@settings(deadline=None)
def test_lists(random: np.random.Generator, lists: int, resources: int, values: int, count: int) -> None:
    """What is hidden, the best, and the places are the same, with few values and so many ties as with many."""
    scores = random.integers(0, values, (lists, resources)).astype(float)
    scores[random.random(scores.shape) < random.random()] = -np.inf
    hidden = random.integers(0, resources, 5)
    signals, removed = random.integers(0, 3, 5), np.arange(-1, lists - 1)
    rows = random.permutation(resources)[:7]
    told = []
    for module in (plain, compiled):
        left = scores.copy()
        module.hide(hidden, signals, removed, left)
        best, places = np.full(count, -1), np.full(len(rows), -1)
        found = module.best(left[0], best)
        module.rank(left[-1], rows, places)
        told.append((left, best, places, np.array(found)))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(seeds, st.integers(0, 5), st.integers(0, 9), st.booleans())
@settings(deadline=None)
def test_texts_and_numbers(random: np.random.Generator, rows: int, width: int, whole: bool) -> None:
    """In turn, as many as are wanted, whatever the numbers look like."""
    texts = [b"a", b"", b"something longer:", b","]
    order = random.integers(0, len(texts), (rows, width))
    counts = random.integers(0, width + 1, rows)
    values = random.normal(size=rows * width) * 10.0 ** random.integers(-9, 9, rows * width)
    numbers = orjson.dumps(values.astype(int).tolist() if whole else values.tolist())
    one, other = (module.interleave(texts, order, counts, numbers) for module in (plain, compiled))
    assert one == other
    assert len(one) == rows
