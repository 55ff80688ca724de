import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from evaluation import datasets, report
from evaluation.comparison import COLUMNS, Report, compare
from evaluation.config import ExperimentConfig
from evaluation.errors import ComparisonError
from evaluation.experiment import Result, run
from evaluation.report import terminal
from tests.evaluation import generated

FIELDS = {
    "dataset": {"kind": "given"},
    "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
    "models": ["ease", "item_knn", "random"],
    "bootstrap_samples": 300,
    "seeds": 1,
}


def made(**fields: object) -> Result:
    """A result of the generated world."""
    config = ExperimentConfig.model_validate({**FIELDS, "trials": 0, **fields})
    return run(config, given=datasets.Dataset("world", generated.events()))


@pytest.fixture(scope="module")
def first() -> Result:
    """A result by the usual settings."""
    return made()


@pytest.fixture(scope="module")
def second() -> Result:
    """The same with settings chosen, and with other random lists."""
    return made(trials=8, seed=3)


def saved(result: Result, folder: Path) -> Report:
    """Write a report and read it back."""
    report.write(result, folder)
    return Report.read(folder)


def test_compares_every_figure(first: Result, second: Result, tmp_path: Path) -> None:
    """B minus A for each model, metric and cut-off that both have, with the fields that changed."""
    found = compare(saved(first, tmp_path / "a"), saved(second, tmp_path / "b"))
    assert dict(found.frame.schema) == COLUMNS
    assert len(found.frame) == len(first.scores)
    row = found.frame.row(by_predicate=(pl.col("model") == "ease") & (pl.col("metric") == "ndcg"), named=True)
    assert row["difference"] == pytest.approx(row["b"] - row["a"])
    assert row["low"] <= row["difference"] <= row["high"]
    assert ("trials", 0, 8) in found.changed
    assert ("seed", 0, 3) in found.changed


def test_the_same_test_is_paired(first: Result, tmp_path: Path) -> None:
    """A report compared with itself differs by exactly nothing, person by person."""
    own = saved(first, tmp_path)
    frame = compare(own, own).frame.filter(pl.col("difference").is_not_null())
    assert (frame["difference"] == 0).all()
    paired = frame.filter("paired")
    assert {"ndcg", "recall", "novelty"} <= set(paired["metric"])
    assert (paired["low"] == 0).all()
    assert (paired["p_holm"] == 1).all()
    assert set(frame["verdict"]) == {"no clear difference"}


def test_other_tests_are_combined_as_independent(first: Result, tmp_path: Path) -> None:
    """Measured on other people, the intervals are combined, and the notes say that figures may differ for that alone."""
    elsewhere = replace(first, facts={**first.facts, "test_digest": "another"})
    found = compare(saved(first, tmp_path / "a"), saved(elsewhere, tmp_path / "b"))
    assert not found.frame["paired"].any()
    assert "different people or events" in found.notes[0]
    row = found.frame.row(by_predicate=(pl.col("model") == "ease") & (pl.col("metric") == "ndcg"), named=True)
    own = first.scores.row(
        by_predicate=(pl.col("model") == "ease") & (pl.col("metric") == "ndcg"), named=True
    )
    assert row["high"] - row["low"] == pytest.approx((own["high"] - own["low"]) * 2**0.5)


def test_without_people_it_is_not_paired(first: Result, tmp_path: Path) -> None:
    """Where the people's values were not kept, the notes say so."""
    own = saved(first, tmp_path)
    (tmp_path / "people.parquet").unlink()
    found = compare(Report.read(tmp_path), own)
    assert "no people.parquet" in found.notes[0]


def test_people_s_own_data_are_not_written(first: Result, tmp_path: Path) -> None:
    """Of what people granted for `measure`, the report keeps figures and no person's values."""
    report.write(replace(first, facts={**first.facts, "personal": True}), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"report.html", "report.json"}


def test_undefined_figures_stay_so(first: Result, tmp_path: Path) -> None:
    """A metric that is not defined has no difference, and the verdict says so."""
    own = saved(first, tmp_path)
    rows = compare(own, own).frame.filter(metric="calibration")
    assert set(rows["verdict"]) == {"not defined"}
    assert rows["difference"].null_count() == len(rows)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"scores": 3, "config": {}, "facts": {}}'])
def test_what_is_no_report_is_named(tmp_path: Path, content: str) -> None:
    """A file that is no report is refused by its name."""
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ComparisonError, match=r"report\.json: is no report"):
        Report.read(tmp_path)


def test_nothing_in_common(first: Result, tmp_path: Path) -> None:
    """Reports without a figure in common cannot be compared, and the message says so."""
    a = saved(first, tmp_path / "a")
    content = json.loads((tmp_path / "a" / "report.json").read_text("utf-8"))
    content["scores"] = [row for row in content["scores"] if row["model"] == "ease"]
    (tmp_path / "b.json").write_text(json.dumps(content))
    alone = Report.read(tmp_path / "b.json")
    without = replace(a, scores=a.scores.filter(pl.col("model") != "ease"))
    with pytest.raises(ComparisonError, match="have no model, metric and cut-off in common"):
        compare(without, alone)


def test_the_table_for_a_terminal(first: Result, second: Result, tmp_path: Path) -> None:
    """Every model's headline metrics are shown on 80 columns."""
    found = compare(saved(first, tmp_path / "a"), saved(second, tmp_path / "b"))
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal.changes(found))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    for title in ("EASE", "Item-kNN", "Random", "NDCG@10", "Coverage@10"):
        assert title in text
