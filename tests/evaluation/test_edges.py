import json
from typing import Any

import polars as pl
import pytest

from evaluation import datasets
from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS, ModelName
from evaluation.errors import EvaluationError
from evaluation.experiment import run
from evaluation.splits import RULES, SplitRule
from tests.evaluation import generated

EVENTS = generated.events()
ALIKE = [(f"u{user}", f"i{item}", "views", item * 10, None, None) for user in range(6) for item in range(6)]
WORLDS = {
    "one user": EVENTS.filter(user="canary-00"),
    "two users": EVENTS.filter(pl.col("user").is_in(["canary-00", "canary-01"])),
    "one item": EVENTS.filter(item="item-00"),
    "two items": EVENTS.filter(pl.col("item").is_in(["item-00", "item-01"])),
    "one event": EVENTS.head(1),
    "nothing": EVENTS.clear(),
    "everyone has everything": pl.DataFrame(ALIKE, schema=datasets.SCHEMA, orient="row"),
    "shown, never taken up": EVENTS.with_columns(signal=pl.lit("impressions")),
    "topics alone": EVENTS.with_columns(
        item=pl.lit(None, pl.String), topic=pl.lit("sleep"), signal=pl.lit("searches")
    ),
    "rated as not for me": EVENTS.with_columns(signal=pl.lit("ratings"), value=pl.lit(1.0)),
}


def outcome(world: str, split: str, models: list[ModelName]) -> str | None:
    """What an experiment says when it is refused; None when it gives figures, none of which is NaN."""
    fields: dict[str, Any] = {
        "dataset": {"kind": "given"},
        "split": {"kind": split, "items_per_user": 1, "users_per_item": 1},
        "k": [1, 10],
        "bootstrap_samples": 100,
        "trials": 2,
        "seeds": 1,
        "models": models,
    }
    try:
        found = run(ExperimentConfig.model_validate(fields), given=datasets.Dataset(world, WORLDS[world]))
    except EvaluationError as refused:
        return str(refused)
    assert json.loads(found.to_json())  # which refuses NaN
    undefined = found.scores.filter(pl.col("value").is_null())
    assert undefined["people"].to_list() == [0] * len(undefined)
    return None


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [name for name, each in CONTESTANTS.items() if each.available])
def test_every_model_survives(world: str, name: ModelName) -> None:
    """In the smallest and oddest worlds, every model gives defined figures, or the refusal says why in words."""
    refusal = outcome(world, "per_user", [name])
    assert refusal is None or len(refusal.split()) > 5


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rule", RULES)
def test_every_split_survives(world: str, rule: type[SplitRule]) -> None:
    """In the smallest and oddest worlds, every split gives something to measure, or the refusal says why in words."""
    refusal = outcome(world, rule.model_fields["kind"].default, ["popularity", "ease"])
    assert refusal is None or len(refusal.split()) > 5


def test_what_can_be_measured_is() -> None:
    """One user, two users and a world without a liked rating give figures, and are not refused."""
    for world in ("one user", "two users", "rated as not for me"):
        assert outcome(world, "per_user", ["popularity", "ease", "ials"]) is None
