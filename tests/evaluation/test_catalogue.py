from pathlib import Path

import polars as pl
import pytest

from evaluation.catalogue import resources_of
from evaluation.config import ExperimentConfig
from evaluation.errors import DatasetError
from evaluation.experiment import run
from recommender.exchange import write_csv, write_jsonl
from tests.evaluation import generated
from tests.evaluation.catalogue import resource

SHELF = tuple(
    resource(f"item-{item:02}", "demanding" if item < 4 else "gentle", ("even" if item % 2 == 0 else "odd",))
    for item in range(generated.ITEMS)
)


def written(folder: Path, name: str = "catalogue.jsonl") -> Path:
    """The catalogue as a file."""
    path = folder / name
    write = write_csv if path.suffix == ".csv" else write_jsonl
    path.write_text("".join(line.rstrip("\r\n") + "\n" for line in write(SHELF)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["catalogue.jsonl", "catalogue.csv"])
def test_a_table_may_come_with_its_catalogue(tmp_path: Path, name: str) -> None:
    """Events of a file are told apart by topic, language and kind, and models' lists by what they ask of people."""
    frame = generated.events().select("user", "item", "signal", pl.col("at").alias("time"))
    frame.write_csv(tmp_path / "mine.csv")
    config = {
        "dataset": {"kind": "table", "path": tmp_path / "mine.csv", "catalogue": written(tmp_path, name)},
        "models": ["popularity"],
        "bootstrap_samples": 100,
    }
    found = run(ExperimentConfig.model_validate(config))
    assert {"topic", "signals used"} <= set(found.slices["dimension"])
    assert found.safety is not None
    row = found.safety.exposure.filter(lists="popularity", group="demanding").to_dicts()[0]
    assert row["catalogue_share"] == 4 / generated.ITEMS
    assert row["place_share"] > 0
    assert found.scores.filter(metric="calibration")["value"].null_count() == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no resources"),
        (b"\xff\n", "is no text in UTF-8"),
        (b"{}\n", "line 1, field 'id'"),
        (b"not json\n", "line 1"),
    ],
)
def test_a_wrong_catalogue_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """What cannot be read is told by file, line and field."""
    path = tmp_path / "catalogue.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as refused:
        resources_of(path)
    assert str(path) in str(refused.value)


def test_no_catalogue_there(tmp_path: Path) -> None:
    """A path without a file says so."""
    with pytest.raises(DatasetError, match=r"none.jsonl: No such file"):
        resources_of(tmp_path / "none.jsonl")
