import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from evaluation import datasets
from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS, Setting
from evaluation.datasets import SCHEMA
from evaluation.errors import ScoreError
from evaluation.experiment import run
from evaluation.interactions import Interactions

HERE = CONTESTANTS["sasrec"].available
needs_torch = pytest.mark.skipif(not HERE, reason="torch is not installed: pip install 'assent[sasrec]'")
ASKED = {"dataset": {"kind": "given"}, "models": ["sasrec", "popularity"], "trials": 2, "seeds": 1}
ROUND, EACH = 12, 9


def in_turn(users: int = 40) -> pl.DataFrame:
    """People who take up items of a ring one after the other, each from another place on."""
    rows = [
        (f"p{user:02}", f"i{(user + place) % ROUND:02}", "views", place * 1_000 + user, None, None)
        for user in range(users)
        for place in range(EACH)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("at", "user")


def interactions(events: pl.DataFrame) -> Interactions:
    """With all users and items numbered."""
    return Interactions.of(
        events, tuple(sorted(events["user"].unique())), tuple(sorted(events["item"].unique()))
    )


@needs_torch
def test_learns_what_comes_next() -> None:
    """Where items follow one another in a ring, the next one is first in the list; the order of events alone tells it."""
    train = interactions(in_turn())
    settings = {**CONTESTANTS["sasrec"].usual, "components": 32, "epochs": 30, "learning_rate": 5e-3}
    model = CONTESTANTS["sasrec"].make(Setting(), settings, 0).fit(train)
    first = model.scores(train, np.arange(40)).argmax(axis=1)
    assert (first == (np.arange(40) + EACH) % ROUND).mean() > 0.9


@needs_torch
def test_no_past_scores_all_alike() -> None:
    """Whoever has taken up nothing gets the same score for every item."""
    train = interactions(in_turn(10))
    silent = pl.DataFrame([("zz", "i00", "impressions", 1, None, None)], schema=SCHEMA, orient="row")
    known = interactions(pl.concat([train.events, silent]))
    settings = {**CONTESTANTS["sasrec"].usual, "epochs": 1}
    scores = CONTESTANTS["sasrec"].make(Setting(), settings, 0).fit(train).scores(known, np.array([10, 0]))
    assert np.unique(scores[0]).size == 1
    assert np.unique(scores[1]).size == ROUND


@needs_torch
def test_what_diverges_says_so() -> None:
    """A learning rate that makes the numbers overflow is a score error that names the model."""
    settings = {**CONTESTANTS["sasrec"].usual, "learning_rate": 1e30, "epochs": 20}
    with pytest.raises(ScoreError, match="SASRec: "):
        CONTESTANTS["sasrec"].make(Setting(), settings, 0).fit(interactions(in_turn(10)))


@needs_torch
def test_leaves_the_random_numbers_of_others_alone() -> None:
    """Training takes nothing from torch's own random numbers, nor changes how many threads it has."""
    import torch  # noqa: PLC0415  an extra

    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    settings = {**CONTESTANTS["sasrec"].usual, "epochs": 1}
    CONTESTANTS["sasrec"].make(Setting(), settings, 0).fit(interactions(in_turn(10)))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@needs_torch
def test_takes_part_with_the_same_budget() -> None:
    """It is chosen on validation with as many trials as others, and measured beside them."""
    asked = ASKED | {"split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 1}}
    found = run(ExperimentConfig.model_validate(asked), given=datasets.Dataset("a ring", in_turn()))
    assert found.models.filter(model="sasrec")["trials"].item() == 2


@pytest.mark.skipif(HERE, reason="torch is installed")
def test_asked_for_without_torch() -> None:
    """Where torch is not there it is refused with what to install, and not among the models when none are named."""
    with pytest.raises(ValidationError, match=r"sasrec needs torch: pip install 'assent\[sasrec\]'"):
        ExperimentConfig.model_validate(ASKED)
    assert "sasrec" not in ExperimentConfig.model_validate({"dataset": {"kind": "given"}}).models


def test_torch_is_not_imported_unless_asked() -> None:
    """Evaluating other models never imports torch."""
    code = "import sys, evaluation.experiment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
