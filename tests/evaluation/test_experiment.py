import json
import math
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from evaluation import datasets
from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS
from evaluation.errors import DatasetError, EmptySplitError
from evaluation.experiment import Result, run
from evaluation.splits import SplitConfig, split
from tests.evaluation import generated

CONFIG = ExperimentConfig.model_validate(
    {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
        "k": [5, 10],
        "bootstrap_samples": 400,
    }
)
WORLD = datasets.Dataset("a generated world", generated.events())


@pytest.fixture(scope="module")
def result() -> Result:
    """The outcome of the full experiment in the generated world."""
    return run(CONFIG, given=WORLD)


class TestRun:
    def test_measures_every_model_by_every_metric(self, result: Result) -> None:
        """There is a row for each model, metric and cut-off, with the value inside its interval."""
        assert len(result.scores) == len(CONTESTANTS) * 3 * 2
        assert result.scores.filter(
            ~((pl.col("low") <= pl.col("value")) & (pl.col("value") <= pl.col("high")))
        ).is_empty()
        assert result.scores.null_count().sum_horizontal().item() == 0

    def test_finds_what_was_put_in(self, result: Result) -> None:
        """In a world of two tastes, personal models are better than popularity, and the interval says so."""
        row = result.differences.filter(model="popularity", metric="ndcg", k=10).to_dicts()[0]
        assert row["verdict"] == "better"
        values = dict(result.scores.filter(metric="ndcg", k=10).select("model", "value").rows())
        assert min(values["ours"], values["ease"], values["lightfm_identities"]) > 1.3 * values["popularity"]

    def test_differences_are_ours_minus_theirs(self, result: Result) -> None:
        """A difference is the difference of the two scores that are shown."""
        values = {(row["model"], row["metric"], row["k"]): row["value"] for row in result.scores.to_dicts()}
        assert len(result.differences) == (len(CONTESTANTS) - 1) * 6
        for row in result.differences.to_dicts():
            gap = values["ours", row["metric"], row["k"]] - values[row["model"], row["metric"], row["k"]]
            assert row["difference"] == pytest.approx(gap)

    def test_is_reproducible(self, result: Result) -> None:
        """The same configuration on the same events gives the same figures, and the same choices."""
        again = run(CONFIG, given=WORLD)
        assert again.scores.equals(result.scores)
        assert again.differences.equals(result.differences)
        assert again.models["choice"].equals(result.models["choice"])

    def test_tells_progress(self) -> None:
        """Each step is told with its number, and the last says that all is done."""
        told: list[tuple[str, int, int]] = []
        run(
            CONFIG.model_copy(update={"models": ("popularity", "ease")}),
            lambda *step: told.append(step),
            given=WORLD,
        )
        assert [done for _, done, _ in told] == list(range(len(told)))
        assert told[-1] == ("done", len(told) - 1, len(told) - 1)
        assert {steps for _, _, steps in told} == {len(told) - 1}

    def test_choices_do_not_see_the_test(self) -> None:
        """With other items in the test part, the figures change, and everything that was chosen stays."""
        loose = CONFIG.model_copy(update={"split": SplitConfig(items_per_user=1, users_per_item=1)})
        parts = split(WORLD.events, loose.split)
        catalogue = sorted(WORLD.events["item"].unique())
        rows = []
        for user, tested in parts.test.group_by("user", maintain_order=True):
            had = set(parts.train.filter(user=user[0])["item"])
            free = [item for item in catalogue if item not in had and item not in set(tested["item"])]
            rows.append(tested.with_columns(item=pl.Series(free[: len(tested)])))
        changed = datasets.Dataset("changed", pl.concat([parts.train, *rows]).sort("at", "user", "item"))
        assert (
            split(changed.events, loose.split).train.sort("at", "user").equals(parts.train.sort("at", "user"))
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

    def test_without_ours_there_are_no_differences(self) -> None:
        """Baselines alone can be run; there is then nothing to compare them with."""
        found = run(CONFIG.model_copy(update={"models": ("popularity", "recent_popularity")}), given=WORLD)
        assert found.differences.is_empty()
        assert found.models["choice"][1].startswith("half-life ")


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
        given = datasets.consented(pl.concat([frame, searches.select(frame.columns)]))
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
        assert all(math.isfinite(x) for x in found.scores.select("value", "low", "high").to_numpy().ravel())

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
            ({"split": {"kind": "random"}}, "split.kind"),
            ({"split": {"test_share": 1.0}}, "split.test_share"),
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
        assert made == [SplitConfig(kind="global", users_per_item=2), SplitConfig(kind="per_user")]
