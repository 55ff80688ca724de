from pathlib import Path

import pytest

from api.commands.evaluating import config
from api.commands.running import Failed
from evaluation.config import ConsentValueConfig, ErasureDriftConfig, ExplainingConfig

BESIDE = ("consent_value", "erasure_drift", "explanations")


def written(folder: Path, text: str) -> Path:
    """A configuration as a file."""
    file = folder / "experiment.yaml"
    file.write_text("dataset: {kind: movielens, path: somewhere}\n" + text, encoding="utf-8")
    return file


def test_flags_ask_for_further_measurements(tmp_path: Path) -> None:
    """Each flag asks for its measurement with its defaults; without flags none is asked for."""
    plain = config(tmp_path, None, None, {})
    assert [getattr(plain, name) for name in BESIDE] == [None, None, None]
    asked = config(tmp_path, None, None, {}, BESIDE)
    assert asked.consent_value == ConsentValueConfig()
    assert asked.erasure_drift == ErasureDriftConfig()
    assert asked.explanations == ExplainingConfig()


def test_flags_leave_what_the_file_says(tmp_path: Path) -> None:
    """A measurement that the file describes stays as described when a flag asks for it as well."""
    file = written(tmp_path, "erasure_drift: {shards: 8, shares: [0.3]}\n")
    found = config(None, file, None, {}, ("erasure_drift",)).erasure_drift
    assert found == ErasureDriftConfig(shards=8, shares=(0.3,))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("erasure_drift: {shards: 0}", "erasure_drift.shards"),
        ("erasure_drift: {shares: [0.1, 2]}", "erasure_drift.shares.1"),
        ("erasure_drift: {perople: 3}", "erasure_drift.perople"),
        ("consent_value: {subsets: few}", "consent_value.subsets"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, text: str, field: str) -> None:
    """What is wrong in a file ends the command with the field's name."""
    with pytest.raises(Failed, match=field):
        config(None, written(tmp_path, text), None, {})


def test_an_unknown_field_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A field that there is not is named with the one that it stands in."""
    with pytest.raises(Failed):
        config(None, written(tmp_path, "split: {kind: global, tset_share: 0.1}\n"), None, {})
    assert "split.global.tset_share: there is no such field" in capsys.readouterr().err


def test_a_line_that_is_no_yaml_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read as YAML ends the command with file and line."""
    with pytest.raises(Failed):
        config(None, written(tmp_path, "trials: [3\nseeds: 2\n"), None, {})
    assert "experiment.yaml, line 3: is not YAML" in capsys.readouterr().err


def test_a_file_may_leave_the_events_to_the_command(tmp_path: Path) -> None:
    """What differs from the defaults can be said of an app's events, and of a path on the command line."""
    file = tmp_path / "experiment.yaml"
    file.write_text("trials: 3\n", encoding="utf-8")
    asked = config(None, file, None, {}, app=True)
    assert (asked.dataset.kind, asked.trials) == ("given", 3)
    assert config(tmp_path, file, None, {}).dataset.kind == "movielens"


def test_events_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Events named twice, or nowhere, end the command in words."""
    with pytest.raises(Failed):
        config(None, written(tmp_path, ""), None, {}, app=True)
    assert "dataset: names one, and so does the command" in capsys.readouterr().err
    with pytest.raises(Failed):
        config(None, None, None, {})
    assert "say what to evaluate on" in capsys.readouterr().err
