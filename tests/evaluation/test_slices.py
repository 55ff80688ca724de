from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evaluation import datasets, report
from evaluation.config import ExperimentConfig
from evaluation.experiment import prepare, run
from evaluation.report.panels import panels
from evaluation.result import Result
from evaluation.slices import GRANTED, SLICES, TOO_FEW, USED, sharing, sliced, slices_of, traits, worst
from tests.evaluation import generated

CONFIG = ExperimentConfig.model_validate(
    {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
        "models": ["random", "popularity", "ease"],
        "metrics": ["ndcg", "novelty", "coverage"],
        "bootstrap_samples": 200,
        "trials": 0,
        "seeds": 1,
    }
)
ITEMS = [f"item-{item:02}" for item in range(generated.ITEMS)]
WORLD = replace(
    datasets.Dataset("a generated world", generated.events()),
    item_topics={item: ("even" if place % 2 == 0 else "odd",) for place, item in enumerate(ITEMS)},
    item_traits={"language": {item: "nl" if place < 30 else "en" for place, item in enumerate(ITEMS)}},
)


@pytest.fixture(scope="module")
def result() -> Result:
    """A small result."""
    return run(CONFIG, given=WORLD)


def people(count: int = 200) -> pl.DataFrame:
    """People half of whom share one signal and half two; one in twenty is rare."""
    number = np.arange(count)
    return pl.DataFrame(
        {
            "events": number,
            "shared": 1 + number % 2,
            "history": np.where(number % 20 == 0, "rare", "usual"),
            "alike": ["all"] * count,
        }
    )


def test_slices_divide_the_people() -> None:
    """In every dimension each measured person is in exactly one slice, also where rare values are put together."""
    prepared = prepare(CONFIG, WORLD)
    found = traits(prepared.folds, WORLD)
    many = found.with_columns(many=pl.int_range(pl.len()).cast(pl.String))
    parts = slices_of(many)
    assert {"topic", "language", "many"} <= set(parts)
    assert len(found) == len(prepared.folds[0].exam.people)
    for by_name in parts.values():
        assert (np.sum(list(by_name.values()), axis=0) == 1).all()


def test_slices_are_what_people_have() -> None:
    """A person's topic is that of most of what they took up in the test; who shares a signal has an event of it."""
    prepared = prepare(CONFIG, WORLD)
    found, exam = traits(prepared.folds, WORLD), prepared.folds[0].exam
    for row, person in zip(found.to_dicts(), exam.people, strict=True):
        user = exam.known.users[person]
        events = exam.known.events.filter(user=user)
        assert row["events"] == len(events)
        assert row["shared"] == events["signal"].n_unique()
        assert (row["uses saves"] == "yes") == ("saves" in set(events["signal"]))
        wanted = exam.wanted[[person]].indices
        odd = int((wanted % 2).sum())
        assert row["topic"] == ("odd" if 2 * odd > len(wanted) else "even")


def test_a_small_slice_has_no_figures() -> None:
    """A slice below the smallest size says too few and has no value; others have a value inside its interval."""
    values = np.linspace(0, 1, 200)
    own = {model: {("ndcg", 10): values * scale} for model, scale in (("ease", 1.0), ("random", 0.5))}
    config = CONFIG.model_copy(update={"models": ("ease", "random"), "reference": "ease"})
    found = sliced(config, people(), own)  # type: ignore[arg-type]  # names of models and metrics, not inferred as such
    assert found.schema == pl.Schema(SLICES)
    rare, usual = (found.filter(slice=name) for name in ("rare", "usual"))
    assert rare["verdict"].to_list() == [TOO_FEW] * 2
    assert rare["value"].null_count() == 2
    assert (usual["low"] < usual["value"]).all()
    assert (usual["value"] < usual["high"]).all()
    assert usual.filter(model="random")["verdict"].item() == "better"
    assert "alike" not in set(found["dimension"])


def test_the_worst_slice_is_found() -> None:
    """Where a group was given lower values it is named, and its difference from the rest is found."""
    random = np.random.default_rng(1)
    found = people().with_columns(
        planted=pl.when(pl.col("events") < 60).then(pl.lit("low")).otherwise(pl.lit("high"))
    )
    values = random.normal(0.6, 0.1, 200) - 0.3 * (found["planted"] == "low").to_numpy()
    config = CONFIG.model_copy(update={"models": ("ease",)})
    row = worst(config, found, {"ease": {("ndcg", 10): values}}).to_dicts()[0]
    assert (row["dimension"], row["slice"], row["people"], row["verdict"]) == ("planted", "low", 60, "worse")
    assert row["low"] < -0.3 < row["high"]


def test_no_difference_between_people_who_share_alike_is_made_up() -> None:
    """Of 200 random worlds, intervals at 95 % exclude zero in about one in twenty; a planted difference is found."""
    config = CONFIG.model_copy(update={"models": ("ease",)})
    values = [np.random.default_rng(seed).random(200) for seed in range(200)]
    found = [sharing(config, people(), {"ease": {("ndcg", 10): own}}).filter(by=USED) for own in values]
    wrong = sum(frame["verdict"].item() != "no clear difference" for frame in found)
    assert 2 <= wrong <= 22
    more = people()["shared"].to_numpy() - 1
    row = sharing(config, people(), {"ease": {("ndcg", 10): values[0] + 0.3 * more}}).filter(by=USED)
    assert row["verdict"].item() == "better"
    assert row["difference"].item() == pytest.approx(
        (values[0] + 0.3)[more == 1].mean() - values[0][more == 0].mean()
    )


def test_an_experiment_says_for_whom(result: Result) -> None:
    """The result has slices, their people add up, and the page and the terminal show them."""
    first = result.slices.filter(model="ease", metric="ndcg", k=10)
    assert (first.group_by("dimension").agg(pl.col("people").sum())["people"] == len(result.people)).all()
    assert set(result.slices["metric"]) == {"ndcg", "novelty"}
    shown = panels(result)
    assert "Worst slice of" in shown[0].about[0]
    text = report.html(result)
    assert all(panel.title in text for panel in shown)
    assert "canary" not in text


def test_what_was_granted_counts_and_not_what_was_used() -> None:
    """Where it is known what people granted, they are told apart by that: a signal granted and never used counts."""
    users = generated.events()["user"].unique().sort().to_list()
    grants = {
        user: frozenset({"views", "saves", "completions", *(("check_ins",) if place % 3 == 0 else ())})
        for place, user in enumerate(users)
    }
    granting = replace(WORLD, grants=grants)
    prepared = prepare(CONFIG, granting)
    found, exam = traits(prepared.folds, granting), prepared.folds[0].exam
    own = [grants[exam.known.users[person]] for person in exam.people]
    assert found["shared"].to_list() == [len(each) for each in own]
    assert found[GRANTED].to_list() == [str(len(each)) for each in own]
    assert found["grants check_ins"].to_list() == ["yes" if "check_ins" in each else "no" for each in own]
    assert not [name for name in found.columns if name == USED or name.startswith("uses ")]
    result = run(CONFIG, given=granting)
    sizes = result.sharing.filter(by=GRANTED, model="ease", metric="ndcg")
    assert sizes.select("people_less", "people_more").rows() == [(40, 20)]
    assert result.facts["people_granting"] == {
        "check_ins": 20,
        "completions": 60,
        "saves": 60,
        "views": 60,
    }
    text = report.html(result)
    assert "a person granted it for measuring" in text
    assert "who granted more signals" in text


def test_files_say_that_use_is_counted(result: Result) -> None:
    """Where it is not known what was granted, the report says that signals used are counted."""
    assert result.facts["people_granting"] is None
    text = report.html(result)
    assert "do not say what was granted and never used" in text
    assert set(result.sharing["by"]) <= {"events", USED}
    assert "signals used" in set(result.slices["dimension"])
