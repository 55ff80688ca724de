"""Events over HTTP: stored behind the gate and only there, once each, and told of one by one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.service import Service
from api.worker import housekeeping
from consent.signals import SIGNALS, About
from tests.api import witness
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, Clock, event, serving, settings_for

NO_CONSENT = ("refused", "no_consent")


def told(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What became of each event, and why."""
    return [(each["status"], each["code"]) for each in answer["results"]]


async def test_every_event_is_told_of_by_itself(client: Caller) -> None:
    """One batch with a good, a repeated, a wrong and a refused event: each has its outcome, in order, and the sums agree."""
    await client.consent("u1", "views")
    good = event("u1", "views", "box-breathing")
    batch = [good, good, event("u1", "views", "no-such-thing"), event("u1", "saves", "box-breathing")]
    answer = await client.events(*batch)
    assert told(answer) == [
        ("accepted", None),
        ("duplicate", None),
        ("invalid", "unknown_resource"),
        NO_CONSENT,
    ]
    assert [each["event_id"] for each in answer["results"]] == [each["event_id"] for each in batch]
    assert {name: answer[name] for name in ("accepted", "duplicate", "refused", "invalid")} == dict.fromkeys(
        ("accepted", "duplicate", "refused", "invalid"), 1
    )
    assert [each["event_id"] for each in (await exported(client, "u1"))] == [good["event_id"]]


async def exported(client: Caller, user_id: str) -> list[dict[str, Any]]:
    """The events held on a person."""
    document = (await client.get(f"/v1/users/{user_id}/export")).json()
    found: list[dict[str, Any]] = document["events"]
    return found


async def test_a_refused_event_leaves_no_trace(client: Caller, service: Service, database_url: str) -> None:
    """Neither a row nor a byte of what was refused is left, whether its person is known or not; what is accepted is found."""
    await client.consent("known", "views")
    before = await witness.counts(database_url)
    refused = [
        event("known", "topics", topic="refusedtopica", event_id="refused-event-a"),
        event("u-never-seen", "topics", topic="refusedtopicb", event_id="refused-event-b"),
        event("u-never-seen", "views", "box-breathing", event_id="refused-event-c"),
    ]
    assert told(await client.events(*refused)) == [NO_CONSENT] * 3
    assert await witness.counts(database_url) == before
    await client.events(event("known", "views", "box-breathing", event_id="accepted-event"))
    await service.database.scrub()
    stranger = service.pseudonyms.user(APP, "u-never-seen")
    for needle in (b"refused-event-", b"refusedtopic", b"u-never-seen", stranger, stranger.hex().encode()):
        assert not await witness.files_hold(database_url, needle)
    assert await witness.files_hold(database_url, b"accepted-event")


async def test_an_event_is_stored_once(client: Caller, service: Service) -> None:
    """Sending again changes nothing: within a batch, in the next one, or with another content under the same id."""
    await client.consent("u1", "views", "saves")
    first = event("u1", "views", "box-breathing")
    other = {**first, "signal": "saves", "resource_id": "body-scan"}
    assert told(await client.events(first, first)) == [("accepted", None), ("duplicate", None)]
    assert told(await client.events(first, other)) == [("duplicate", None)] * 2
    stored = await exported(client, "u1")
    assert [(each["event_id"], each["signal"], each["resource_id"]) for each in stored] == [
        (first["event_id"], "views", "box-breathing")
    ]


async def test_what_happened_during_a_no_is_refused(client: Caller, clock: Clock) -> None:
    """A yes takes what comes and what was before anybody asked; of the time of a no, or after a yes ran out, it takes nothing."""
    begin = clock()
    await client.consent("u1", "views", state="refused")
    clock.forward(days=10)
    await client.consent("u1", "views")
    clock.forward(days=400)
    await client.consent("u1", "views")
    clock.forward(days=1)
    days = {
        -1: "accepted",
        1: "refused",
        9: "refused",
        11: "accepted",
        374: "accepted",
        376: "refused",
        411: "accepted",
    }
    sent = [
        event("u1", "views", "box-breathing", occurred_at=rfc3339(begin + day * 86_400_000_000))
        for day in days
    ]
    answer = await client.events(*sent)
    assert [each["status"] for each in answer["results"]] == list(days.values())
    assert {each["code"] for each in answer["results"]} == {None, "no_consent"}
    stored = {each["event_id"] for each in await exported(client, "u1")}
    assert stored == {
        each["event_id"] for each, taken in zip(sent, days.values(), strict=True) if taken == "accepted"
    }


@ON_SQLITE
async def test_what_is_wrong_with_an_event_has_a_code(client: Caller, service: Service) -> None:
    """Times, resources, topics and values that cannot be are invalid, each with its code; nothing of them is stored."""
    await client.consent("u1", *SIGNALS)
    soon, late = service.clock() + 4 * 60_000_000, service.clock() + 6 * 60_000_000
    wrong = {
        "in_the_future": event("u1", "views", "box-breathing", occurred_at=rfc3339(late)),
        "too_old": event("u1", "views", "box-breathing", occurred_at="1999-12-31T23:59:59Z"),
        "unknown_resource": event("u1", "views", "nothing-here"),
        "resource_missing": event("u1", "views"),
        "resource_not_expected": event("u1", "check_ins", "box-breathing", value=3),
        "topic_missing": event("u1", "topics"),
        "topic_not_expected": event("u1", "views", "box-breathing", topic="sleep"),
        "value_missing": event("u1", "ratings", "box-breathing"),
        "value_not_expected": event("u1", "views", "box-breathing", value=1),
        "value_out_of_range": event("u1", "ratings", "box-breathing", value=6),
    }
    assert told(await client.events(*wrong.values())) == [("invalid", code) for code in wrong]
    more = [
        event("u1", "ratings", "box-breathing", value=2.5),
        event("u1", "check_ins", value=0),
        event("u1", "time_spent", "box-breathing", value=-1),
        event("u1", "time_spent", "box-breathing", value=86_401),
    ]
    assert told(await client.events(*more)) == [("invalid", "value_out_of_range")] * 4
    assert await exported(client, "u1") == []
    at_the_edge = [
        event("u1", "views", "box-breathing", occurred_at=rfc3339(soon)),
        event("u1", "views", "box-breathing", occurred_at="2000-01-01T00:00:00Z"),
        event("u1", "views", "box-breathing", occurred_at="2026-11-20T10:00:00+02:00"),
    ]
    assert told(await client.events(*at_the_edge)) == [("accepted", None)] * 3


def rfc3339(at: int) -> str:
    """Write microseconds as the API reads them."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat()


@ON_SQLITE
async def test_consent_is_asked_before_anything_else(client: Caller) -> None:
    """Of an event without a grant nothing else is looked at: an unknown resource, a wrong value or time says no_consent too."""
    await client.consent("u1", "views")
    batch = [
        event("u1", "saves", "no-such-thing"),
        event("u1", "ratings", "box-breathing", value=99),
        event("u1", "completions", "box-breathing", occurred_at="1990-01-01T00:00:00Z"),
        event("nobody", "views", "no-such-thing"),
    ]
    assert told(await client.events(*batch)) == [NO_CONSENT] * 4


@pytest.mark.parametrize(
    ("seconds", "band"), [(0, 1), (30, 1), (30.5, 2), (121, 3), (899.9, 4), (86_400, 5)], ids=str
)
def test_time_spent_keeps_a_band_only(seconds: float, band: int) -> None:
    """Seconds become one of five bands."""
    values = SIGNALS["time_spent"].values
    assert values is not None
    assert values.kept(seconds) == band


async def test_the_seconds_are_nowhere(client: Caller, database_url: str) -> None:
    """What is stored of time spent is the band: no column of any table holds what was sent."""
    await client.consent("u1", "time_spent")
    await client.events(event("u1", "time_spent", "box-breathing", value=421.125))
    assert [each["value"] for each in await exported(client, "u1")] == [4.0]
    assert "421.125" not in repr(await witness.everything(database_url))


async def test_each_signal_stores_what_the_catalogue_says(client: Caller) -> None:
    """An event of every signal goes in, and comes out as its own fields and nothing more."""
    await client.consent("u1", *SIGNALS)
    batch = []
    for signal in SIGNALS.values():
        about: dict[str, Any] = {
            About.RESOURCE: {"resource_id": "box-breathing"},
            About.TOPIC: {"topic": "sleep"},
            About.NOTHING: {},
        }[signal.about]
        value: dict[str, Any] = {} if signal.values is None else {"value": 3}
        batch.append(event("u1", signal.id, **about, **value))
    assert told(await client.events(*batch)) == [("accepted", None)] * len(SIGNALS)
    stored = {each["signal"]: each for each in await exported(client, "u1")}
    for sent in batch:
        kept = stored[sent["signal"]]
        assert (kept["resource_id"], kept["topic"]) == (sent.get("resource_id"), sent.get("topic"))
        assert set(kept) == {
            "event_id",
            "signal",
            "resource_id",
            "topic",
            "value",
            "occurred_at",
            "stored_at",
        }


async def test_a_batch_holds_a_thousand(client: Caller, database_url: str) -> None:
    """A thousand events go in at once; of one more, none."""
    await client.consent("u1", "views")
    batch = [event("u1", "views", "box-breathing") for _ in range(1_001)]
    too_many = await client.post("/v1/events", {"events": batch})
    assert (too_many.status_code, too_many.json()["code"]) == (422, "invalid_request")
    assert too_many.json()["errors"][0]["field"] == "events"
    assert (await witness.counts(database_url))["event"] == 0
    assert (await client.events(*batch[:1_000]))["accepted"] == 1_000
    assert (await witness.counts(database_url))["event"] == 1_000


@contextlib.asynccontextmanager
async def beside(client: Caller, url: str, folder: Path, clock: Clock) -> AsyncIterator[Caller]:
    """The same app's client on a second replica of the service, on the same database."""
    other = Service.create(settings_for(url, folder), clock=clock)
    async with serving(other, client.http.headers["Authorization"].removeprefix("Bearer ")) as replica:
        yield replica


async def test_a_withdrawal_is_the_end_whatever_is_under_way(
    client: Caller, database_url: str, tmp_path: Path, clock: Clock
) -> None:
    """Batches race the withdrawal on two replicas: once it is acknowledged, nothing of the signal is stored or ever will be."""
    accepted = 0
    async with beside(client, database_url, tmp_path, clock) as replica:
        for attempt in range(6):
            user = f"u{attempt}"
            await client.consent(user, "views")

            async def send(caller: Caller, user: str = user) -> int:
                batch = [event(user, "views", "box-breathing") for _ in range(20)]
                return int((await caller.events(*batch))["accepted"])

            async def withdraw(user: str = user, attempt: int = attempt) -> list[dict[str, Any]]:
                await asyncio.sleep(attempt * 0.003)
                await replica.consent(user, "views", state="withdrawn")
                return await exported(client, user)

            left, *sent = await asyncio.gather(
                withdraw(), *(send(caller) for caller in (client, replica) for _ in range(4))
            )
            accepted += sum(sent)
            assert left == []
            assert await exported(client, user) == []
            assert await send(client) == 0
    assert accepted > 0, "no batch ever came before a withdrawal: nothing was raced"


async def test_the_same_events_at_once_are_stored_once(
    client: Caller, database_url: str, tmp_path: Path, clock: Clock
) -> None:
    """Retries of one batch that overlap, also in another order, store each event once and fail nobody."""
    await client.consent("u1", "views")
    batch = [event("u1", "views", "box-breathing") for _ in range(1_000)]
    async with beside(client, database_url, tmp_path, clock) as replica:
        answers = await asyncio.gather(
            *(caller.events(*batch[::step]) for caller in (client, replica) for step in (1, -1) * 3)
        )
    assert sum(answer["accepted"] for answer in answers) == len(batch)
    assert sum(answer["duplicate"] for answer in answers) == (len(answers) - 1) * len(batch)
    assert (await witness.counts(database_url))["event"] == len(batch)


async def test_events_are_not_kept_for_longer_than_was_said(
    client: Caller, service: Service, clock: Clock
) -> None:
    """What outlived its retention, or its grant, goes in the worker's housekeeping."""
    await client.consent("u1", "impressions", "views")
    await client.events(event("u1", "impressions", "box-breathing"), event("u1", "views", "box-breathing"))
    clock.forward(days=91)
    assert await housekeeping(service)
    assert [each["signal"] for each in await exported(client, "u1")] == ["views"]
    clock.forward(days=300)
    assert await housekeeping(service)
    assert await exported(client, "u1") == []
