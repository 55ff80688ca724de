"""`assent tune`, as it is typed: the best settings come out in the form in which the service takes them."""

import re
import shlex
from pathlib import Path

import pytest

from api import administration
from api.service import Service
from api.settings import SettingsError, load
from recommender.exchange import shipped
from recommender.release import TrainingConfig
from tests.api import community
from tests.api.test_cli import Shell, said
from tests.conftest import APP
from tests.evaluation import generated

SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """`assent` on an empty folder."""
    return Shell(tmp_path)


@pytest.fixture
def events(tmp_path: Path) -> str:
    """A file of made-up events."""
    file = tmp_path / "events.csv"
    generated.events().rename({"at": "time"}).drop("value", "topic").write_csv(file)
    return str(file)


def training_of(output: str) -> TrainingConfig:
    """What the last line says, set as it says."""
    export, assignment = shlex.split(output.strip().splitlines()[-1])
    name, _, value = assignment.partition("=")
    assert export == "export"
    return load({name: value, "ASSENT_SECRET": SECRET}).training


def test_tuning_on_a_file(shell: Shell, events: str, tmp_path: Path) -> None:
    """It needs no service; what it prints can be set; the same command again has nothing left to try."""
    flags = ("tune", events, "--trials", "3", "--study", str(tmp_path / "my.journal"))
    first = shell(*flags)
    assert first.exit_code == 0, first.output
    assert re.search(r"done ━+ 3/3", said(first)), "the bar that showed how far it was stays, full"
    assert "3 trials, 3 of them now" in said(first)
    assert training_of(first.stdout).components in {32, 64, 128}
    again = shell(*flags)
    assert "3 trials, 0 of them now" in said(again)
    assert training_of(again.stdout) == training_of(first.stdout)


def test_tuning_on_what_people_granted(shell: Shell, tmp_path: Path) -> None:
    """The events of those who granted `measure` are read, and the file that is kept names nobody."""
    assert shell("migrate").exit_code == 0
    assert shell("keys", "create", "--app", APP).exit_code == 0
    flags = ("tune", "--app", APP, "--trials", "2", "--study", str(tmp_path / "my.journal"))
    nobody = shell(*flags)
    assert (nobody.exit_code, "events" in said(nobody)) == (1, True)

    async def prepare(service: Service) -> None:
        await administration.import_catalog(service, APP, shipped())
        await community.settle_in(service)

    shell.in_service(prepare)
    done = shell(*flags)
    assert done.exit_code == 0, done.output
    training_of(done.stdout)
    assert "simulated" not in (tmp_path / "my.journal").read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "--app"),
        (("events.csv", "--app", "demo"), "--app"),
        (("none.csv",), "none.csv"),
        (("events.csv", "--trials", "0"), "--trials"),
        (("events.csv", "--trials", "many"), "--trials"),
        (("events.csv", "--seconds", "0"), "--seconds"),
        (("events.csv", "--seed", "-1"), "--seed"),
        (("events.csv", "--study", "none/my.journal"), "none/my.journal"),
        (("short.csv",), "item"),
    ],
)
def test_bad_input_is_named(
    shell: Shell,
    events: str,
    tmp_path: Path,
    flags: tuple[str, ...],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong flag, file or column ends the command by its name, and nothing is printed to be set."""
    monkeypatch.chdir(tmp_path)
    Path("short.csv").write_text("user,time\na,1\n")
    failed = shell("tune", *flags)
    assert failed.exit_code in {1, 2}
    assert named in said(failed)
    assert "export" not in failed.output


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{", "JSON"),
        ('{"component": 3}', "component"),
        ('{"components": 0}', "components"),
        ('{"profile": {"windows": ["x"]}}', "profile.windows"),
        ('{"shards": 2}', "ASSENT_TRAINING_SHARDS"),
    ],
)
def test_settings_of_training_that_are_wrong_are_named(value: str, named: str) -> None:
    """The service refuses them at start, by the field."""
    with pytest.raises(SettingsError, match="ASSENT_TRAINING_CONFIG") as refused:
        load({"ASSENT_TRAINING_CONFIG": value, "ASSENT_SECRET": SECRET})
    assert named in str(refused.value)


def test_settings_of_training_are_what_trains() -> None:
    """What is not said stays as it ships; seed and shards come from their own settings."""
    said_so = {
        "ASSENT_TRAINING_CONFIG": '{"l2": 0.001, "profile": {"windows": [7]}}',
        "ASSENT_TRAINING_SHARDS": "3",
    }
    config = load({**said_so, "ASSENT_SECRET": SECRET}).training
    assert (config.l2, config.profile.windows, config.shards) == (0.001, (7,), 3)
    assert config.components == TrainingConfig().components
