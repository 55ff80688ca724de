import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recommender.history import History
from recommender.profile import Features, ProfileConfig
from recommender.snapshots import SnapshotConfig, Snapshots, presence, present_profiles, snapshots, taken_up
from tests.recommender.histories import catalogue, events, history, without

FEATURES = Features(("a", "b", "c", "d"), ("sleep",))
UNEVEN = ProfileConfig(
    strengths={"views": 0.1, "saves": 0.7, "ratings": 0.3, "topics": 0.9, "check_ins": 0.6}
)


def one_person(*rows: tuple[str, str | None, str | None, float | None]) -> History:
    """A history of one person's events, given in order as signal, resource, topic, value."""
    signals, resources, topics, values = zip(*rows, strict=True)
    return History.from_columns(
        [b"p"] * len(rows), signals, resources, topics, values, range(len(rows)), FEATURES
    )


def views(names: str) -> History:
    """A history of one person's views of resources with one-letter names."""
    return one_person(*[("views", name, None, None) for name in names])


def rows_by_seed(found: Snapshots, seeds: NDArray[np.uint64]) -> dict[int, list[tuple[bytes, ...]]]:
    """The bytes of every row, by the seed of its person."""
    rows: dict[int, list[tuple[bytes, ...]]] = {}
    for number, person in enumerate(found.person):
        profile, positives = found.profiles[[number]], found.positives[[number]]
        content = (profile.indices.tobytes(), profile.data.tobytes(), positives.indices.tobytes())
        rows.setdefault(int(seeds[person]), []).append(content)
    return rows


def test_a_row_has_features_from_before_the_cut_and_positives_from_after() -> None:
    """With few events every cut is taken: each profile is the mean of what came before, each answer what came next."""
    config = ProfileConfig(windows=(2,))
    found = snapshots(views("abcd"), FEATURES, SnapshotConfig(positives=2), config)
    assert found.profiles.toarray()[:, :4].tolist() == [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0]]
    assert found.positives.toarray().tolist() == [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]]


def test_what_was_already_taken_up_is_no_positive() -> None:
    """Coming back to a resource is no answer, as recommendations leave out what was seen, but it does count again."""
    found = snapshots(views("abac"), FEATURES, SnapshotConfig(), ProfileConfig(windows=(5,)))
    assert found.positives.toarray().tolist() == [[0, 1, 1, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(found.profiles.toarray()[1, :2], [2 / 3, 1 / 3], rtol=1e-6)


def test_impressions_and_low_ratings_are_not_taking_up() -> None:
    """Being shown a resource or disliking it makes neither a positive nor a feature; topics and moods are features."""
    found = one_person(
        ("topics", None, "sleep", None),
        ("check_ins", None, None, 2.0),
        ("impressions", "a", None, None),
        ("ratings", "b", None, 2.0),
        ("ratings", "c", None, 3.0),
        ("impressions", "d", None, None),
    )
    assert taken_up(found, ProfileConfig()).tolist() == [False, False, False, False, True, False]
    rows = snapshots(found, FEATURES, SnapshotConfig(), ProfileConfig())
    assert rows.positives.toarray().tolist() == [[0, 0, 1, 0]]
    assert rows.profiles.toarray().tolist() == [[0, 0, 0, 0, 0.5, 0, 0.25, 0, 0, 0]]
    assert presence(found, FEATURES, ProfileConfig()).toarray().tolist() == [[0, 0, 1, 0, 1, 0, 1, 0, 0, 0]]


def test_no_row_shows_its_answer() -> None:
    """On many people's events, no positive of a row is in the row's profile, and both sides hold something."""
    features, _ = catalogue(40)
    found = snapshots(history(events(60, 40, 40), features), features, SnapshotConfig(), UNEVEN)
    assert found.profiles.shape[0] > 100
    assert found.profiles[:, :40].multiply(found.positives).nnz == 0
    assert np.diff(found.profiles.indptr).min() >= 1
    assert np.diff(found.positives.indptr).min() >= 1
    assert np.diff(found.positives.indptr).max() == 10


def test_cuts_are_limited_spread_and_differ_between_people() -> None:
    """A person gives `cuts` rows at most; two people with the same events are cut at different places."""
    features, _ = catalogue(40)
    table = pl.DataFrame(
        {
            "person": [name for name in (b"one", b"two") for _ in range(40)],
            "signal": "views",
            "resource": list(features.resources) * 2,
            "topic": pl.Series([None] * 80, dtype=pl.String),
            "value": np.nan,
            "at": list(range(40)) * 2,
        }
    )
    found = snapshots(history(table, features), features, SnapshotConfig(cuts=8), ProfileConfig())
    assert np.bincount(found.person).tolist() == [8, 8]
    first = [[int(found.positives[[row]].indices[0]) for row in range(16) if found.person[row] == person] for person in (0, 1)]  # fmt: skip
    assert first[0] != first[1]
    assert len(set(first[0])) == 8
    again = snapshots(history(table, features), features, SnapshotConfig(cuts=8), ProfileConfig())
    np.testing.assert_array_equal(found.positives.indices, again.positives.indices)


@pytest.mark.parametrize("leaver", [0, 17, 39])
def test_one_persons_leaving_changes_no_one_elses_rows(leaver: int) -> None:
    """Without one person the others' rows are the same to the last bit, also with strengths that do not add exactly."""
    features, _ = catalogue(24)
    table = events(40, 50, 24)
    everyone, others = history(table, features), history(without(table, leaver), features)
    config = SnapshotConfig(cuts=5)
    before = rows_by_seed(snapshots(everyone, features, config, UNEVEN), everyone.seeds)
    after = rows_by_seed(snapshots(others, features, config, UNEVEN), others.seeds)
    gone = set(before) - set(after)
    assert len(gone) == 1
    assert after == {seed: rows for seed, rows in before.items() if seed not in gone}


def test_present_profiles_take_every_event() -> None:
    """A person's profile after their last event counts the newest most; who has no event left has an empty row."""
    found = views("abb")
    profile = present_profiles(found, FEATURES, ProfileConfig(windows=(1, 2)))
    assert profile.toarray()[0, :4].tolist() == [0, 1, 0, 0]
    found = views("aab")
    profile = present_profiles(found, FEATURES, ProfileConfig(windows=(1, 2)))
    assert profile.toarray()[0, :4].tolist() == [0.25, 0.75, 0, 0]
    assert present_profiles(found.before(0), FEATURES, ProfileConfig()).nnz == 0


def test_no_rows_come_from_too_little() -> None:
    """Nobody, and one event only, give no rows and no error."""
    for found in (views("a"), views("a").before(0), views("a").of(np.array([False]))):
        rows = snapshots(found, FEATURES, SnapshotConfig(), ProfileConfig())
        assert rows.profiles.shape == (0, len(FEATURES))
        assert rows.positives.shape == (0, 4)
