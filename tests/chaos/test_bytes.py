"""After an erasure no byte of the person is left: not in the database and its logs, nor in releases, jobs, traces, logs, caches or the register.

Everything that the service writes lies in one folder here, and the whole folder is searched, file by file, for whatever
could point at the person, in every usual way of writing it.
"""

import asyncio
import base64
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api import administration, schema
from api.service import Service
from recommender.exchange import shipped
from tests.api import community, witness
from tests.api.full import live_fully
from tests.chaos.conftest import STAY, town_on
from tests.chaos.fleet import Fleet, Town, insist
from tests.chaos.postgres import postgres
from tests.chaos.test_races import complete
from tests.conftest import APP, Caller, event, settings_for

Needles = Mapping[str, bytes]
Found = Mapping[str, set[str]]


def forms(needle: bytes) -> set[bytes]:
    """Every usual way of writing some bytes: as they are, as UTF-16, in hexadecimal, and in base64 wherever they begin."""
    written = {needle, needle.hex().encode(), needle.hex().upper().encode()}
    with contextlib.suppress(UnicodeDecodeError):
        text = needle.decode("ascii")
        written |= {text.encode("utf-16-le"), text.encode("utf-16-be")}
    for before in range(3):
        # What stands before and after decides the outermost letters; those between are always the same.
        encoded = base64.b64encode(b"\0" * before + needle)
        inner = encoded[(0, 2, 3)[before] : len(needle + b"\0" * before) // 3 * 4]
        written |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return written


def search(folder: Path, needles: Needles) -> Found:
    """Which needles are found, in any form, in the bytes or the name of which files; told by the folder's own children."""
    found: dict[str, set[str]] = {name: set() for name in needles}
    wanted = [(name, form) for name, needle in needles.items() for form in forms(needle)]
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a database removes files of its own while we look
            content = path.name.encode() + (path.read_bytes().strip(b"\0") if path.is_file() else b"")
            for name, form in wanted:
                if form in content:
                    found[name].add(path.relative_to(folder).parts[0])
    return found


@pytest.mark.parametrize("needle", [b"person-4f0c2b", bytes(range(150, 182))])
def test_the_search_finds_every_form(tmp_path: Path, needle: bytes) -> None:
    """Whatever way the bytes are written, anywhere in a file or as its name, they are found; without them nothing is."""
    place = tmp_path / "place"
    place.mkdir()
    noise = secrets.token_bytes(5000)
    (place / "file").write_bytes(noise)
    assert search(place, {"it": needle}) == {"it": set()}
    padded = [
        base64.b64encode(b"x" * before + needle + b"y" * after) for before in range(3) for after in range(3)
    ]
    text = needle.decode("latin-1")
    written = [
        needle,
        needle.hex().encode(),
        *padded,
        *(each.translate(bytes.maketrans(b"+/", b"-_")) for each in padded),
    ]
    if text.isascii():
        written += [text.encode("utf-16"), text.encode("utf-16-be")]
    for each in written:
        (place / "file").write_bytes(noise + each + noise)
        assert search(place, {"it": needle}) == {"it": {"file"}}, each
    (place / "file").unlink()
    (place / needle.hex()).touch()
    assert search(place, {"it": needle}) == {"it": {needle.hex()}}


@dataclass
class Home:
    """A service of which every byte lies in one folder."""

    folder: Path
    town: Town
    service: Service

    def environment(self) -> dict[str, str]:
        """What the processes are told beside their settings: traces and metrics to their output, temporary files at home."""
        return {
            "ASSENT_TELEMETRY": "console",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "TMPDIR": str(self.folder / "temporary"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty database whose files lie in a folder."""
    place = folder / "database"
    place.mkdir()
    if kind == "sqlite":
        yield f"sqlite:///{place / 'assent.db'}"
        return
    with postgres(place) as server:
        # Old segments of the log are removed rather than renamed, as soon as a checkpoint allows.
        server.psql("ALTER SYSTEM SET wal_recycle = off")
        server.psql("ALTER SYSTEM SET min_wal_size = '32MB'")
        server.psql("SELECT pg_reload_conf()")
        server.psql("CREATE DATABASE bytes OWNER assent_owner")
        yield server.url("bytes")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: a socket within it may have no more than 107 characters in all."""
    with tempfile.TemporaryDirectory(prefix="assent-") as name:
        yield Path(name)


@pytest.fixture(params=["sqlite", "postgresql"])
async def home(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Home]:
    """A service with people who stay, and nothing running yet."""
    for name in ("logs", "temporary", "cache"):
        (folder / name).mkdir(parents=True)
    fleet = Fleet(folder / "logs")
    with database(request.param, folder) as url, contextlib.closing(fleet):
        await schema.migrate(url)
        service = Service.create(settings_for(url, folder))
        await administration.ensure_app(service, APP, "Harbour")
        await administration.import_catalog(service, APP, shipped())
        await community.settle_in(service, STAY)
        yield Home(folder, await town_on(url, folder, fleet), service)
        await service.close()


async def live(home: Home, http: httpx.AsyncClient) -> Needles:
    """Let somebody leave rows in every table, and be learned from; everything that points at them."""
    user, event_id = f"person-{secrets.token_hex(6)}", f"event-{secrets.token_hex(6)}"
    who = await live_fully(home.service, Caller(http), user)
    views = [
        event(user, "views", name, event_id=f"{event_id}-{number}")
        for number, name in enumerate(["box-breathing", "body-scan"])
    ]
    assert (await insist(http, "POST", "/v1/events", {"events": views})).json()["accepted"] == len(views)
    link = await http.post(f"/v1/users/{user}/links", json={"kind": "settings"})
    assert (await insist(http, "POST", "/v1/releases")).status_code == 202
    async with asyncio.timeout(120):
        while (await recommended(http, user))["release"] is None:  # noqa: ASYNC110  the service tells when asked
            await asyncio.sleep(0.1)
    assert (await http.get(f"/v1/users/{user}/export")).status_code == 200
    rows = await witness.table(home.town.settings.database_url, "log_key")
    (key,) = [bytes(row["key"]) for row in rows if row["subject_id"] == who.subject_id]
    return {
        "user id": user.encode(),
        "link": link.json()["url"].rpartition("/")[2].encode(),
        "pseudonym": who.user_hash,
        "reference": home.service.pseudonyms.reference(who.user_hash).encode(),
        "subject id": who.subject_id.encode(),
        "event id": event_id.encode(),
        "log key": key,
    }


async def recommended(http: httpx.AsyncClient, user: str) -> dict[str, object]:
    """What somebody is recommended, explained."""
    answer = await insist(http, "POST", "/v1/recommendations", {"user_id": user, "explain": "full"})
    document: dict[str, object] = answer.json()
    return document


async def reclaim(url: str, *, before: bool) -> None:
    """Bring PostgreSQL's pages to the disk; afterwards also do what the stated bound waits for, so that nobody has to.

    VACUUM FULL writes the tables anew where time would write over freed rows; the log is switched and its old segments go.
    """
    if url.startswith("sqlite"):
        return
    import asyncpg  # noqa: PLC0415  on PostgreSQL only

    superuser = await asyncpg.connect(url.replace("assent_owner@", "postgres@"))
    try:
        # What ANALYZE noted of the rows that are gone lies in a table of PostgreSQL's own.
        gone = ["VACUUM (FULL, ANALYZE)", "VACUUM FULL pg_statistic", "SELECT pg_switch_wal()", "CHECKPOINT"]
        steps = ["ANALYZE"] if before else [*gone, "SELECT pg_switch_wal()"]
        for statement in [*steps, "CHECKPOINT"]:
            await superuser.execute(statement)
    finally:
        await superuser.close()


async def test_no_byte_of_who_left_is_left(home: Home) -> None:
    """A person lives fully: every store, webhooks, jobs, a release that learned from them, traces, logs. All is found before, where it should be, and nothing after.

    The user's id, and the link handed to them, are in no file even before.
    """
    url, told = home.town.settings.database_url, home.environment()
    server = await home.town.serve(**told)
    worker = home.town.work(**told)
    async with home.town.client() as http, asyncio.timeout(300):
        needles = await live(home, http)
        reports = home.town.fleet.run(
            home.town.environment(**told), "evaluate", "run", "--app", APP, "--models", "popularity", "--trials", "1",
            "--seeds", "1", "--output", str(home.folder / "reports"),
        )  # fmt: skip
        await reclaim(url, before=True)
        before = await asyncio.to_thread(search, home.folder, needles)
        stored = {name for name, where in before.items() if "database" in where}
        assert stored == {"pseudonym", "reference", "subject id", "event id", "log key"}, before
        assert all(where <= {"database", "erasures"} for where in before.values()), before
        erasure = (await insist(http, "DELETE", f"/v1/users/{needles['user id'].decode()}")).json()["erasure"]
        while not await complete(http, erasure["erasure_id"]):  # noqa: ASYNC110  the service tells when asked
            await asyncio.sleep(0.1)
    for pid in (server, worker):
        home.town.fleet.tell_to_stop(pid)
        home.town.fleet.wait(pid, seconds=60)
    await home.service.close()
    await reclaim(url, before=False)
    after = await asyncio.to_thread(search, home.folder, needles)
    assert not any(after.values()), after
    logs = (home.folder / "logs" / "processes.log").read_text("utf-8")
    assert "DELETE /v1/users/{user_id}" in logs  # the traces are among what was searched
    assert reports
