from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from recommender.history import History
from recommender.profile import Features
from recommender.query import HistoryEvent, Strategy
from recommender.ranking import Ranker
from recommender.shelf import topic_matrix
from recommender.snapshots import present_profiles
from tests.recommender.catalogues import GRANTED, NOW, TOPICS, event, release, resource
from tests.recommender.questions import CATALOGUE, EVERYTHING, IDS, RANKERS, RELEASE, histories, ids


@given(histories)
def test_scores_are_those_of_the_release(history: list[HistoryEvent]) -> None:
    """One dot product of the training's own profile with the release's own arrays, in plain floating point."""
    distinct = [row._replace(occurred_at=10_000 - place) for place, row in enumerate(history)]
    ranking = RANKERS["release"].rank(distinct, GRANTED, replace(EVERYTHING, exclude_seen=False), NOW)
    if ranking.strategy is Strategy.EDITORIAL:
        return
    features = Features(tuple(IDS), TOPICS)
    signals, resources, topics, values, times = zip(*distinct, strict=True)
    past = History.from_columns(
        [b"p"] * len(distinct), signals, resources, topics, np.array(values, dtype=float), times, features
    )
    profile = present_profiles(past, features, RELEASE.manifest.config.profile).toarray()[0]
    matrix = topic_matrix(sorted(CATALOGUE, key=lambda each: each.id), features)
    outputs, biases = RELEASE.outputs(features, matrix)
    expected = biases + outputs @ (profile @ RELEASE.inputs(features, matrix))
    for item in ranking.items:
        scored = item.score - sum(item.adjustments.values())
        assert scored == pytest.approx(float(expected[IDS.index(item.resource.id)]), abs=2e-5)


def test_scores_stay_exact_with_many_components_and_large_numbers() -> None:
    """Biases and embeddings of very different sizes still give reasons that add up, and no score that is no number."""
    for scale in (1e-6, 1.0, 1e6):
        trained = release(CATALOGUE, components=128, shards=4)
        shards = tuple(
            replace(each, resource_biases=each.resource_biases * np.float32(scale)) for each in trained.shards
        )
        ranker = Ranker(CATALOGUE, replace(trained, shards=shards))
        scorer = ranker._scorer
        assert scorer is not None
        assert np.array_equal(scorer.outputs, np.rint(scorer.outputs))
        ranking = ranker.rank([event("views", "r01")], GRANTED, EVERYTHING, NOW)
        assert ranking.items
        for item in ranking.items:
            assert item.base + sum(item.values) == item.score


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_release_with_numbers_that_are_not_finite_is_refused(wrong: float) -> None:
    """Better no new ranker than one that answers NaN."""
    broken = release(CATALOGUE)
    broken.shards[0].feature_embeddings[0, 0] = wrong
    with pytest.raises(ValueError, match="not finite"):
        Ranker(CATALOGUE, broken)


def test_a_new_resource_is_ranked_by_its_topics() -> None:
    """What came after training gets the score of its topics' parts."""
    shelf = [*CATALOGUE, resource("new-a", topics=["sleep"]), resource("new-b", topics=["sleep"])]
    ranking = Ranker(shelf, RELEASE).rank([event("views", "r01")], GRANTED, EVERYTHING, NOW)
    scores = {item.resource.id: item.score for item in ranking.items}
    assert scores["new-a"] == scores["new-b"] != 0
    found = ids(ranking)
    assert found.index("new-b") == found.index("new-a") + 1


def test_scores_are_exact_and_only_of_what_may_be_listed() -> None:
    """Sums of whole numbers, whoever adds them up and in whatever order; what may not be listed has none."""
    scorer = Ranker(CATALOGUE, release(CATALOGUE, components=128, shards=4))._scorer
    assert scorer is not None
    random = np.random.default_rng(4)
    listed = random.random(len(CATALOGUE)) < 0.7
    vectors, parts, _ = scorer.vectors(random.random((5, 40)), np.arange(40))
    assert np.array_equal(vectors, np.rint(vectors))
    assert np.array_equal(parts.sum(axis=0), vectors[0])
    scores = scorer.scores(vectors, listed)
    whole = [[int(number) for number in vector] for vector in vectors]
    for row, outputs in enumerate(scorer.outputs.astype(int).tolist()):
        for vector, score in zip(whole, scores[:, row], strict=True):
            expected = sum(map(int.__mul__, vector, outputs)) + int(scorer.biases[row])
            assert score == (expected if listed[row] else -np.inf)
