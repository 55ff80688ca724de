import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from evaluation import datasets
from evaluation.config import ExperimentConfig
from evaluation.erasure_drift import DRIFT, TIMES, ErasureDrift
from evaluation.experiment import run
from evaluation.ours import Ours
from evaluation.result import Result
from tests.evaluation import generated

ASKED = {
    "dataset": {"kind": "given"},
    "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 1},
    "models": ["popularity"],
    "metrics": ["ndcg"],
    "k": [5],
    "bootstrap_samples": 200,
    "training": {"components": 8, "epochs": 1},
    "erasure_drift": {"shares": [0.5], "shards": 4, "draws": 2},
}
CONFIG = ExperimentConfig.model_validate(ASKED)
WORLD = datasets.Dataset("a generated world", generated.events())


def asking(**erasing: object) -> ExperimentConfig:
    """The configuration with other people erased."""
    return ExperimentConfig.model_validate(ASKED | {"erasure_drift": {"shards": 4, **erasing}})


def drift(config: ExperimentConfig, cache: Path | None = None) -> ErasureDrift:
    """What erasing people does in the generated world."""
    found = run(config, given=WORLD, cache=cache).drift
    assert found is not None
    return found


@pytest.fixture(scope="module")
def result() -> Result:
    """One measurement, which tests look at."""
    return run(CONFIG, given=WORLD)


@pytest.fixture(scope="module")
def found(result: Result) -> ErasureDrift:
    """What erasing did in it."""
    assert result.drift is not None
    return result.drift


def test_has_a_row_for_each_share_and_comparison(found: ErasureDrift) -> None:
    """One person and each share are erased, and four comparisons made of those who stay."""
    assert found.lists.schema == DRIFT
    assert found.times.schema == TIMES
    assert found.times["erased"].to_list() == [1, 30]
    for count in (1, 30):
        rows = found.lists.filter(erased=count)
        assert rows["against"].to_list() == ["before", "undivided", "seed", "undivided_seed"]
        assert rows["people"].unique().len() == 1
        assert 60 - count <= rows["people"][0] <= 60
    assert found.lists.filter(erased=30)["people"][0] < 60


def test_putting_right_gives_what_training_everything_gives(found: ErasureDrift) -> None:
    """The shards of the erased alone are trained, and the release is the one of training all shards, byte for byte."""
    assert found.times["same_bytes"].all()
    assert found.times["renewed"].to_list() == [1, 4]


def test_overlap_lies_within_its_interval_and_is_held_against_noise(found: ErasureDrift) -> None:
    """Overlaps are from 0 to 1 and within their intervals; every comparison but the yardsticks says how it stands to noise."""
    rows = found.lists
    assert ((rows["jaccard_low"] <= rows["jaccard"]) & (rows["jaccard"] <= rows["jaccard_high"])).all()
    assert ((rows["rbo_low"] <= rows["rbo"]) & (rows["rbo"] <= rows["rbo_high"])).all()
    assert rows["jaccard"].is_between(0, 1).all()
    yardsticks = rows["against"].is_in(["seed", "undivided_seed"])
    assert (rows["noise"].is_null() == yardsticks).all()
    assert (rows["difference"] - (rows["value"] - rows["other"])).abs().max() == pytest.approx(0)


def test_erasing_more_moves_lists_further(found: ErasureDrift) -> None:
    """Without half of the people, lists are further from what they were than without one person."""
    before = dict(found.lists.filter(against="before").select("erased", "jaccard").rows())
    assert before[30] < before[1]
    assert before[1] > found.lists.filter(against="seed", erased=1)["jaccard"][0]


def test_a_draw_that_forgets_nothing_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that is left as it was is not the one of training everything, and the measurement says so."""
    monkeypatch.setattr(Ours, "shards_of", lambda *_: frozenset())
    assert not drift(asking(shares=[0.1], draws=1)).times["same_bytes"].any()


def test_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained is kept by content: a second run trains nothing, and says the same, of seconds as well."""
    config = asking(shares=[0.1], draws=1)
    plain, first = drift(config), drift(config, tmp_path)
    monkeypatch.setattr(Ours, "fit", None)  # whoever would train now fails
    again = drift(config, tmp_path)
    assert again.lists.equals(first.lists)
    assert again.times.equals(first.times)
    assert first.lists.equals(plain.lists)


def test_people_s_own_data_stay_out_of_the_cache(tmp_path: Path) -> None:
    """Of what people granted for `measure` nothing is kept."""
    granted = datasets.Dataset("granted", generated.events(), personal=True)
    run(asking(shares=[0.1], draws=1), given=granted, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_few_who_stay_is_said() -> None:
    """Where too few stay to learn from, the share has no row, and a note says so."""
    found = drift(asking(shares=[0.999], draws=1))
    assert found.times["erased"].to_list() == [1]
    assert found.notes[1] == "Of 60 people, too few stay when 60 are erased."


def test_is_in_the_json_and_names_nobody(result: Result) -> None:
    """The figures are in the JSON, and no id of a person is."""
    assert len(json.loads(result.to_json())["erasure_drift"]["times"]) == 2
    assert "canary" not in result.to_json()


@pytest.mark.parametrize(("field", "value"), [("shares", [1.5]), ("shards", 0), ("seeds", 1), ("people", 3)])
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    """A share of more than all, no shard, a single seed and an unknown field are refused by name."""
    with pytest.raises(ValidationError, match=f"erasure_drift.{field}"):
        ExperimentConfig.model_validate(ASKED | {"erasure_drift": {field: value}})
