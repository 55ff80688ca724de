"""The register of erasures against a database that went back in time, by a crash or by a restored backup."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import administration, replaying
from api.keys import Scope
from api.replaying import replay
from api.service import Service
from consent import erasure, register
from tests.api.calls import CALLS
from tests.api.full import live_fully
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all
from tests.conftest import APP, Caller, Clock, event, serving, settings_for


async def is_known(client: Caller, user_id: str) -> bool:
    """Whether anything is held on a person."""
    return (await client.get(f"/v1/users/{user_id}/export")).json()["subject_id"] is not None


@contextlib.asynccontextmanager
async def process(url: str, folder: Path, key: str, **settings: Any) -> AsyncIterator[tuple[Service, Caller]]:
    """Another process on the same database and register."""
    service = Service.create(settings_for(url, folder, **settings))
    async with serving(service, key) as client:
        yield service, client


async def test_nothing_goes_that_is_not_in_the_register(
    service: Service, client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the register cannot be written, the answer is 503, and every row and grant is still there."""
    await live_fully(service, client, "u1")
    before = (await client.get("/v1/users/u1/export")).json()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(register.Register, "add", full)
        assert (await client.http.delete("/v1/users/u1")).status_code == 503
        refused = await client.http.put(
            "/v1/users/u1/consents",
            json={
                "changes": [{"signal": "views", "purpose": "improve", "state": "withdrawn"}],
                "notice_version": "2026-11-22", "locale": "en", "method": "test",
            },
        )  # fmt: skip
        assert refused.status_code == 503
    after = (await client.get("/v1/users/u1/export")).json()
    assert {**after, "exported_at": None} == {**before, "exported_at": None}


@pytest.mark.parametrize("kind", ["erasure", "withdrawal"])
async def test_what_was_written_down_is_carried_out_although_the_commit_never_came(
    service: Service, client: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Cut off between the register and the commit, a request is carried out by the next to start, under its own number."""
    await live_fully(service, client, "u1")
    await live_fully(service, client, "u2")

    async def cut(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "record", cut)
        if kind == "erasure":
            answer = await client.http.delete("/v1/users/u1")
        else:
            choice = {"signal": "views", "purpose": "improve", "state": "withdrawn"}
            answer = await client.http.put(
                "/v1/users/u1/consents",
                json={"changes": [choice], "notice_version": "2026-11-22", "locale": "en", "method": "test"},
            )
        assert answer.status_code == 503
    assert await is_known(client, "u1")
    assert await replay(service) == 1
    assert await replay(service) == 0
    assert await is_known(client, "u1") is (kind == "withdrawal")
    assert await is_known(client, "u2")
    cells = (await client.get("/v1/users/u1/consents")).json()["consents"]
    given = {(cell["signal"], cell["purpose"]) for cell in cells if cell["state"] == "given"}
    assert ("views", "improve") not in given
    (listed,) = service.register.entries()
    await work_all(service, clock)
    done = (await client.get(f"/v1/erasures/{listed.erasure_id}")).json()
    assert (done["status"], done["kind"]) == (
        "completed",
        "everything" if kind == "erasure" else "withdrawal",
    )


async def test_what_was_written_down_is_carried_out_by_the_same_process_too(
    service: Service,
    client: Caller,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deletion that failed behind the register, and that nobody tries again, happens once its deadline is over, without a restart."""
    await live_fully(service, client, "u1")
    await live_fully(service, client, "u2")
    key = (await administration.create_key(service, APP, "test", [Scope.ADMIN])).text

    async def cut(*_: object) -> None:
        raise ConnectionResetError

    async with process(database_url, tmp_path, key, request_deadline_s=4.0) as (_, other):
        with monkeypatch.context() as patched:
            patched.setattr(erasure, "record", cut)
            assert (await other.http.delete("/v1/users/u1")).status_code == 503
        async with asyncio.timeout(60):
            while await is_known(client, "u1"):  # noqa: ASYNC110  another loop finds out, nothing tells this one
                await asyncio.sleep(0.05)
        assert await is_known(client, "u2")
        assert (await other.get("/readyz")).json()["reasons"] == []
    assert len(service.register.entries()) == 1


async def test_a_retry_of_what_was_carried_out_already_adds_nothing(
    service: Service, client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A withdrawal that was cut off before its commit, carried out from the register, and then tried again under its key stands in the ledger once.

    The retry is answered with the receipt that was written for it; what else the request says is recorded as ever.
    """
    await live_fully(service, client, "u1")
    before = (await client.get("/v1/users/u1/consents/history?limit=100")).json()["events"]
    views, saves = (
        {"signal": signal, "purpose": "improve", "state": state}
        for signal, state in (("views", "withdrawn"), ("saves", "given"))
    )

    async def put(key: str, *changes: dict[str, str]) -> httpx.Response:
        body = {"changes": changes, "notice_version": "2026-11-22", "locale": "en", "method": "test"}
        return await client.http.put("/v1/users/u1/consents", json=body, headers={"Idempotency-Key": key})

    async def cut(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "record", cut)
        assert (await put("one", views)).status_code == 503
    assert await replay(service) == 1
    retried = await put("one", views)
    mixed = await put("another", views, saves)
    assert (retried.status_code, mixed.status_code) == (200, 200)
    history = (await client.get("/v1/users/u1/consents/history?limit=100")).json()["events"]
    added = history[len(before) :]
    assert [(each["signal"], each["state"]) for each in added] == [
        ("views", "withdrawn"),
        ("saves", "renewed"),
    ]
    told = retried.json()
    assert told["receipt"]["receipt_id"] == added[0]["receipt_id"]
    assert [each["index"] for each in told["log"]["entries"]] == [added[0]["seq"]]
    assert mixed.json()["receipt"]["receipt_id"] == added[1]["receipt_id"]
    # Given anew and taken back anew, it is a new line.
    assert (await put("third", {**views, "state": "given"})).status_code == 200
    assert (await put("fourth", views)).json()["receipt"]["receipt_id"] != added[0]["receipt_id"]


async def test_a_no_of_later_days_is_a_line_of_its_own(
    service: Service, client: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two days after a withdrawal was carried out from the register, a no is no retry: it is recorded, and the peace it buys begins with it."""
    await live_fully(service, client, "u1")
    choice = {"signal": "views", "purpose": "improve"}

    async def put(state: str) -> httpx.Response:
        body = {"changes": [{**choice, "state": state}], "notice_version": "2026-11-22", "locale": "en"}
        return await client.http.put("/v1/users/u1/consents", json={**body, "method": "test"})

    async def cut(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "record", cut)
        assert (await put("withdrawn")).status_code == 503
    assert await replay(service) == 1
    clock.forward(days=2)
    assert (await put("refused")).status_code == 200
    (*_, replayed, last) = (await client.get("/v1/users/u1/consents/history?limit=100")).json()["events"]
    assert (replayed["state"], replayed["method"]) == ("withdrawn", "replayed after a restore")
    assert (last["state"], last["method"]) == ("refused", "test")
    clock.forward(days=179)  # more than half a year after the first no, less after the second
    cells = (await client.get("/v1/users/u1/prompts")).json()["cells"]
    (cell,) = [each for each in cells if (each["signal"], each["purpose"]) == ("views", "improve")]
    assert (cell["may_ask"], cell["because"]) == (False, "refused")


async def test_a_replay_does_not_bring_back_who_left_meanwhile(
    service: Service, client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one process replays a withdrawal, another is told the same, or that the person leaves: no second line, no row of who left."""
    await live_fully(service, client, "takes-back")
    await live_fully(service, client, "leaves")
    choice = {"signal": "views", "purpose": "improve", "state": "withdrawn"}
    body = {"changes": [choice], "notice_version": "2026-11-22", "locale": "en", "method": "test"}

    async def cut(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "record", cut)
        for user_id in ("takes-back", "leaves"):
            assert (await client.http.put(f"/v1/users/{user_id}/consents", json=body)).status_code == 503
    found = replaying._find

    async def and_then_others_come(*arguments: Any) -> Any:
        meant = await found(*arguments)
        assert (await client.http.put("/v1/users/takes-back/consents", json=body)).status_code == 200
        assert (await client.http.delete("/v1/users/leaves")).status_code == 202
        return meant

    monkeypatch.setattr(replaying, "_find", and_then_others_come)
    assert await replay(service) == 2
    assert await is_known(client, "leaves") is False
    history = (await client.get("/v1/users/takes-back/consents/history?limit=100")).json()["events"]
    assert [each["state"] for each in history].count("withdrawn") == 1


@pytest.fixture
def rewind(database_url: str) -> Callable[[], Callable[[], None]]:
    """Takes a copy of a SQLite file, and gives what puts it back with SQLite's own tool, as an operator would without ours.

    Files must not be swapped under a process that has them open, and the service of the test goes on polling.
    """
    path = Path(database_url.removeprefix("sqlite:///"))

    def copied(source: Path, target: Path) -> None:
        with (
            contextlib.closing(sqlite3.connect(source)) as here,
            contextlib.closing(sqlite3.connect(target)) as there,
        ):
            here.backup(there)

    def keep() -> Callable[[], None]:
        copy = path.with_name("copy-of-the-database")
        copied(path, copy)

        def put_back() -> None:
            copied(copy, path)

        return put_back

    return keep


@ON_SQLITE
async def test_a_database_that_was_put_back_brings_nobody_back(
    service: Service,
    client: Caller,
    clock: Clock,
    database_url: str,
    tmp_path: Path,
    rewind: Callable[[], Any],
) -> None:
    """After an older file was put in place, who left since is gone again, what was taken back stays off, and others stay."""
    key = await administration.create_key(service, APP, "other", [Scope.ADMIN])
    for user_id in ("leaves", "takes-back", "stays", "returns"):
        await live_fully(service, client, user_id)
    put_back = rewind()
    await client.http.delete("/v1/users/leaves")
    await client.http.delete("/v1/users/returns")
    await live_fully(service, client, "returns")
    await client.consent(
        "takes-back", "views", purposes=("personalise", "improve", "measure"), state="withdrawn"
    )
    await client.consent("takes-back", "saves", purposes=("improve",), state="withdrawn")
    await client.consent("takes-back", "saves", purposes=("improve",))
    put_back()
    async with process(database_url, tmp_path, key.text) as (restored, other):
        assert (await other.get("/readyz")).status_code == 200
        known = [await is_known(other, each) for each in ("leaves", "takes-back", "stays", "returns")]
        assert known == [False, True, True, False]
        events = (await other.get("/v1/users/takes-back/export")).json()["events"]
        assert {each["signal"] for each in events} == {"topics", "check_ins"}
        cells = (await other.get("/v1/users/takes-back/consents")).json()["consents"]
        off = {(each["signal"], each["purpose"]) for each in cells if each["state"] == "withdrawn"}
        assert off == {
            ("views", "personalise"),
            ("views", "improve"),
            ("views", "measure"),
            ("saves", "improve"),
        }
        assert (await other.events(event("takes-back", "views", "box-breathing")))["refused"] == 1
        assert await replay(restored) == 0


@ON_SQLITE
async def test_a_release_that_came_back_serves_nobody(
    service: Service, client: Caller, clock: Clock, tmp_path: Path, rewind: Callable[[], Any]
) -> None:
    """When who left had been learned from, what the old database promoted is not served, and stored releases go."""
    from tests.api.test_erasure_steps import pretend_release  # noqa: PLC0415  a helper of its neighbour

    folder = await pretend_release(service, "r-1")
    await live_fully(service, client, "u1")
    put_back = rewind()
    await client.http.delete("/v1/users/u1")
    newer = await pretend_release(service, "r-2", epoch=1)
    put_back()
    await replay(service)  # unless the running process noticed first
    await service.models.refresh()
    assert (await client.recommend("u2"))["release"] is None
    assert not newer.exists()
    await work_all(service, clock)
    assert not folder.exists()


@ON_SQLITE
async def test_until_the_register_is_replayed_nobody_is_answered(
    service: Service, client: Caller, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the register cannot be read, `readyz` says why, every call for people fails closed, and where to turn is told; then all recovers."""
    await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    key = await administration.create_key(service, APP, "other", [Scope.ADMIN])

    def gone(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(register.Register, "entries", gone)
        async with process(database_url, tmp_path, key.text) as (_, other):
            ready = await other.get("/readyz")
            assert ready.status_code == 503
            assert "the register of erasures is not replayed yet" in ready.json()["reasons"]
            for call in CALLS:
                if call.scope is not None:
                    answer = await other.http.request(call.method, call.path(), json=call.body)
                    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), call
            support = await other.post("/v1/recommendations", {"user_id": "u2"})
            assert support.json()["support"]
            assert (await other.get("/me", headers={"Accept": "text/html"})).status_code == 503
            assert (await other.get("/healthz")).status_code == 200
            patched.undo()
            assert (await other.recommend("u2"))["items"]
            assert (await other.get("/readyz")).status_code == 200


@ON_SQLITE
async def test_a_restore_under_a_running_process_is_noticed(
    service: Service, client: Caller, rewind: Callable[[], Any]
) -> None:
    """A process that sees the number of erasures shrink is not ready until it replayed the register."""
    await live_fully(service, client, "u1")
    put_back = rewind()
    await client.http.delete("/v1/users/u1")
    await service.models.refresh()
    service.readiness.observe(service.models.erasures)
    assert service.readiness.replayed
    put_back()
    await service.models.refresh()
    service.readiness.observe(service.models.erasures)
    assert not await is_known(client, "u1")  # the first call replays, if nobody did before
    assert service.readiness.replayed


def moved(folder: Path, name: str) -> Path:
    """Give a folder another name, which an empty one may have; made where there is none."""
    folder.mkdir(exist_ok=True)
    return folder.rename(folder.with_name(name))


def held(folder: Path) -> list[str]:
    """What lies in a folder."""
    return [each.name for each in folder.iterdir()]


async def test_another_register_than_the_databases_own_is_noticed(
    service: Service, client: Caller, database_url: str, tmp_path: Path
) -> None:
    """An empty folder, as where a disk is not mounted, does not pass for a register of which nobody left; found again, all is well without a restart."""
    await live_fully(service, client, "u1")
    key = (await administration.create_key(service, APP, "test", [Scope.ADMIN])).text
    place = Path(service.settings.register_url)
    async with process(database_url, tmp_path, key) as (_, other):
        assert await is_known(other, "u1")
        mounted = moved(place, "mounted")
        moved(tmp_path / "an empty folder", place.name)
        refused = await other.http.delete("/v1/users/u1")
        assert (refused.status_code, held(place)) == (503, [])
    async with process(database_url, tmp_path, key) as (_, other):
        asked = await other.get("/v1/users/u1/export")
        assert (asked.status_code, asked.json()["code"]) == (503, "unavailable")
        reasons = (await other.get("/readyz")).json()["reasons"]
        assert "the register of erasures is not replayed yet" in reasons
        moved(place, "an empty folder")
        moved(mounted, place.name)
        assert await is_known(other, "u1")
        assert (await other.http.delete("/v1/users/u1")).status_code == 202


async def test_a_register_that_is_lost_is_begun_anew_by_an_operator(service: Service, client: Caller) -> None:
    """Not by itself, and not where one lies; from then on the database goes with the new one only."""
    await live_fully(service, client, "u1")
    assert await replay(service) == 0
    with pytest.raises(register.RegisterUnreadable, match="folder of its own"):
        await replaying.renew(service)
    place = Path(service.settings.register_url)
    lost = moved(place, "lost")
    with pytest.raises(register.RegisterUnreadable, match="is not there"):
        await replay(service)
    await replaying.renew(service)
    assert (await client.http.delete("/v1/users/u1")).status_code == 202
    assert len(service.register.entries()) == 1
    moved(place, "new")
    moved(lost, place.name)
    with pytest.raises(register.RegisterUnreadable, match="is not there"):
        await replay(service)


async def test_a_register_that_a_crash_began_is_taken_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun, and the database cut off before it noted that: the next start goes on with it. Several at once agree on one."""

    def began_and_died(begun: register.Register, name: str) -> None:
        begin(begun, name)
        raise ConnectionResetError

    begin = register.Register.begin
    with monkeypatch.context() as patched:
        patched.setattr(register.Register, "begin", began_and_died)
        with pytest.raises(ConnectionResetError):
            await replaying.recognise(service)
    name = service.register.name()
    assert name is not None
    await asyncio.gather(*(replaying.recognise(service) for _ in range(5)))
    assert service.register.expected == service.register.name() == name


async def test_several_that_start_at_once_begin_one_register(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """Each notes the same name, and it is the one that lies there."""
    others = [Service.create(settings_for(database_url, tmp_path)) for _ in range(4)]
    try:
        await asyncio.gather(*(replaying.recognise(each) for each in others))
        assert {each.register.expected for each in others} == {service.register.name()}
    finally:
        for each in others:
            await each.close()
