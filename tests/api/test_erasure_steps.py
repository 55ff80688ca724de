"""The steps of an erasure: each may fail, or be cut off, at any point; it goes on from there, and ends once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from api import erasure_steps, jobs
from api.jobs import ERASURE, Job
from api.loading import release_url
from api.service import Service
from api.worker import KINDS, work_once
from consent import erasure
from consent.erasure import STEPS, Erasure
from recommender import registry
from recommender import release_files as releases
from recommender.registry import ReleaseRecord
from tests.api import community, witness
from tests.api.full import live_fully
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all, work_until
from tests.conftest import APP, Caller, Clock, serving


async def found(client: Caller, erasure_id: str) -> dict[str, Any]:
    """How far an erasure has come, as the API tells it."""
    answer = await client.get(f"/v1/erasures/{erasure_id}")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


async def has_done(client: Caller, erasure_id: str, step: str) -> bool:
    """Whether an erasure has a step behind it."""
    steps: dict[str, str] = (await found(client, erasure_id))["steps"]
    return step in steps


async def waits_for_training(client: Caller, erasure_id: str) -> bool:
    """Whether an erasure can only go on when a training ends."""
    status: str = (await found(client, erasure_id))["status"]
    return status == "retraining"


async def leave(client: Caller, user_id: str) -> str:
    """Delete somebody; the erasure's id."""
    answer = await client.http.delete(f"/v1/users/{user_id}")
    assert answer.status_code == 202
    erasure_id: str = answer.json()["erasure"]["erasure_id"]
    return erasure_id


def write_files(service: Service, name: str) -> Path:
    """Write files as a release has them."""
    folder = Path(release_url(service.settings.releases_url, APP, name))
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "shard-0.safetensors").write_bytes(b"learned")
    return folder


async def pretend_release(service: Service, name: str, epoch: int = 0) -> Path:
    """Register and promote a release that has files, without training one; it may have learned from all who agree to the end."""
    record = ReleaseRecord(name, "candidate", "0" * 64, epoch, {}, service.clock(), None)
    async with service.database.write(APP) as connection:
        await registry.begin_reading(connection, APP, 2**62)
        await registry.add_release(connection, APP, record)
        assert await registry.promote(connection, APP, record, service.clock())
    return write_files(service, name)


async def test_the_whole_sequence(service: Service, client: Caller, clock: Clock) -> None:
    """Rows, training, memory, files, receipt: in this order, each with its time, and the receipt tells of all."""
    await community.settle_in(service)
    before = await community.train(service)
    erasure_id = await leave(client, "simulated-3")
    assert list((await found(client, erasure_id))["steps"]) == ["recorded", "rows_erased"]
    await work_all(service, clock)
    done = await found(client, erasure_id)
    assert done["status"] == "completed"
    assert list(done["steps"]) == list(STEPS)
    assert list(done["steps"].values()) == sorted(done["steps"].values())
    assert done["release_before"]["id"] == before
    assert done["release_after"]["id"] not in {None, before}
    assert [each["id"] for each in done["releases_destroyed"]] == [before]
    assert releases.stored(release_url(service.settings.releases_url, APP, "")) == [
        done["release_after"]["id"]
    ]
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    signed = json.loads(jws.deserialize_compact(done["receipt"], keys, algorithms=["Ed25519"]).payload)
    assert signed["type"] == "erasure"
    for name in (
        "release_before",
        "release_after",
        "releases_destroyed",
        "steps",
        "deadline",
        "backups_until",
    ):
        assert signed[name] == done[name]
    assert signed["rows_removed"] == done["counts"]


async def test_a_withdrawal_goes_through_the_same_steps(
    service: Service, client: Caller, clock: Clock
) -> None:
    """Taking one signal back removes its rows, retrains, and destroys what had learned from them; its number tells how far it is."""
    await community.settle_in(service)
    before = await community.train(service)
    user_id = "simulated-3"
    held = (await client.get(f"/v1/users/{user_id}/export")).json()
    signal = held["events"][0]["signal"]
    rows = sum(each["signal"] == signal for each in held["events"])
    answer = await client.consent(
        user_id, signal, purposes=("personalise", "improve", "measure"), state="withdrawn"
    )
    pending = await found(client, answer["erasure_id"])
    assert (pending["kind"], pending["status"], pending["counts"]) == (
        "withdrawal",
        "rows_erased",
        {"event": rows},
    )
    await work_all(service, clock)
    done = await found(client, answer["erasure_id"])
    assert (done["status"], list(done["steps"])) == ("completed", list(STEPS))
    assert [each["id"] for each in done["releases_destroyed"]] == [before]
    left = (await client.get(f"/v1/users/{user_id}/export")).json()["events"]
    assert [each["event_id"] for each in left] == [
        each["event_id"] for each in held["events"] if each["signal"] != signal
    ]


@ON_SQLITE
async def test_files_are_destroyed_wherever_releases_lie(
    service: Service, clock: Clock, tmp_path: Path
) -> None:
    """A path with letters that stand for others in patterns is a path like any other."""
    elsewhere = service.settings.model_copy(update={"releases_url": str(tmp_path / "rel[prod]*")})
    placed = Service.create(elsewhere, clock=clock)
    async with serving(placed) as client:
        folder = await pretend_release(placed, "r-1")
        await live_fully(placed, client, "u1")
        erasure_id = await leave(client, "u1")
        await work_all(placed, clock)
        done = await found(client, erasure_id)
        assert [each["id"] for each in done["releases_destroyed"]] == ["r-1"]
        assert not folder.exists()


@ON_SQLITE
async def test_giving_and_refusing_erase_nothing(service: Service, client: Caller) -> None:
    """A choice that takes nothing back has no number."""
    assert (await client.consent("u1", "views"))["erasure_id"] is None
    assert (await client.consent("u1", "saves", state="refused"))["erasure_id"] is None
    assert (await client.consent("u1", "views", state="withdrawn"))["erasure_id"]


LONG_S = 600.0
"""A lease that is not over by itself while a test runs."""


class Cut(Exception):
    """The process ends here."""


def _cut_before(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    async def cut(*_: object) -> None:
        raise Cut

    monkeypatch.setitem(erasure_steps._STEPS, step, cut)


def _cut_after(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    done: Callable[..., Any] = erasure_steps._STEPS[step]

    async def cut(*arguments: object) -> None:
        await done(*arguments)
        raise Cut

    monkeypatch.setitem(erasure_steps._STEPS, step, cut)


@pytest.mark.parametrize("cut", [_cut_before, _cut_after])
@pytest.mark.parametrize("step", ["scrubbed", "retrained", "let_go", "destroyed"])
async def test_a_step_that_is_cut_off_is_taken_up_again(
    service: Service,
    client: Caller,
    clock: Clock,
    step: str,
    cut: Callable[[pytest.MonkeyPatch, str], None],
) -> None:
    """Cut off before a step's effect or between effect and record, an erasure does not end early, and ends complete."""
    folder = await pretend_release(service, "r-1")
    await live_fully(service, client, "u1")
    erasure_id = await leave(client, "u1")
    with pytest.MonkeyPatch.context() as patched:
        cut(patched, step)
        for _ in range(6):
            await work_once(service)
            clock.forward(days=70 / 86_400)
        halfway = await found(client, erasure_id)
        assert halfway["status"] != "completed"
        assert step not in halfway["steps"]
        assert halfway["receipt"] is None
    await work_all(service, clock)
    done = await found(client, erasure_id)
    assert (done["status"], set(done["steps"])) == ("completed", set(STEPS))
    assert [each["id"] for each in done["releases_destroyed"]] == ["r-1"]
    assert not folder.exists()


@ON_SQLITE
async def test_nothing_is_destroyed_while_a_process_may_serve_it_from_memory(
    service: Service, client: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the switch and the destruction passes the lease on what processes hold in memory."""
    monkeypatch.setattr(erasure_steps, "memory_lease_s", lambda _: LONG_S)
    folder = await pretend_release(service, "r-1")
    await live_fully(service, client, "u1")
    erasure_id = await leave(client, "u1")
    await work_until(service, clock, lambda: has_done(client, erasure_id, "retrained"))
    waiting = await found(client, erasure_id)
    assert list(waiting["steps"])[-1] == "retrained"
    assert waiting["status"] != "completed"
    assert (folder / "manifest.json").exists()
    clock.forward(days=LONG_S / 86_400)
    await work_all(service, clock)
    assert (await found(client, erasure_id))["status"] == "completed"
    assert not folder.exists()


@ON_SQLITE
async def test_a_clock_set_back_does_not_hold_an_erasure_up(
    service: Service, client: Caller, clock: Clock
) -> None:
    """When the clock goes back a year in the middle, the wait begins anew and ends."""
    await pretend_release(service, "r-1")
    await live_fully(service, client, "u1")
    erasure_id = await leave(client, "u1")
    await work_until(service, clock, lambda: has_done(client, erasure_id, "retrained"))
    clock.forward(days=-365)
    await work_all(service, clock)
    assert (await found(client, erasure_id))["status"] == "completed"


@ON_SQLITE
async def test_without_a_training_the_deadline_is_kept_without_a_model(
    service: Service, client: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no training comes to an end, the app goes without a model before the deadline, and old releases are destroyed.

    An operator sees what fails; mended and tried again, it gives the app a model, without anybody asking for a training.
    """

    async def broken(*_: object, **__: object) -> None:
        raise Cut

    await community.settle_in(service)
    for name in ("train_app", "unlearn_app"):
        monkeypatch.setattr(f"api.worker.{name}", broken)
    folder = await pretend_release(service, "r-1")
    await live_fully(service, client, "u1")
    erasure_id = await leave(client, "u1")
    await work_until(service, clock, lambda: waits_for_training(client, erasure_id))
    deadline = service.settings.erasure_deadline_h
    for _ in range(4 * deadline):
        clock.forward(days=1 / 96)
        while await work_once(service):
            pass
    done = await found(client, erasure_id)
    assert done["status"] == "completed"
    assert done["completed_at"] < done["deadline"]
    assert done["release_after"] == {"id": None, "digest": None}
    assert not folder.exists()
    async with service.database.read("") as connection:
        seen = await jobs.jobs(connection, ["waiting", "dead"], 10)
    assert {each.kind for each in seen if each.outcome == "Cut"} == {"training", "unlearning"}
    monkeypatch.undo()
    async with service.database.write("") as connection:
        for each in seen:
            assert await jobs.retry(connection, each.job_id)
    await work_all(service, clock)
    async with service.database.read(APP) as connection:
        assert (await registry.find_model_state(connection, APP)).promoted


@ON_SQLITE
async def test_a_reader_that_holds_the_log_is_waited_for(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """While someone still reads an old moment, the bytes stay in the write-ahead log, and the erasure says so by not ending."""
    who = await live_fully(service, client, "u1")
    async with service.database.read(APP) as connection:
        assert await erasure.ever_granted(connection, APP, who.subject_id, "improve", clock())
        erasure_id = await leave(client, "u1")
        await work_once(service)
        assert "scrubbed" not in (await found(client, erasure_id))["steps"]
        assert await witness.files_hold(database_url, who.subject_id.encode())
    await work_all(service, clock)
    assert (await found(client, erasure_id))["status"] == "completed"
    assert not await witness.files_hold(database_url, who.subject_id.encode())


@ON_SQLITE
async def test_two_workers_on_one_erasure_end_it_once(service: Service, client: Caller, clock: Clock) -> None:
    """A worker that lost its lease records nothing: there is one receipt."""
    await live_fully(service, client, "u1")
    erasure_id = await leave(client, "u1")
    await asyncio.gather(*(work_once(service) for _ in range(4)))
    await work_all(service, clock)
    receipt = (await found(client, erasure_id))["receipt"]
    await work_all(service, clock)
    assert (await found(client, erasure_id))["receipt"] == receipt


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[Erasure]:
    """Every erasure that is recorded as completed, as often as it is."""
    noted: list[Erasure] = []
    record = erasure.record

    async def note(connection: Any, done: Erasure) -> None:
        await record(connection, done)
        noted.extend([done] if done.status == erasure.COMPLETED else [])

    monkeypatch.setattr(erasure, "record", note)
    return noted


async def two_jobs(service: Service, erasure_id: str) -> list[Job]:
    """Two jobs under way about the same erasure: one that runs does not serve who asks meanwhile."""
    held = []
    for _ in range(2):
        async with service.database.write(APP) as connection:
            await jobs.enqueue(connection, APP, ERASURE, now=service.clock(), about=erasure_id)
        async with service.database.write("") as connection:
            job = await jobs.lease(connection, {ERASURE: KINDS[ERASURE]}, service.clock())
            assert job is not None
            held.append(job)
    assert held[0].job_id != held[1].job_id
    return held


async def test_two_jobs_at_once_end_an_erasure_once(
    service: Service, client: Caller, signed: list[Erasure]
) -> None:
    """Of two workers with a job each about the same erasure one signs its receipt."""
    for number in range(5):
        await live_fully(service, client, f"u{number}")
        held = await two_jobs(service, await leave(client, f"u{number}"))
        ended = await asyncio.gather(*(erasure_steps.advance(service, each) for each in held))
        assert ended == ["completed", "completed"]
    assert len(signed) == 5


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("step", ["scrubbed", "retrained", "let_go", "destroyed"])
async def test_a_job_that_lags_behind_takes_nothing_back(
    service: Service,
    client: Caller,
    signed: list[Erasure],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    later: bool,
) -> None:
    """Held up before or after any step until another job completed the erasure, it changes nothing of it."""
    await live_fully(service, client, "u1")
    erasure_id = await leave(client, "u1")
    lags, goes = await two_jobs(service, erasure_id)
    do = erasure_steps._STEPS[step]

    async def held_up(*arguments: Any) -> Any:
        monkeypatch.setitem(erasure_steps._STEPS, step, do)
        done = await do(*arguments) if later else None
        assert await erasure_steps.advance(service, goes) == "completed"
        return done if later else await do(*arguments)

    monkeypatch.setitem(erasure_steps._STEPS, step, held_up)
    assert await erasure_steps.advance(service, lags) == "completed"
    assert [each.receipt for each in signed] == [(await found(client, erasure_id))["receipt"]]
