import json
import math
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from evaluation import datasets
from evaluation.config import ExperimentConfig
from evaluation.consented import consented
from evaluation.errors import DatasetError, EmptySplitError
from evaluation.experiment import Result, evaluate, run
from evaluation.metrics import METRICS
from evaluation.splits import GlobalTime, PerUserTime, UserFolds
from tests.evaluation import generated

CONFIG = ExperimentConfig.model_validate(
    {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
        "k": [5, 10],
        "bootstrap_samples": 400,
        "trials": 3,
        "seeds": 2,
    }
)
WORLD = datasets.Dataset("a generated world", generated.events())


@pytest.fixture(scope="module")
def result() -> Result:
    """The outcome of the full experiment in the generated world."""
    return run(CONFIG, given=WORLD)


class TestRun:
    def test_measures_every_model_by_every_metric(self, result: Result) -> None:
        """There is a row for each model, metric and cut-off, with the value inside its interval, or with none at all."""
        assert len(result.scores) == len(result.config.models) * len(METRICS) * 2
        defined = result.scores.filter(pl.col("metric") != "calibration")
        outside = ~((pl.col("low") <= pl.col("value")) & (pl.col("value") <= pl.col("high")))
        assert defined.filter(outside).is_empty()
        assert defined.null_count().sum_horizontal().item() == 0

    def test_says_what_is_not_defined(self, result: Result) -> None:
        """Where no item has a topic, calibration is null and the notes say why; no figure is NaN."""
        without = result.scores.filter(metric="calibration")
        assert without["value"].null_count() == len(without)
        assert "Miscalibration is not defined: no item has a topic." in result.notes
        assert not any(result.scores.select(pl.col("value", "low", "high").is_nan().any()).row(0))

    def test_finds_what_was_put_in(self, result: Result) -> None:
        """In a world of two tastes, personal models are better than popularity, and the interval says so."""
        row = result.differences.filter(model="popularity", metric="ndcg", k=10).to_dicts()[0]
        assert row["verdict"] == "better"
        values = dict(result.scores.filter(metric="ndcg", k=10).select("model", "value").rows())
        assert min(values["ours"], values["ease"], values["bpr"]) > 1.3 * values["popularity"]

    def test_differences_are_ours_minus_theirs(self, result: Result) -> None:
        """A difference is the difference of the two scores that are shown."""
        values = {(row["model"], row["metric"], row["k"]): row["value"] for row in result.scores.to_dicts()}
        assert len(result.differences) == (len(result.config.models) - 1) * (len(METRICS) - 1) * 2
        for row in result.differences.to_dicts():
            gap = values["ours", row["metric"], row["k"]] - values[row["model"], row["metric"], row["k"]]
            assert row["difference"] == pytest.approx(gap)

    def test_is_reproducible(self, result: Result) -> None:
        """The same configuration on the same events gives the same figures, and the same choices."""
        again = run(CONFIG, given=WORLD)
        assert again.scores.equals(result.scores)
        assert again.differences.equals(result.differences)
        assert again.models["choice"].equals(result.models["choice"])

    def test_tests_stand_beside_the_differences(self, result: Result) -> None:
        """Effects and p values are there for metrics that people have values of, corrected upwards, and null for others."""
        rows = result.differences.filter(pl.col("metric").is_in(["coverage", "gini", "popularity_lift"]))
        assert rows["p_permutation"].null_count() == len(rows) > 0
        tested = result.differences.filter(metric="ndcg", k=10)
        assert (tested["p_holm"] >= tested["p_permutation"]).all()
        assert tested["p_wilcoxon"].is_between(0, 1).all()
        assert tested.filter(model="popularity")["effect"].item() > 0.5

    def test_seed_noise_is_reported(self, result: Result) -> None:
        """Models that depend on chance have a spread over seeds, others have none."""
        spread = dict(result.scores.filter(metric="ndcg", k=10).select("model", "seed_sd").rows())
        assert spread["random"] > 0
        assert spread["bpr"] > 0
        assert spread["ease"] == 0
        gaps = dict(result.differences.filter(metric="ndcg", k=10).select("model", "seed_sd").rows())
        assert gaps["popularity"] == pytest.approx(spread["ours"])

    def test_one_seed_says_nothing_of_noise(self) -> None:
        """Fitted once, the spread over seeds is null rather than 0."""
        found = run(CONFIG.model_copy(update={"models": ("random", "ease"), "seeds": 1}), given=WORLD)
        spread = dict(found.scores.filter(metric="ndcg", k=10).select("model", "seed_sd").rows())
        assert spread == {"random": None, "ease": 0.0}

    def test_every_person_has_values(self, result: Result) -> None:
        """By person, metric and model the values average to the scores; people are numbers with what they bring."""
        frame = result.per_person("ndcg", 10)
        assert frame["person"].to_list() == list(range(len(frame)))
        assert (frame["known"] > 0).all()
        assert (frame["wanted"] > 0).all()
        for row in result.scores.filter(metric="ndcg", k=10).to_dicts():
            assert frame[row["model"]].mean() == pytest.approx(row["value"])
        with pytest.raises(KeyError, match="people have no values of their own"):
            result.per_person("coverage", 10)
        assert result.per_person("calibration", 10)["ease"].null_count() == len(frame)

    def test_any_model_can_be_the_reference(self, result: Result) -> None:
        """Turned around, a difference is its own opposite."""
        turned = result.against("ease").filter(model="ours", metric="ndcg", k=10).row(0, named=True)
        straight = result.differences.filter(model="ease", metric="ndcg", k=10).row(0, named=True)
        assert turned["difference"] == pytest.approx(-straight["difference"])
        assert turned["low"] == pytest.approx(-straight["high"], abs=1e-3)

    def test_tells_progress(self) -> None:
        """Each step is told with its number, and the last says that all is done."""
        told: list[tuple[str, int, int]] = []
        run(
            CONFIG.model_copy(update={"models": ("popularity", "ease", "bpr")}),
            lambda *step: told.append(step),
            given=WORLD,
        )
        assert [done for _, done, _ in told] == list(range(len(told)))
        assert told[-1] == ("done", len(told) - 1, len(told) - 1)
        assert {steps for _, _, steps in told} == {len(told) - 1}

    def test_folds_measure_everyone_once(self) -> None:
        """With folds over people, each is measured by models that were chosen and fitted without them."""
        config = CONFIG.model_copy(
            update={"split": UserFolds(k=3, items_per_user=2, users_per_item=2), "models": ("ease", "ours")}
        )
        found = run(config, given=WORLD)
        assert found.facts["users_measured"] == generated.USERS
        assert found.people["fold"].unique().sort().to_list() == [0, 1, 2]
        assert found.models.filter(model="ease")["trials"].item() == 3 * 3
        assert found.scores.filter(model="ours", metric="ndcg", k=10)["value"].item() > 0.4

    def test_choices_do_not_see_the_test(self) -> None:
        """With other items in the test part, the figures change, and everything that was chosen stays."""
        loose = CONFIG.model_copy(update={"split": PerUserTime(items_per_user=1, users_per_item=1)})
        parts = next(loose.split.folds(WORLD.events))
        catalogue = sorted(WORLD.events["item"].unique())
        rows = []
        for user, tested in parts.test.group_by("user", maintain_order=True):
            had = set(parts.train.filter(user=user[0])["item"])
            free = [item for item in catalogue if item not in had and item not in set(tested["item"])]
            rows.append(tested.with_columns(item=pl.Series(free[: len(tested)])))
        changed = datasets.Dataset("changed", pl.concat([parts.train, *rows]).sort("at", "user", "item"))
        assert (
            next(loose.split.folds(changed.events))
            .train.sort("at", "user")
            .equals(parts.train.sort("at", "user"))
        )
        before, after = run(loose, given=WORLD), run(loose, given=changed)
        assert after.models["choice"].equals(before.models["choice"])
        assert not after.scores.equals(before.scores)

    def test_json_holds_the_frames_and_no_person(self, result: Result) -> None:
        """The JSON reads back to the same figures and names no user."""
        text = result.to_json()
        content = json.loads(text)
        assert pl.DataFrame(content["scores"]).equals(result.scores)
        assert content["config"]["seed"] == 0
        assert "canary" not in text

    def test_without_ours_the_first_is_the_reference(self) -> None:
        """Baselines alone can be run; the others are then compared with the first of them."""
        found = run(CONFIG.model_copy(update={"models": ("popularity", "recent_popularity")}), given=WORLD)
        assert set(found.differences["reference"]) == {"popularity"}
        shipped = CONFIG.model_copy(update={"models": ("popularity", "ours_shipped")})
        assert shipped.compared_with == "ours_shipped"
        assert found.models["choice"][1].startswith("half life days ")


class TestSources:
    def test_a_table(self, tmp_path: Path) -> None:
        """A file with the columns of a table goes through from path to figures."""
        frame = generated.events().select("user", "item", pl.col("at").alias("time"))
        frame.write_csv(tmp_path / "mine.csv")
        config = {
            "dataset": {"kind": "table", "path": tmp_path / "mine.csv"},
            "models": ["popularity", "ours"],
        }
        found = run(ExperimentConfig.model_validate(config))
        assert (found.facts["dataset"], found.facts["events"]) == ("mine", len(frame))
        assert found.config.split.kind == "global"

    def test_too_little_is_told_of_the_file(self, tmp_path: Path) -> None:
        """Where a file's events cannot be divided, the message names the file."""
        path = tmp_path / "one.csv"
        path.write_text("user,item,time\n" + "".join(f"u{user},i,{user}\n" for user in range(9)), "utf-8")
        config = ExperimentConfig.model_validate({"dataset": {"kind": "table", "path": path}})
        with pytest.raises(EmptySplitError, match=r"one\.csv: no event is left"):
            run(config)

    def test_consented_events(self) -> None:
        """What the store hands over goes through, topics and all, and no pseudonym comes out."""
        events = generated.events()
        frame = events.select(
            pseudonym=pl.col("user").cast(pl.Binary), signal="signal", resource_id="item", topic="topic", value="value",
            occurred_at="at",
        )  # fmt: skip
        searches = (
            frame.group_by("pseudonym", maintain_order=True)
            .first()
            .with_columns(
                signal=pl.lit("searches"), resource_id=pl.lit(None, pl.String), topic=pl.lit("sleep")
            )
        )
        given = consented(pl.concat([frame, searches.select(frame.columns)]))
        config = ExperimentConfig.model_validate(
            {"dataset": {"kind": "given"}, "models": ["popularity", "ours"]}
        )
        found = run(config, given=given)
        assert found.facts["signals"]["searches"] == generated.USERS
        assert b"canary".hex() not in found.to_json()

    def test_given_needs_events(self) -> None:
        """A configuration that says `given` without any is refused."""
        with pytest.raises(DatasetError, match="no events were handed over"):
            run(CONFIG)


class TestEdges:
    def world(self, users: int, items: int) -> datasets.Dataset:
        kept = pl.col("user").is_in([f"canary-{user:02}" for user in range(users)])
        kept &= pl.col("item").is_in([f"item-{item:02}" for item in range(items)])
        return datasets.Dataset("little", generated.events().filter(kept))

    def config(self, **changes: object) -> ExperimentConfig:
        loose = {"kind": "per_user", "items_per_user": 1, "users_per_item": 1}
        return ExperimentConfig.model_validate(
            {"dataset": {"kind": "given"}, "split": loose, "bootstrap_samples": 100, **changes}
        )

    def test_one_user(self) -> None:
        """One person can be measured; the interval then has no width, and no figure is undefined."""
        found = run(self.config(models=["popularity", "ease"]), given=self.world(1, 40))
        assert found.facts["users_measured"] == 1
        figures = found.scores.filter(pl.col("metric") != "calibration").select("value", "low", "high")
        assert all(math.isfinite(x) for x in figures.to_numpy().ravel())

    def test_one_item(self) -> None:
        """With one item there is nothing to find, and the message says which part is empty."""
        with pytest.raises(EmptySplitError, match="the test part of the split has no events"):
            run(self.config(), given=self.world(60, 1))

    def test_nobody_has_a_past(self) -> None:
        """Where only newcomers come after the cut, nobody can be measured, and the message says so."""
        rows = [(f"u{n}", f"i{n}", "views", n, None, None) for n in range(20)]
        given = datasets.Dataset("newcomers", pl.DataFrame(rows, schema=datasets.SCHEMA, orient="row"))
        split_ = {"kind": "global", "items_per_user": 1, "users_per_item": 1}
        with pytest.raises(EmptySplitError, match="nobody can be measured"):
            run(self.config(split=split_), given=given)

    def test_too_little_for_ours(self) -> None:
        """Where nobody took up two things, the message says that ours cannot be trained."""
        rows = [(f"u{n}", f"i{m}", "views", m, None, None) for n in range(5) for m in range(3)]
        given = datasets.Dataset("tiny", pl.DataFrame(rows, schema=datasets.SCHEMA, orient="row"))
        with pytest.raises(EmptySplitError):
            run(
                self.config(
                    models=["ours"],
                    split={"kind": "per_user", "test_share": 0.6, "items_per_user": 1, "users_per_item": 1},
                ),
                given=given,
            )


class TestConfig:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"bootstraps": 5}, "bootstraps"),
            ({"models": ["magic"]}, "models.0"),
            ({"models": ["ease", "ease"]}, "models"),
            ({"k": [0]}, "k.0"),
            ({"k": []}, "k"),
            ({"split": {"kind": "magic"}}, "split"),
            ({"split": {"test_share": 0.5}}, "split"),
            ({"split": {"kind": "global", "test_share": 1.0}}, "split.global.test_share"),
            ({"split": {"kind": "leave_last", "test_share": 0.5}}, "split.leave_last.test_share"),
            ({"trials": -1}, "trials"),
            ({"models": ["ease"], "reference": "ours"}, "reference"),
            ({"dataset": {"kind": "table"}}, "dataset.table.path"),
            ({"training": {"epoch": 3}}, "training.epoch"),
        ],
    )
    def test_names_the_wrong_field(self, change: dict[str, object], field: str) -> None:
        """An unknown or wrong field is refused by its name."""
        with pytest.raises(ValidationError) as caught:
            ExperimentConfig.model_validate({"dataset": {"kind": "given"}, **change})
        assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [field]

    def test_published_splits_are_the_default(self) -> None:
        """Without a split, Deskdrop is cut globally with a 2-core of items, MovieLens per user with a 5-core."""
        made = [
            ExperimentConfig.model_validate({"dataset": {"kind": kind, "path": "x"}}).split
            for kind in ("deskdrop", "movielens")
        ]
        assert made == [GlobalTime(users_per_item=2), PerUserTime()]


def test_three_lines_evaluate_a_frame() -> None:
    """A frame of user, item, time and signal is enough, and frames come back; fields of the configuration may be given."""
    events = generated.events().select("user", "item", "signal", time="at")
    result = evaluate(events, models=["popularity", "ease"], trials=0, bootstrap_samples=100)
    assert isinstance(result.scores, pl.DataFrame)
    assert result.scores["model"].unique().sort().to_list() == ["ease", "popularity"]


def test_a_frame_that_is_wrong_is_named() -> None:
    """An empty id is told by column and row."""
    events = pl.DataFrame({"user": ["a", None], "item": ["x", "y"], "time": [1, 2]})
    with pytest.raises(DatasetError, match=r"column 'user', row 2: is empty, and should be an id"):
        evaluate(events)
