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
    """Those of every profile are the same to the last bit; those of the first are what training gives the same events."""
    of_events = random.integers(0, lines, events)
    signals, strengths = random.integers(0, 4, lines), random.uniform(0.1, 2.0, lines)
    removed = np.array([-1, 0, 1, 2, 3][:profiles])
    config = ProfileConfig()
    windows, share = np.array(config.windows), 1.0 / len(config.windows)
    told = {}
    for module in (plain, compiled):
        told[module] = np.ones((profiles, lines))
        module.weigh(of_events, signals, strengths, removed, windows, share, told[module])
    np.testing.assert_array_equal(told[plain], told[compiled])
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
        best, places = np.full((lists, count), 7), np.full((lists, len(rows)), -1)
        module.best(left, best)
        module.rank(left, rows, places)
        told.append((left, best, places))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(seeds, st.integers(0, 5), st.integers(0, 9), st.integers(1, 3), st.integers(1, 5))
@settings(deadline=None)
def test_contributions(random: np.random.Generator, items: int, lines: int, groups: int, most: int) -> None:
    """Those that add nothing are left out, what there is no room for is one, and the sums are those of the groups."""
    values = random.integers(-3, 4, (items, lines)).astype(float)
    order = (-np.abs(values)).argsort(axis=1, kind="stable")
    of_line, room = random.integers(0, groups, lines), min(lines, most)
    texts, numbers = np.arange(100, 101 + lines), np.arange(-1, -1 - values.size, -1).reshape(values.shape)
    others, ends = np.arange(-1001, -1001 - items, -1), np.array([50, 51])
    told = []
    for module in (plain, compiled):
        codes, speaking = np.full((items, 3 * room), -7), np.full((items, 2), -7)
        sums, rest = np.full((items, groups), np.nan), np.full(items, np.nan)
        module.line_up(
            values, order, of_line, texts, numbers, others, ends, codes, speaking, sums, rest
        )  # fmt: skip
        told.append((codes, speaking, sums, np.where((codes == 100).any(axis=1), rest, 0.0)))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)
    for codes, own in zip(told[1][0], values, strict=True):
        written = codes[codes != 0].reshape(-1, 3)
        assert len(written) == min(np.count_nonzero(own), room)
        assert [*written[:, 2]] == [50] * (len(written) - 1) + [51] * (len(written) > 0)


@given(seeds, st.integers(0, 5), st.integers(0, 9))
@settings(deadline=None)
def test_texts_and_numbers(random: np.random.Generator, columns: int, count: int) -> None:
    """In any order and as often as wanted, whatever the numbers look like."""
    texts = [b"", b"a", b"something longer:", b","]
    values = random.normal(size=count) * 10.0 ** random.integers(-9, 9, count)
    numbers = orjson.dumps([*values.tolist(), 7, None])
    codes = random.integers(-2 - count, len(texts), 10 * columns)
    one, other = (module.weave(texts, codes, numbers) for module in (plain, compiled))
    assert one == other


def test_without_a_number_texts_are_written_all_the_same() -> None:
    """A page may hold none."""
    for module in (plain, compiled):
        assert module.weave([b"", b"a"], np.array([1, 0, 1]), b"[]") == b"aa"
