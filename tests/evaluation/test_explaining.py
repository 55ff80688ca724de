from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evaluation import datasets
from evaluation.config import ExperimentConfig
from evaluation.experiment import run
from evaluation.explaining import EXPLANATIONS, by_signal, explanations
from evaluation.report.panels import panels
from recommender.query import HistoryEvent, Query
from recommender.ranking import Ranker
from tests.evaluation import generated
from tests.recommender.catalogues import GRANTED, NOW, event, release, resource

RESOURCES = [resource(f"r{number:02}") for number in range(40)]
RANKERS = [Ranker(RESOURCES, release(RESOURCES, seed=seed)) for seed in range(2)]
QUERY = Query(explain="full", exclude_seen=False)
SIGNALS = ("views", "saves", "completions")


def people(count: int = 30) -> list[list[HistoryEvent]]:
    """People with nine events of three signals."""
    random = np.random.default_rng(0)
    return [
        [
            event(SIGNALS[place % 3], f"r{row:02}", place)
            for place, row in enumerate(random.choice(40, 9, replace=False))
        ]
        for _ in range(count)
    ]


def values(found: pl.DataFrame) -> dict[str, float]:
    """Measure to value."""
    return dict(found.select("measure", "value").rows())


def test_reasons_of_a_ranker_hold() -> None:
    """They sum to the score, and what is cited moves items further than what is not, beyond the interval."""
    found = explanations(RANKERS, people(), GRANTED, QUERY, NOW, samples=200)
    assert found.schema == pl.Schema(EXPLANATIONS)
    assert values(found)["sum_fidelity"] == 1
    validity = found.filter(measure="validity").to_dicts()[0]
    assert 0 < validity["low"] <= validity["value"] <= validity["high"]
    assert values(found)["lines"] == 9
    assert 1 <= values(found)["lines_for_most"] < 9


def test_the_same_release_explains_the_same() -> None:
    """A ranker is wholly stable against itself, and releases of unrelated numbers are not."""
    same = values(explanations([RANKERS[0], RANKERS[0]], people(), GRANTED, QUERY, NOW, samples=100))
    other = values(explanations(RANKERS, people(), GRANTED, QUERY, NOW, samples=100))
    assert (same["same_signal"], same["same_lines"]) == (1, 1)
    assert other["same_lines"] < 0.9


def test_what_is_cited_is_what_its_lines_add() -> None:
    """Over the signals, what is added sums to what all lines add."""
    ranking = RANKERS[0].rank(people()[0], GRANTED, QUERY, NOW)
    names, added = by_signal(ranking)
    assert names == sorted(SIGNALS)
    assert added.sum(axis=1) == pytest.approx(ranking.values.sum(axis=1))


def test_what_is_not_defined_is_null() -> None:
    """Of people with one signal validity is not defined, and without a second ranker stability is not; never NaN."""
    one = [[event("views", f"r{number:02}", number) for number in range(4)]]
    found = explanations(RANKERS[:1], one, GRANTED, QUERY, NOW, samples=100)
    undefined = found.filter(pl.col("value").is_null())
    assert undefined["measure"].to_list() == ["validity", "validity_share", "same_signal", "same_lines"]
    assert not found["value"].is_nan().any()
    with pytest.raises(ValueError, match="explain='full'"):
        explanations(RANKERS, one, GRANTED, replace(QUERY, explain="short"), NOW)


def test_an_experiment_measures_explanations() -> None:
    """Asked for in the configuration, they are in the result, the JSON and the panels."""
    config = ExperimentConfig.model_validate(
        {
            "dataset": {"kind": "given"},
            "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
            "models": ["popularity"],
            "metrics": ["ndcg"],
            "bootstrap_samples": 100,
            "trials": 0,
            "explanations": {"people": 20, "seeds": 2},
        }
    )
    result = run(config, given=datasets.Dataset("a generated world", generated.events()))
    assert result.explanations is not None
    assert result.explanations.filter(measure="sum_fidelity").select("value", "people").row(0) == (1, 20)
    assert panels(result)[-1].name == "explanations"
    assert '"same_lines"' in result.to_json()
