"""The command line, as it is typed: in this process by Typer's runner, against a real database file."""

import asyncio
import csv
import json
import os
import random
import re
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from distributed import LocalCluster
from typer.testing import CliRunner, Result

from api import jobs, keys, serving, training
from api.app import create_app
from api.cli import app
from api.service import Service
from recommender import dask_cluster
from recommender.exchange import shipped, write_csv, write_jsonl
from tests.api import community
from tests.conftest import APP, SECRET, settings_for


class Shell:
    """Runs `assent`, with the settings of one database in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "ASSENT_DATABASE_URL": f"sqlite:///{folder / 'assent.db'}",
            "ASSENT_RELEASES_URL": str(folder / "releases"),
            "ASSENT_REGISTER_URL": str(folder / "erasures"),
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


def test_one_click_links_are_turned_off_for_one_app(registered: Shell) -> None:
    """It is told, listed, and turned on again; an app that is not there is named."""
    assert f"{APP} one-click links on" in said(registered("apps", "list"))
    off = registered("apps", "one-click", "--off", "--app", APP)
    assert (off.exit_code, said(off)) == (0, f"One-click links of {APP} are off.")
    assert f"{APP} one-click links off" in said(registered("apps", "list"))
    assert registered("apps", "one-click", "--on", "--app", APP).exit_code == 0
    assert f"{APP} one-click links on" in said(registered("apps", "list"))
    lost = registered("apps", "one-click", "--on", "--app", "nobody")
    assert (lost.exit_code, "there is no app nobody" in said(lost)) == (1, True)


def test_signing_keys_are_rotated_and_listed(shell: Shell) -> None:
    """The next key is told by its name, is listed as still to come, and the one that signs beside it."""
    assert shell("migrate").exit_code == 0
    rotated = shell("signing", "rotate", "--overlap-h", "5")
    assert rotated.exit_code == 0
    kid = said(rotated).split()[1]
    newest, first = shell("signing", "list").output.splitlines()
    assert newest.startswith(f"{kid}  signs from ")
    assert "  signed from " in first


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


@pytest.mark.parametrize("name", ["odd.jsonl", "odd.csv"])
def test_a_text_may_hold_other_ends_of_lines(registered: Shell, name: str) -> None:
    """What some readers take for the end of a line is a letter of a text, in a file as well."""
    texts = [f"Ten{end}quiet minutes." for end in ("\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r\n")]
    odd = [
        shipped()[0].model_copy(update={"id": f"odd-{at}", "summary": text}) for at, text in enumerate(texts)
    ]
    file = registered.folder / name
    write = write_csv if name.endswith(".csv") else write_jsonl
    file.write_bytes("".join(write(odd)).encode())
    assert registered("catalog", "import", str(file), "--app", APP).exit_code == 0
    again = registered.folder / f"again-{name}"
    assert registered("catalog", "export", str(again), "--app", APP).exit_code == 0
    assert again.read_bytes() == file.read_bytes()


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


def test_training_erasing_and_exporting(registered: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little data is told; then a model is promoted; a person's export holds all, and nothing once they are erased."""
    assert registered("catalog", "import", "--app", APP).exit_code == 0
    too_little = registered("train", "--app", APP)
    assert too_little.exit_code == 1
    assert "not_enough_data: no release" in said(too_little)

    registered.in_service(community.settle_in)
    nobody = {"ASSENT_TRAINING_BACKEND": "dask", "ASSENT_TRAINING_CLUSTER": "tcp://127.0.0.1:1"}
    lost = registered("train", "--app", APP, ASSENT_TRAINING_SHARDS="2", **nobody)
    assert lost.exit_code == 1
    assert "no training cluster answers at tcp://127.0.0.1:1" in said(lost)
    assert "is ASSENT_TRAINING_CLUSTER right?" in said(lost)
    monkeypatch.setattr(dask_cluster, "PATIENCE_S", 0.5)
    monkeypatch.setattr(dask_cluster, "LOOK_S", 0.1)
    with LocalCluster(  # type: ignore[no-untyped-call]  # Dask leaves it untyped
        n_workers=0, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    ) as idle:
        nobody["ASSENT_TRAINING_CLUSTER"] = idle.scheduler_address
        alone = registered("train", "--app", APP, ASSENT_TRAINING_SHARDS="2", **nobody)
    assert alone.exit_code == 1
    assert "the cluster has had no worker for" in said(alone)
    trained = registered("train", "--app", APP)
    assert trained.exit_code == 0
    assert "promoted: " in said(trained)
    assert "NDCG@10 on held-out events" in said(trained)

    file = registered.folder / "export.json"
    assert registered("export", "simulated-3", "--app", APP, "--output", str(file)).exit_code == 0
    assert len(json.loads(file.read_text("utf-8"))["events"]) == 12
    zipped = registered.folder / "export.zip"
    asked = ("export", "simulated-3", "--app", APP, "--output", str(zipped), "--language", "ar")
    assert registered(*asked).exit_code == 0
    with ZipFile(zipped) as archive:
        assert len(json.loads(archive.read("events.json"))) == 12
        assert 'dir="rtl"' in archive.read("index.html").decode()
    unknown = registered(*asked[:-1], "tlh")
    assert (unknown.exit_code, "tlh is not a language" in said(unknown)) == (2, True)
    nowhere = registered(*asked[:5], str(registered.folder / "none" / "export.zip"))
    assert (nowhere.exit_code, "No such file" in said(nowhere)) == (1, True)
    erased = registered("erase", "simulated-3", "--app", APP)
    assert erased.exit_code == 0
    erasure = json.loads(erased.stdout)
    assert (erasure["status"], erasure["counts"]["event"]) == ("rows_erased", 12)
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
    asked = ("evaluate", str(file), "--models", "popularity,ease", "--trials", "3", "--output", str(reports))
    result = shell(*asked, ASSENT_SECRET="")
    assert result.exit_code == 0
    assert "popularity" in said(result).lower()
    assert "ease" in said(result).lower()
    assert (reports / "report.html").stat().st_size > 10_000
    assert json.loads((reports / "report.json").read_text("utf-8"))
    again = shell("evaluate", "run", *asked[1:], ASSENT_SECRET="")
    assert again.exit_code == 0
    fewer = ("--trials", "0", "--output", str(shell.folder / "other"))
    assert shell(*asked[:4], *fewer, ASSENT_SECRET="").exit_code == 0
    compared = shell("evaluate", "compare", str(reports), str(shell.folder / "other"), ASSENT_SECRET="")
    assert compared.exit_code == 0
    assert "trials: 3 -> 0" in said(compared)
    assert "no clear" in said(compared)


def test_comparing_what_is_no_report(shell: Shell) -> None:
    """A folder without a report is named."""
    result = shell("evaluate", "compare", str(shell.folder), str(shell.folder), ASSENT_SECRET="")
    assert result.exit_code == 1
    assert "there is no report.json" in said(result)


def test_estimating_a_policy(shell: Shell) -> None:
    """Estimates, overlap and notes of a file of impressions are printed; a wrong cell is named, and nothing printed."""
    rows = ["chance,reward,target,person"]
    rows += [f"{0.5},{place % 2},{0.4 + 0.2 * (place % 2)},{place // 4}" for place in range(80)]
    file = shell.folder / "shown.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    asked = ("evaluate", "policy", str(file), "--propensity", "chance", "--clip", "1.1")
    result = shell(*asked, ASSENT_SECRET="")
    assert result.exit_code == 0
    assert re.search(r"\bips\s+0\.6\s+0\.6 to 0\.6\s+0\.1\s+0\.1 to 0\.1\s+better", result.output)
    assert re.search(r"clipped_ips\s+0\.55", result.output)
    assert "80 impressions, 20 units to resample" in said(result)
    file.write_text("\n".join([*rows, "0,1,0.5,9"]), encoding="utf-8")
    refused = shell(*asked, ASSENT_SECRET="")
    assert refused.exit_code == 1
    assert "column 'chance', row 81: 0 is not a probability" in said(refused)
    assert "ips" not in said(refused)


def test_evaluating_without_the_extra(shell: Shell) -> None:
    """Where the libraries of the extra are missing, the command says what to install."""
    # In a process of its own: modules that were half imported here would stay for the tests after.
    without = (
        "import sys; sys.modules['optuna'] = None; from api.cli import app; app(['evaluate', 'events.csv'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", without], cwd=shell.folder, capture_output=True, check=False
    )
    assert result.returncode == 1
    assert b"pip install 'assent[evaluation]'" in result.stderr


def test_evaluating_consented_events(registered: Shell) -> None:
    """The service's own events are evaluated as far as people granted `measure`; nobody's are told as nobody's."""
    assert registered("catalog", "import", "--app", APP).exit_code == 0
    reports = str(registered.folder / "reports")
    nobody = registered("evaluate", "--app", APP, "--models", "popularity", "--output", reports)
    assert nobody.exit_code == 1
    assert "nobody has granted a signal for `measure`" in said(nobody)
    registered.in_service(community.settle_in)
    done = registered("evaluate", "--app", APP, "--models", "popularity", "--output", reports)
    assert done.exit_code == 0
    assert "answers that the service gave say where to turn in a crisis" in said(done)
    found = json.loads((Path(reports) / "report.json").read_text("utf-8"))
    assert found["safety"]["support"]
    assert found["facts"]["people_granting"] == {"views": 48}
    assert not (Path(reports) / "people.parquet").exists()


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


async def dead_training(service: Service) -> str:
    """Let a training be asked for and fail for the last time; its job's id."""
    async with service.database.write(APP) as connection:
        job_id = await training.ask(connection, APP, "erasure", service.clock())
        held = await jobs.lease(connection, [jobs.TRAINING], service.clock())
        assert held is not None
        await jobs.fail(connection, held, "OSError", None)
    return job_id


def test_dead_jobs_are_seen_tried_again_and_dropped(registered: Shell) -> None:
    """`assent jobs` shows what is not done with its whole id; one that is dead may be retried or dropped, others not."""
    assert said(registered("jobs", "list")) == "There are none."
    job_id = registered.in_service(dead_training)
    shown = said(registered("jobs", "list"))
    for told in (job_id, APP, "training", "erasure", "dead", "OSError"):
        assert told in shown
    assert said(registered("jobs", "list", "--status", "waiting")) == "There are none."
    assert said(registered("jobs", "retry", job_id)) == f"Job {job_id} is due now."
    assert "waiting" in said(registered("jobs", "list"))
    refused = registered("jobs", "drop", job_id)
    assert (refused.exit_code, said(refused)) == (1, f"there is no dead job {job_id}")
    other = registered.in_service(dead_training)
    assert said(registered("jobs", "drop", other)) == f"Job {other} is dropped."
    assert other not in said(registered("jobs", "list"))
    assert registered("jobs", "retry", other).exit_code == 1
    wrong = registered("jobs", "list", "--status", "lost")
    assert (wrong.exit_code, said(wrong)) == (2, "lost is not a status: waiting, running, dead or done")


def test_an_outdated_database_is_told_plainly(shell: Shell) -> None:
    """A database that was never brought up to date is refused with what to do."""
    result = shell("train", "--app", APP)
    assert (result.exit_code, said(result)) == (
        1,
        "the database is not up to date: run `assent migrate`",
    )


def test_a_port_that_is_taken_is_told_plainly(registered: Shell) -> None:
    """One sentence that names the address."""
    with serving.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = registered("serve", ASSENT_PORT=str(port))
    assert (result.exit_code, said(result)) == (
        1,
        f"cannot listen on 127.0.0.1:{port}: Address already in use",
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


def test_what_it_writes_is_its_owners_alone(shell: Shell) -> None:
    """Whatever the umask is, nobody else can read database, log, releases, register and exports; the caller's umask stays."""

    async def modes_of_files(service: Service) -> dict[str, int]:
        async with service.database.write(APP):  # the log is there as long as somebody has the database open
            return {
                path.relative_to(shell.folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
                for path in shell.folder.rglob("*")
            }

    former = os.umask(0o022)
    try:
        assert shell("migrate").exit_code == 0
        assert shell("keys", "create", "--app", APP).exit_code == 0
        assert shell("catalog", "import", "--app", APP).exit_code == 0
        shell.in_service(community.settle_in)
        assert shell("train", "--app", APP).exit_code == 0
        file = str(shell.folder / "export.zip")
        assert shell("export", "simulated-3", "--app", APP, "--output", file).exit_code == 0
        assert shell("erase", "simulated-3", "--app", APP).exit_code == 0

        modes = shell.in_service(modes_of_files)
    finally:
        used = os.umask(former)
    assert used == 0o022
    assert {"assent.db", "assent.db-wal", "assent.db-shm", "export.zip", "releases", "erasures"} <= set(modes)
    assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


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


def test_a_lost_register_is_told_and_begun_anew(shell: Shell) -> None:
    """Commands refuse to speak of people, and say in plain words what is missing; the operator begins a new one, once."""
    assert shell("migrate").exit_code == 0
    assert shell("apps", "list").exit_code == 0
    (shell.folder / "erasures").rename(shell.folder / "lost")
    told = shell("apps", "list")
    assert told.exit_code == 1
    assert "is ASSENT_REGISTER_URL right, and mounted?" in told.output
    begun = shell("register", "new")
    assert "A new register of erasures is begun." in begun.output
    assert shell("apps", "list").exit_code == 0
    again = shell("register", "new")
    assert (again.exit_code, "wants a folder of its own" in again.output) == (1, True)
