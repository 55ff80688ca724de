"""The compiled loops do what the plain ones do."""

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import kernels
from recommender.kernels import plain
from recommender.profile import ProfileConfig, event_weights

compiled = pytest.importorskip(
    "recommender.kernels.compiled", reason="there was no C compiler here at installation"
)

MOST_LANES = 8
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
few = st.sampled_from([2, 10, 10**9])


@pytest.fixture(scope="module", params=[2, 4, MOST_LANES])
def lanes(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many doubles at once the compiled loops over all resources take; each is a build of its own."""
    taken: int = compiled.take_lanes(request.param)
    if taken < request.param:
        pytest.skip(f"this processor takes {taken} at once")
    yield taken
    compiled.take_lanes(MOST_LANES)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_where_there_is_a_compiler_the_compiled_loops_serve() -> None:
    """An installation that quietly fell back would be slow, and nobody would know why."""
    assert kernels.rank is compiled.rank


@given(seeds, st.integers(0, 40), st.integers(1, 12), st.integers(1, 5))
def test_weights(random: np.random.Generator, events: int, lines: int, profiles: int) -> None:
    """Those of every profile are the same to the last bit; those of the first are what training gives the same events."""
    of_events = random.integers(0, lines, 2 * events)
    starts = np.array([0, events, 2 * events])
    signals, strengths = random.integers(0, 4, lines), random.uniform(0.1, 2.0, lines)
    removed = np.array([-1, 0, 1, 2, 3][:profiles])
    config = ProfileConfig()
    windows, shares = np.array(config.windows), np.array([1.0, 0.5]) / len(config.windows)
    told = {}
    for module in (plain, compiled):
        told[module] = np.ones((profiles, lines))
        module.weigh(of_events, starts, signals, strengths, removed, windows, shares, told[module])
    np.testing.assert_array_equal(told[plain], told[compiled])
    family = np.repeat([0, 1], events)
    trained = event_weights(family, strengths[of_events], config)
    np.testing.assert_allclose(told[compiled][0] - 1.0, np.bincount(of_events, trained, lines), atol=1e-12)


things = st.sampled_from(["a", "b", "c", None])
values = st.sampled_from([None, 0.0, 1.0, 2.9, 3.0, 5.0, 6.0, float("nan")])
rows = st.lists(st.tuples(st.sampled_from([*"vrcis?"]), things, things, values, st.just(0)))


@given(rows, st.lists(st.integers(0, 4), max_size=2))
def test_reading(rows: list[tuple[Any, ...]], context: list[int]) -> None:
    """The same lines of any events, those that nothing lets in too."""
    rules = {
        "v": (0, 1.0, kernels.COUNTS, 3.0),
        "r": (1, 0.5, kernels.RATED, 3.0),
        "c": (2, 2.0, kernels.FELT, 3.0),
        "i": (3, 0.0, kernels.SHOWN, 3.0),
        "s": (4, 0.0, kernels.COUNTS, 3.0),
    }
    one, other = (
        module.read(rows, rules, {"a": 0, "b": 1}, {"a": 2, "c": 3}, 4, 5, context)
        for module in (plain, compiled)
    )
    for mine, theirs in zip(one, other, strict=True):
        assert np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
        assert type(mine) is type(theirs)
        assert not isinstance(mine, np.ndarray) or mine.dtype == theirs.dtype


@given(rows)
def test_the_order_of_one_moment(rows: list[tuple[Any, ...]]) -> None:
    """The same numbers for any events, of signals and about things that are unknown too."""
    known = {"v": 0, "r": 3, "i": 9}, {"a": 0, "b": 2**31 - 1}, {"a": 7, "c": 2**20}
    assert plain.mixed(rows, *known) == compiled.mixed(rows, *known)


@given(seeds, st.integers(0, 12), st.integers(1, 70), st.integers(1, 5))
@pytest.mark.usefixtures("lanes")
def test_vectors(random: np.random.Generator, lines: int, components: int, profiles: int) -> None:
    """Whole numbers, and the same ones."""
    weights, columns = random.normal(size=(profiles, lines)), random.integers(0, 20, lines)
    inputs = random.normal(scale=1e5, size=(20, components)).astype(np.float32)
    weights[random.random(weights.shape) < 0.5], known = 0.0, random.integers(0, 2, 20).astype(np.uint8)
    told = []
    for module in (plain, compiled):
        vectors, parts = np.empty((profiles, components)), np.empty((lines, components))
        told.append((vectors, parts, module.add_up(weights, columns, known, inputs, vectors, parts)))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(seeds, st.integers(1, 14), st.integers(0, 70), st.integers(0, 70))
@pytest.mark.usefixtures("lanes")
def test_scores(random: np.random.Generator, lists: int, components: int, resources: int) -> None:
    """Exactly those of the matrix product, in however many lists, and minus infinity for what may not be listed."""
    vectors = random.integers(-(2**22), 2**22, (lists, components)).astype(float)
    outputs = random.integers(-(2**24), 2**24 + 1, (resources, components)).astype(np.float32)
    biases = random.integers(-(2**50), 2**50, resources).astype(float)
    listed = random.integers(0, 4, resources).clip(max=1).astype(np.uint8)
    expected = np.where(listed, vectors @ outputs.T + biases, -np.inf)
    for module in (plain, compiled):
        scores = np.full((lists, resources), np.nan)
        module.Catalogue(outputs, biases).score(vectors, listed, scores)
        assert np.array_equal(scores, expected)


@given(seeds, st.integers(1, 5), st.integers(1, 1500), few, st.integers(0, 100))
@pytest.mark.usefixtures("lanes")
def test_lists(random: np.random.Generator, lists: int, resources: int, values: int, count: int) -> None:
    """What is hidden, the best, and the places are the same, with few values and so many ties as with many."""
    scores = random.integers(0, values, (lists, resources)).astype(float)
    scores[random.random(scores.shape) < random.random()] = -np.inf
    hidden = {signal: random.integers(0, resources, 3).tolist() for signal in (0, 2)}
    removed = np.arange(-1, lists - 1)
    rows = random.permutation(resources)[:7]
    told = []
    for module in (plain, compiled):
        left = scores.copy()
        module.hide(hidden, removed, left)
        best, places = np.full((lists, count), 7), np.full((lists, len(rows)), -1)
        module.best(left, best)
        module.rank(left, rows, places)
        told.append((left, best, places))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(
    seeds,
    st.integers(1, 14),
    st.integers(0, 70),
    st.integers(1, 700),
    st.integers(0, 12),
    st.sampled_from([0, 2, 30, 2**24]),
    st.sampled_from([0, 1, 2**48]),
)
@pytest.mark.usefixtures("lanes")
def test_standings(
    random: np.random.Generator,
    lists: int,
    components: int,
    resources: int,
    count: int,
    values: int,
    bias: int,
) -> None:
    """Places and heads are the same, whatever is equal or nearly so, hidden, or not listed; of all zeros too."""
    outputs = random.integers(-values, values + 1, (resources, components)).astype(float)
    outputs[random.integers(0, resources, resources // 3)] += random.integers(-1, 2)  # nearly equal to others
    outputs = outputs.clip(-(2**24), 2**24).astype(np.float32)
    biases = random.integers(-bias, bias + 1, resources).astype(float)
    whole = random.integers(-(2**22), 2**22, (1, components))
    vectors = (whole + random.integers(-values // 4, values // 4 + 1, (lists, components))).astype(float)
    listed = (random.random(resources) < random.choice([0.0, 0.1, 0.9, 1.0])).astype(np.uint8)
    hidden = {signal: random.integers(0, resources, 3).tolist() for signal in (0, 2)}
    removed, rows = np.arange(-1, lists - 1), random.permutation(resources)[:count]
    told = []
    for module in (plain, compiled):
        places, heads = np.full((lists, len(rows)), -7), np.full((lists, count), -7)
        module.Catalogue(outputs, biases).stand(vectors, listed, hidden, removed, rows, places, heads)
        told.append((places, heads))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(seeds, st.integers(0, 40), st.integers(0, 40), few)
def test_diverse_heads(random: np.random.Generator, size: int, count: int, values: int) -> None:
    """The same order and the same numbers, with ties and with repeats."""
    scores = np.sort(random.integers(0, values, size).astype(float))[::-1].copy()
    similarity = random.choice([0.0, 0.25, random.random(), 1.0], (size, size))
    told = []
    for module in (plain, compiled):
        taken, added = np.full(min(count, size), -7), np.full(min(count, size), np.nan)
        module.diversify(scores, similarity, float(values), taken, added)
        told.append((taken, added))
    for one, other in zip(*told, strict=True):
        assert np.array_equal(one, other)


@given(seeds, st.integers(0, 5), st.integers(0, 40), st.integers(1, 3), st.integers(0, 50))
@pytest.mark.usefixtures("lanes")
def test_contributions(random: np.random.Generator, items: int, lines: int, groups: int, room: int) -> None:
    """Those that add nothing are left out, what there is no room for is one, and the sums are those of the groups."""
    values = random.integers(-3, 4, (items, lines)).astype(float)
    of_line = random.integers(0, groups, lines)
    answers = []
    for module in (plain, compiled):
        told = np.full((items, room + groups), np.nan)
        order, speaking = np.full((items, room), -7), np.full((items, 2), -7)
        module.line_up(values, of_line, told, order, speaking)
        answers.append((told, order, speaking))
    for one, other in zip(*answers, strict=True):
        assert np.array_equal(one, other)
    for own, sums, shown in zip(values, *answers[1][:2], strict=True):
        kept = shown[(shown >= 0) & (shown < lines)]
        assert np.array_equal(sums[: len(kept)], own[kept])
        assert np.count_nonzero(shown >= 0) == min(np.count_nonzero(own), room)
        assert sums[room:].sum() == own.sum()
        if room:
            assert sums[:room].sum() == own.sum()


@given(seeds, st.integers(0, 3), st.integers(1, 30), st.integers(0, 3))
def test_pieces_are_written_column_by_column(
    random: np.random.Generator, pieces: int, lines: int, others: int
) -> None:
    """What all share, what each has of its own, numbers of any size, and lists of objects: lines, sums, places."""
    of_line, columns = random.integers(0, 2, lines), random.integers(0, 3, lines)
    shape = (pieces, lines + 1)
    values = random.normal(size=shape) * 10.0 ** random.integers(-9, 9, shape)
    order = random.permuted(np.tile(np.arange(lines + 1), (pieces, 1)), axis=1)
    order[random.random(order.shape) < 0.1] = -1
    rows, sums = random.integers(-1, 3, pieces), random.integers(0, 2**40, (pieces, others))
    places, chosen = random.integers(0, 120, (others, pieces)), random.integers(-1, 3, (others, pieces))
    heads, names = [b'{"without":%d' % number for number in range(others)], [b'"a"', b"{}", b"[1]"]
    written = []
    for module in (plain, compiled):
        page = module.Page(pieces)
        page.each([b'{"own":"%d"' % piece for piece in range(pieces)])
        page.all(b',"chosen":')
        page.choose(names, rows)
        page.all(b',"sums":[')
        page.sums([head + b',"sum":' for head in heads], page.numbers(sums), others)
        page.all(b'],"places":[')
        page.places([head + b',"place":' for head in heads], places, b',"instead":', names, chosen)
        page.all(b'],"list":[')
        first = page.numbers(values)
        texts = [b'"x":', b'"longer name":', b'"y":']
        page.lines(order, [b'{"of":1,', b'{"of":2,'], of_line, texts, columns, b'{"rest":', first, lines + 1)
        page.all(b'],"second":')
        page.number(first + lines, lines + 1)
        page.all(b"}")
        written.append(page.written())
    assert written[0] == written[1]
    for piece, told in enumerate(orjson.loads(written[0])):
        assert [each["sum"] for each in told["sums"]] == sums[piece].tolist()
        assert [each["place"] or 0 for each in told["places"]] == places[:, piece].tolist()
        instead = [None if row < 0 else orjson.loads(names[row]) for row in chosen[:, piece]]
        assert [each["instead"] for each in told["places"]] == instead
        assert told["second"] == values[piece, -1]
        until = [*order[piece].tolist(), -1].index(-1)
        listed = [next(reversed(each.values())) for each in told["list"]]
        assert listed == values[piece, :until].tolist()


def test_a_page_without_numbers() -> None:
    """Nor need there be any pieces."""
    for module in (plain, compiled):
        page = module.Page(2)
        page.all(b"null")
        assert page.written() == b"[null,null]"
        assert module.Page(0).written() == b"[]"


def test_numbers_are_looked_at_last() -> None:
    """They may be filled in after they were taken."""
    for module in (plain, compiled):
        page, values = module.Page(2), np.zeros(2)
        page.number(page.numbers(values))
        values[:] = 1.5, 2.5
        assert page.written() == b"[1.5,2.5]"
