import hashlib
import os
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender import holdout
from recommender.errors import NotEnoughData
from recommender.fitting import feature_map
from recommender.history import History
from recommender.holdout import HoldoutResult
from recommender.parts import bucket_of, shard_of
from recommender.profile import Features, ProfileConfig
from recommender.release import Recipe, Release, TrainingConfig
from recommender.snapshots import present_profiles
from recommender.training import Former, Given, train, train_checked
from tests.recommender.histories import TOPICS, catalogue, events, history, pseudonym, without

ROOT = Path(__file__).parents[2]
DESKDROP = ROOT.parent / "shared/data/deskdrop/users_interactions.csv.gz"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SMALL = TrainingConfig(components=8, epochs=2)


def trained(found: History, size: int = 24, config: TrainingConfig = SMALL) -> Release:
    """A release trained on a history over a catalogue of `size`."""
    features, topics = catalogue(size)
    return train(found, features, topics, config, now=NOW)


def beats_popularity(
    found: History, features: Features, topics: sparse.csr_array, config: TrainingConfig
) -> HoldoutResult:
    """What comes out when a release of these events is tried on the later ones of everybody."""
    return train_checked(Given(found), Recipe(features, topics, config), now=NOW).result


def test_same_rows_give_the_same_digest_in_any_order_at_any_time() -> None:
    """Neither the order of rows nor the moment of training changes a byte; another seed does."""
    features, topics = catalogue(24)
    table = events(60, 15, 24)
    first = trained(history(table, features))
    shuffled = history(table.sample(fraction=1.0, shuffle=True, seed=5), features)
    again = train(shuffled, features, topics, SMALL, now=NOW.replace(year=2027))
    assert again.manifest.digest == first.manifest.digest
    assert again.manifest.shards == first.manifest.shards
    for one, other in zip(first.shards, again.shards, strict=True):
        assert one.feature_embeddings.tobytes() == other.feature_embeddings.tobytes()
    other_seed = SMALL.model_copy(update={"seed": 1})
    assert trained(history(table, features), config=other_seed).shards[0].digest != first.shards[0].digest


def test_digest_does_not_depend_on_the_process() -> None:
    """Another process, with two threads of linear algebra and another hash seed, trains the same bytes as this one."""
    program = (
        "from datetime import UTC, datetime\n"
        "from recommender.training import TrainingConfig, train\n"
        "from tests.recommender.histories import catalogue, events, history\n"
        "features, topics = catalogue(400)\n"
        "rows = history(events(400, 15, 400), features)\n"
        "release = train(rows, features, topics, TrainingConfig(epochs=1), now=datetime.now(UTC))\n"
        "print(release.manifest.digest)\n"
    )
    env = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "2"}
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, check=True, text=True)
    features, _ = catalogue(400)
    with threadpool_limits(1):
        here = trained(history(events(400, 15, 400), features), 400, TrainingConfig(epochs=1))
    assert other.stdout.strip() == here.manifest.digest


def test_only_the_leavers_shard_changes() -> None:
    """Without one person, every shard but theirs keeps its bytes; the release is one that never knew them."""
    features, _ = catalogue(24)
    table, config = events(120, 15, 24), SMALL.model_copy(update={"shards": 3})
    everyone, others = history(table, features), history(without(table, 7), features)
    before, after = trained(everyone, config=config), trained(others, config=config)
    leaver = next(iter(set(everyone.seeds.tolist()) - set(others.seeds.tolist())))
    changed = [one.digest != other.digest for one, other in zip(before.shards, after.shards, strict=True)]
    assert changed == [number == shard_of(leaver >> 52, 3) for number in range(3)]
    assert before.manifest.digest != after.manifest.digest


def test_a_release_has_rows_for_features_and_none_for_people() -> None:
    """Shapes are those of the catalogue alone, whoever the people are."""
    features, _ = catalogue(24)
    release = trained(history(events(60, 15, 24), features))
    (shard,) = release.shards
    assert shard.feature_embeddings.shape == (24 + len(TOPICS) + 5, 8)
    assert shard.resource_embeddings.shape == (24 + len(TOPICS), 8)
    assert shard.resource_biases.shape == (24 + len(TOPICS),)
    assert {array.dtype for array in (shard.feature_embeddings, shard.resource_embeddings)} == {
        np.dtype(np.float32)
    }
    assert release.manifest.people == 60
    assert "pseudonym" not in release.manifest.model_dump_json()


def test_scores_are_those_of_lightfms_own_arithmetic() -> None:
    """`inputs` and `outputs` of a release give bias + <profile, resource> as the shards were trained, averaged."""
    features, topics = catalogue(24)
    found = history(events(80, 15, 24), features)
    config = SMALL.model_copy(update={"shards": 2})
    release = trained(found, config=config)
    profiles = present_profiles(found, features, ProfileConfig())
    outputs, biases = release.outputs(features, topics)
    scores = profiles @ release.inputs(features, topics) @ outputs.T + biases
    spread = profiles @ feature_map(features, topics, config.profile_topic_share)
    described = sparse.hstack([sparse.eye_array(24), config.resource_topic_share * topics]).tocsr()
    expected = np.mean(
        [
            spread @ shard.feature_embeddings @ (described @ shard.resource_embeddings).T
            + described @ shard.resource_biases
            for shard in release.shards
        ],
        axis=0,
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_an_unused_resource_is_placed_by_its_topics() -> None:
    """A resource nobody took up has nothing of its own, and people with a taste for its topic rank it higher."""
    features, topics = catalogue(100)
    table = events(400, 15, 100)
    table = table.filter(table["resource"].is_null() | (table["resource"] != "r0020"))  # of the first topic
    found = history(table, features)
    release = trained(found, 100, TrainingConfig(components=16))
    assert not release.shards[0].resource_embeddings[20].any()
    outputs, biases = release.outputs(features, topics)
    inputs = release.inputs(features, topics)
    scores = present_profiles(found, features, ProfileConfig()) @ inputs @ outputs.T + biases
    rank = (scores > scores[:, [20]]).sum(axis=1)
    numbers = np.argsort([pseudonym(number) for number in range(400)])
    fond = numbers % len(TOPICS) == 0
    assert rank[fond].mean() + 20 < rank[~fond].mean()


def test_the_model_beats_popularity_where_people_have_tastes() -> None:
    """With tastes the held-out NDCG is well above popularity's; it is asked of people of both parts only."""
    features, topics = catalogue(40)
    found = history(events(300, 20, 40), features)
    result = beats_popularity(found, features, topics, TrainingConfig(components=16))
    assert result.passed
    assert result.ndcg > 1.5 * result.popularity_ndcg > 0
    assert 100 < result.people <= 300


def test_the_model_does_not_beat_popularity_on_noise() -> None:
    """Where everyone uses the same few things at random, the check says no."""
    features, topics = catalogue(40)
    random = np.random.default_rng(1)
    table = events(60, 12, 40)
    often = np.minimum(random.geometric(0.15, len(table)) - 1, 39)
    table = table.with_columns(
        resource=np.array(features.resources)[often], topic=None, signal=np.array(["views"] * len(table))
    )
    result = beats_popularity(history(table, features), features, topics, TrainingConfig(epochs=20))
    assert not result.passed


def test_ndcg_of_the_holdout_is_right_for_popularity() -> None:
    """A case worked out by hand: the most used resource of the past is what three of four people take up next."""
    features = Features(("a", "b", "c", "d"), ())
    used = [("p", "cd"), ("q", "cd"), ("r", "cd"), ("s", "dc"), ("t", "ab"), ("u", "ba"), ("v", "ba")]
    later = [("p", "b"), ("q", "b"), ("r", "b"), ("s", "a")]
    rows = [(who, name, place) for who, names in used for place, name in enumerate(names)]
    rows += [(who, name, 100) for who, name in later]
    people, names, at = zip(*rows, strict=True)
    empty = [None] * len(rows)
    found = History.from_columns(
        [who.encode() for who in people], ["views"] * len(rows), names, empty, empty, at, features
    )
    config = TrainingConfig(components=2, epochs=0)
    result = beats_popularity(found, features, sparse.csr_array((4, 0)), config)
    # a and b are equally popular, so a stands first: b at rank 2 for p, q and r, a at rank 1 for s.
    assert result.people == 4
    assert result.popularity_ndcg == pytest.approx((3 / np.log2(3) + 1) / 4)


@pytest.mark.deskdrop
@pytest.mark.skipif(not DESKDROP.exists(), reason="the Deskdrop data is not beside the project")
def test_the_model_beats_popularity_on_deskdrop() -> None:
    """On real events with several signals, ranked over all articles, the held-out NDCG is well above popularity's."""
    signals = {"VIEW": "views", "LIKE": "ratings", "BOOKMARK": "saves", "COMMENT CREATED": "completions"}
    table = pl.read_csv(DESKDROP).filter(pl.col("eventType").is_in(list(signals)))
    articles = table["contentId"].cast(pl.String)
    features = Features(tuple(sorted(articles.unique())), ())
    empty = pl.Series([None] * len(table), dtype=pl.String)
    stars = np.where(table["eventType"] == "LIKE", 5.0, np.nan)
    people = [hashlib.sha256(b"%d" % person).digest() for person in table["personId"]]
    kinds, at = table["eventType"].replace_strict(signals), table["timestamp"].to_numpy() * 1_000_000
    found = History.from_columns(people, kinds, articles, empty, stars, at, features)
    result = beats_popularity(
        found, features, sparse.csr_array((len(features.resources), 0)), TrainingConfig()
    )
    assert result.people > 500
    assert result.ndcg > 1.5 * result.popularity_ndcg


@pytest.mark.parametrize("names", ["", "a", "aaaa", "ab"])
def test_too_little_is_said(names: str) -> None:
    """No person, one event, one resource, or one answer only raise NotEnoughData, in training and in the check."""
    features = Features(("a", "b"), ())
    size = len(names)
    found = History.from_columns(
        [b"p"] * size, ["views"] * size, list(names), [None] * size, [None] * size, range(size), features
    )
    topics = sparse.csr_array((2, 0))
    with pytest.raises(NotEnoughData):
        train(found, features, topics, SMALL, now=NOW)
    with pytest.raises(NotEnoughData):
        beats_popularity(found, features, topics, SMALL)


def test_progress_never_goes_back_and_ends_at_one() -> None:
    """Progress is told in growing parts of the whole, over all shards."""
    features, topics = catalogue(24)
    told: list[float] = []
    config = SMALL.model_copy(update={"shards": 2})
    train(
        history(events(80, 15, 24), features), features, topics, config,
        now=NOW, progress=lambda _, part: told.append(part),
    )  # fmt: skip
    assert told == sorted(told)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert len(told) > 4


def test_a_shard_with_too_few_people_learns_nothing_and_spoils_nothing() -> None:
    """Shards of nobody are zeros; a release is the mean of the others, and equals one that never had more people."""
    features, topics = catalogue(24)
    config = SMALL.model_copy(update={"shards": 8})
    found = history(events(6, 15, 24), features)
    release = trained(found, config=config)
    empty = [shard.is_empty for shard in release.shards]
    numbers = {shard_of(int(seed) >> 52, 8) for seed in found.seeds}
    assert empty == [number not in numbers for number in range(8)]
    assert any(empty)
    learned = [shard for shard in release.shards if not shard.is_empty]
    profiles = present_profiles(found, features, ProfileConfig())
    outputs, biases = release.outputs(features, topics)
    scores = profiles @ release.inputs(features, topics) @ outputs.T + biases
    alone = []
    for shard in learned:
        one = Release((shard,), features, topics, release.manifest)
        outputs, biases = one.outputs(features, topics)
        alone.append(profiles @ one.inputs(features, topics) @ outputs.T + biases)
    np.testing.assert_allclose(scores, np.mean(alone, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("leaver", [7, 30])
def test_a_release_put_right_is_one_that_never_knew_the_leaver(leaver: int) -> None:
    """Training one shard anew gives the release of a world without the person, to the bit, tried at the same moment."""
    features, topics = catalogue(24)
    table = events(120, 15, 24)
    recipe = Recipe(features, topics, SMALL.model_copy(update={"shards": 3}), b"k" * 32)
    everyone, others = history(table, features), history(without(table, leaver), features)
    first = train_checked(Given(everyone), recipe, now=NOW)
    number = shard_of(bucket_of(pseudonym(leaver)), 3)
    former = Former(first.release, first.tried, frozenset([number]))
    right = train_checked(Given(others), recipe, now=NOW, former=former)
    afresh = train(others, features, topics, recipe.config, now=NOW)
    assert right.trained == {number}
    assert right.release.manifest.digest == afresh.manifest.digest != first.release.manifest.digest
    assert right.release.manifest.shard_digests == afresh.manifest.shard_digests
    before, after = first.release.manifest.check, right.release.manifest.check
    assert before is not None
    assert after is not None
    assert before.moment == after.moment
    changed = [one != other for one, other in zip(before.shards, after.shards, strict=True)]
    assert changed == [each == number for each in range(3)]


def test_a_shard_that_never_learned_from_the_leaver_is_not_trained() -> None:
    """Marked for somebody of whom no row was there, a shard is read, found unchanged, and kept."""
    features, topics = catalogue(24)
    recipe = Recipe(features, topics, SMALL.model_copy(update={"shards": 3}), b"k" * 32)
    found = history(events(60, 15, 24), features)
    first = train_checked(Given(found), recipe, now=NOW)
    former = Former(first.release, first.tried, frozenset([1]))
    again = train_checked(Given(found), recipe, now=NOW, former=former)
    assert again.trained == frozenset()
    assert again.release.manifest == first.release.manifest


def _peak(people: int, resources: int) -> int:
    """Bytes that a training with its trial needs at most at once, with four events a person."""
    features, topics = catalogue(resources)
    given = Given(history(events(people, 4, resources), features))
    tracemalloc.start()
    try:
        train_checked(given, Recipe(features, topics, SMALL), now=NOW)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_nothing_has_a_cell_for_every_person_and_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger catalogue for as many people with as many events takes less room than one byte for each pair more would."""
    monkeypatch.setattr(holdout, "_CELLS", 200_000)  # the trial looks at so many pairs at a time
    people, few, many = 20_000, 200, 600
    assert _peak(people, many) - _peak(people, few) < people * (many - few) / 2
