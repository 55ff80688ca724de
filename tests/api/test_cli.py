"""The command line, as it is typed: in this process by Typer's runner, against a real database file."""

import asyncio
import csv
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from api import keys
from api.app import create_app
from api.cli import app
from api.service import Service
from recommender.exchange import shipped
from tests.api import community
from tests.conftest import APP, SECRET, settings_for


class Shell:
    """Runs `assent`, with the settings of one database in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "ASSENT_DATABASE_URL": f"sqlite:///{folder / 'assent.db'}",
            "ASSENT_RELEASES_URL": str(folder / "releases"),
            "ASSENT_SECRET": SECRET,
        }

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """Run a command; what it says is on one line, since a terminal of any width may wrap it."""
        result = CliRunner().invoke(app, list(arguments), env={**self.environment, **environment})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def in_service(self, work: Callable[[Service], Awaitable[Any]]) -> Any:
        """Do something with the service itself."""

        async def run() -> Any:
            service = Service.create(settings_for(self.environment["ASSENT_DATABASE_URL"], self.folder))
            try:
                return await work(service)
            finally:
                await service.close()

        return asyncio.run(run())


def said(result: Result) -> str:
    """What a command said, without line breaks and the lines of tables."""
    return " ".join(result.output.translate(str.maketrans("│┃", "  ")).split())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell on an empty folder."""
    return Shell(tmp_path)


@pytest.fixture
def registered(shell: Shell) -> Shell:
    """A shell on a database that is up to date, with one app in it."""
    assert shell("migrate").exit_code == 0
    assert shell("keys", "create", "--app", APP).exit_code == 0
    return shell


def status_with(shell: Shell, key: str) -> int:
    """What the API answers to a key."""

    async def ask(service: Service) -> int:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            answer = await http.get("/v1/resources", headers={"Authorization": f"Bearer {key}"})
        return answer.status_code

    status: int = shell.in_service(ask)
    return status


def test_a_key_works_until_it_is_revoked(shell: Shell) -> None:
    """A key is shown once, does what its scopes say, and nothing from the moment it is revoked."""
    assert shell("migrate").exit_code == 0
    made = shell("keys", "create", "--app", APP, "--scope", "catalog")
    assert made.exit_code == 0
    assert f"Registered the app {APP}" in said(made)
    key = next(word for word in said(made).split() if word.startswith("assent_"))
    key_id, _ = keys.parse(key)
    assert status_with(shell, key) == 200
    assert shell("keys", "revoke", key_id).exit_code == 0
    assert status_with(shell, key) == 401
    again = shell("keys", "revoke", key_id)
    assert (again.exit_code, said(again)) == (1, f"there is no key {key_id} in force")


def test_a_key_without_the_scope_is_refused(registered: Shell) -> None:
    """A key that was made to recommend does not open the catalogue."""
    made = registered("keys", "create", "--app", APP, "--scope", "recommend")
    key = next(word for word in said(made).split() if word.startswith("assent_"))
    assert status_with(registered, key) == 403


def test_an_unknown_scope_is_named(registered: Shell) -> None:
    """A scope that there is not is refused before anything is made."""
    result = registered("keys", "create", "--app", APP, "--scope", "everything")
    assert result.exit_code == 2
    assert "everything" in said(result)


def test_a_catalogue_goes_in_and_comes_out_the_same(registered: Shell) -> None:
    """What is exported, in either format, imports as what it was."""
    assert registered("catalog", "import", "--app", APP).exit_code == 0
    for name in ("out.jsonl", "out.csv"):
        file = str(registered.folder / name)
        assert registered("catalog", "export", file, "--app", APP).exit_code == 0
        assert registered("catalog", "check", file).exit_code == 0
        assert registered("catalog", "import", file, "--app", APP).exit_code == 0
    printed = registered("catalog", "export", "--app", APP)
    assert {json.loads(line)["id"] for line in printed.stdout.splitlines()} == {each.id for each in shipped()}


BAD_ROWS = (
    '{"id": "fine", "title": "Fine", "summary": "Fine.", "kind": "article", "languages": ["en"]}\n'
    '{"id": "no kind", "title": "", "summary": "Bad.", "kind": "poem", "languages": ["en"]}\n'
    "{ this is not JSON\n"
)


@pytest.mark.parametrize("command", ["import", "check"])
def test_every_bad_row_is_told_and_nothing_is_imported(registered: Shell, command: str) -> None:
    """Line and field of each fault are told at once; the good rows of the same file stay outside too."""
    file = registered.folder / "bad.jsonl"
    file.write_text(BAD_ROWS, "utf-8")
    result = registered("catalog", command, str(file), *(["--app", APP] if command == "import" else []))
    told = said(result)
    assert result.exit_code == 1
    for line, field in ((2, "id"), (2, "title"), (2, "kind"), (3, "(row)")):
        assert f" {line} {field} " in told
    assert {int(word) for word in re.findall(r" (\d+) (?:id|title|kind|\(row\)) ", told)} == {2, 3}
    assert registered("catalog", "export", "--app", APP).stdout == ""


def test_a_missing_file_is_told_plainly(registered: Shell) -> None:
    """No traceback: the file's name, and that it is not there."""
    result = registered("catalog", "import", "nowhere.jsonl", "--app", APP)
    assert (result.exit_code, said(result)) == (2, "nowhere.jsonl: there is no such file")


def test_an_app_that_is_not_registered_is_told(registered: Shell) -> None:
    """Whoever mistypes an app learns how apps are registered, and no app appears."""
    for arguments in (["catalog", "import"], ["train"], ["export", "u1"], ["erase", "u1"]):
        result = registered(*arguments, "--app", "harbor")
        assert (result.exit_code, said(result)) == (
            1,
            "there is no app harbor: `assent keys create` registers one",
        )


def test_training_erasing_and_exporting(registered: Shell) -> None:
    """Too little data is told; then a model is promoted; a person's export holds all, and nothing once they are erased."""
    assert registered("catalog", "import", "--app", APP).exit_code == 0
    too_little = registered("train", "--app", APP)
    assert too_little.exit_code == 1
    assert "not_enough_data: no release" in said(too_little)

    registered.in_service(community.settle_in)
    trained = registered("train", "--app", APP)
    assert trained.exit_code == 0
    assert "promoted: " in said(trained)
    assert "NDCG@10 on held-out events" in said(trained)

    file = registered.folder / "export.json"
    assert registered("export", "simulated-3", "--app", APP, "--output", str(file)).exit_code == 0
    assert len(json.loads(file.read_text("utf-8"))["events"]) == 12
    erased = registered("erase", "simulated-3", "--app", APP)
    assert erased.exit_code == 0
    erasure = json.loads(erased.stdout)
    assert (erasure["status"], erasure["counts"]["event"]) == ("retraining", 12)
    held = json.loads(registered("export", "simulated-3", "--app", APP).stdout)
    assert (held["subject_id"], held["events"], held["receipts"]) == (None, [], [])


def test_evaluating_a_file(shell: Shell) -> None:
    """A CSV of events gives a table and a report, without any database."""
    file, draw = shell.folder / "events.csv", random.Random(3)
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["user", "item", "time", "signal"])
        for user in range(60):
            for place in range(12):
                item = user % 4 * 10 + draw.randrange(10)
                rows.writerow(
                    [f"u{user}", f"i{item}", 1_700_000_000 + 3_600 * (20 * place + user % 20), "views"]
                )
    reports = shell.folder / "reports"
    result = shell(
        "evaluate", str(file), "--models", "popularity,ease", "--output", str(reports), ASSENT_SECRET=""
    )
    assert result.exit_code == 0
    assert "popularity" in said(result).lower()
    assert "ease" in said(result).lower()
    assert (reports / "report.html").stat().st_size > 10_000
    assert json.loads((reports / "report.json").read_text("utf-8"))


def test_evaluating_consented_events(registered: Shell) -> None:
    """The service's own events are evaluated as far as people granted `measure`; nobody's are told as nobody's."""
    assert registered("catalog", "import", "--app", APP).exit_code == 0
    reports = str(registered.folder / "reports")
    nobody = registered("evaluate", "--app", APP, "--models", "popularity", "--output", reports)
    assert nobody.exit_code == 1
    assert "nobody has granted a signal for `measure`" in said(nobody)
    registered.in_service(community.settle_in)
    assert registered("evaluate", "--app", APP, "--models", "popularity", "--output", reports).exit_code == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ASSENT_DATABSE_URL": "x"}, "ASSENT_DATABSE_URL is not a setting (did you mean ASSENT_DATABASE_URL?)"),
        ({"ASSENT_PORT": "many"}, "ASSENT_PORT: "),
        ({"ASSENT_SECRET": "c2hvcnQ="}, "ASSENT_SECRET: must hold at least 32 bytes"),
        ({"ASSENT_DATABASE_URL": "mysql://x/y"}, "ASSENT_DATABASE_URL: must be sqlite:///path or postgresql://"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_name(
    registered: Shell, environment: dict[str, str], message: str
) -> None:
    """Nothing runs on settings that were not understood; the message names them, and repeats no secret."""
    result = registered("train", "--app", APP, **environment)
    assert result.exit_code == 2
    assert message in said(result)
    assert "c2hvcnQ=" not in said(result)


def test_an_outdated_database_is_told_plainly(shell: Shell) -> None:
    """A database that was never brought up to date is refused with what to do."""
    result = shell("train", "--app", APP)
    assert (result.exit_code, said(result)) == (
        1,
        "the database is not up to date: run `assent migrate`",
    )


@pytest.mark.parametrize("command", [["train"], ["migrate"], ["worker"]])
def test_an_unreachable_database_is_told_plainly(shell: Shell, free_port: int, command: list[str]) -> None:
    """One sentence that says which setting to look at, and no traceback with the address in it."""
    url = f"postgresql://nobody:hunter2@127.0.0.1:{free_port}/none"
    result = shell(*command, ASSENT_DATABASE_URL=url)
    assert result.exit_code == 1
    assert "the database cannot be reached" in said(result)
    assert "ASSENT_DATABASE_URL" in said(result)
    assert "hunter2" not in said(result)


def test_a_folder_in_the_way_is_not_blamed_on_the_database(registered: Shell) -> None:
    """When a release cannot be stored, the message names the place and not the database."""
    assert registered("catalog", "import", "--app", APP).exit_code == 0
    registered.in_service(community.settle_in)
    (registered.folder / "releases").write_text("a file in the way", "utf-8")
    result = registered("train", "--app", APP)
    assert result.exit_code == 1
    assert "releases" in said(result)
    assert "database" not in said(result)


def test_it_runs_as_a_process_of_its_own(shell: Shell) -> None:
    """`python -m api.cli` is the same program: flags stand before the command and overrule the environment."""
    url = f"sqlite:///{shell.folder / 'other.db'}"
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "--database-url", url, "migrate"],
        env={**os.environ, **shell.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "The database is up to date.")
    assert (shell.folder / "other.db").is_file()
    assert not (shell.folder / "assent.db").exists()
