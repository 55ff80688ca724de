"""Servers that are killed in the middle of writing: what was acknowledged is there, once, and nothing else is."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from consent.pseudonyms import Pseudonyms
from tests.api import witness
from tests.chaos.conftest import KILLS, SECONDS
from tests.chaos.fleet import Town, counted, insist
from tests.conftest import APP, NOTICE, event


def choice(state: str, signal: str = "views") -> dict[str, object]:
    """A change of consent."""
    changes = [{"signal": signal, "purpose": "personalise", "state": state}]
    return {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "chaos"}


@dataclass
class Acknowledged:
    """What the service said yes to."""

    choices: dict[str, list[str]] = field(default_factory=dict)
    events: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    over: bool = False

    def counted(self) -> tuple[int, int]:
        """How many choices and events that was."""
        return sum(map(len, self.choices.values())), len(self.events)


async def choosing(http: httpx.AsyncClient, user: str, said: Acknowledged, flying: dict[str, int]) -> None:
    """Somebody changes their mind, again and again."""
    history = said.choices.setdefault(user, [])
    while not said.over:
        state = "withdrawn" if history and history[-1] == "given" else "given"
        with counted(flying, "consent"):
            answer = await insist(http, "PUT", f"/v1/users/{user}/consents", choice(state))
        assert answer.status_code == 200, answer.text
        history.append(state)


async def sending(http: httpx.AsyncClient, said: Acknowledged, flying: dict[str, int]) -> None:
    """An app sends what people did: one who shares it, and one who does not."""
    while not said.over:
        batch = [
            event(user, "saves", "box-breathing") for user in ("shares", "shares", "shares-not", "shares")
        ]
        with counted(flying, "events"):
            answer = await insist(http, "POST", "/v1/events", {"events": batch})
        assert answer.status_code == 200, answer.text
        told = {each["event_id"]: each["status"] for each in answer.json()["results"]}
        said.events |= {event_id for event_id, status in told.items() if status == "accepted"}
        said.refused |= {event_id for event_id, status in told.items() if status == "refused"}
        assert set(told.values()) == {"accepted", "refused"}


def check(town: Town, said: Acknowledged, rows: witness.Rows) -> None:
    """See that the tables hold what was acknowledged and nothing else."""
    pseudonyms = Pseudonyms(town.settings.secret_bytes)
    subjects = {bytes(row["user_hash"]): row["subject_id"] for row in rows["subject"]}
    events = sorted(rows["consent_event"], key=lambda row: int(row["seq"]))
    for user, history in said.choices.items():
        subject_id = subjects[pseudonyms.user(APP, user)]
        lines = [row for row in events if row["subject_id"] == subject_id]
        # Once each, also what the register carried out at a restart before its retry came.
        assert [row["state"] for row in lines] == history
    assert {row["event_id"] for row in rows["event"]} == said.events
    assert not said.refused & said.events
    seqs = [int(row["seq"]) for row in events]
    assert seqs == list(range(min(seqs), min(seqs) + len(seqs)))


async def progress(said: Acknowledged) -> None:
    """Wait until both a choice and events are acknowledged."""
    before = said.counted()
    async with asyncio.timeout(60):
        while not all(now > then for now, then in zip(said.counted(), before, strict=True)):  # noqa: ASYNC110  others count
            await asyncio.sleep(0.01)


async def test_what_was_acknowledged_is_there_once(town: Town, tell: Callable[[str], None]) -> None:
    """A server is killed while people choose and events come in, and restarted; every write is retried under its key until it is acknowledged.

    In the end every person's history is exactly the choices that were acknowledged, in order, and the stored events
    are exactly those that were accepted: none lost, none doubled, none that was refused.
    """
    chance = random.Random(6)
    said, flying = Acknowledged(), dict[str, int]()
    server, kills, in_flight = await town.serve(), 0, {"consent": 0, "events": 0}
    begun = time.monotonic()
    async with town.client() as http, asyncio.timeout(SECONDS + 240):
        assert (
            await insist(http, "PUT", "/v1/users/shares/consents", choice("given", "saves"))
        ).status_code == 200
        crowd = [asyncio.create_task(choosing(http, f"u{n}", said, flying)) for n in range(3)]
        crowd += [asyncio.create_task(sending(http, said, flying)) for _ in range(2)]
        while not kills or (min(in_flight.values()) < KILLS and time.monotonic() - begun < SECONDS):
            await asyncio.sleep(chance.uniform(0.01, 0.8))
            if chance.random() < 0.5:  # otherwise a slow machine would be killed before it ever said yes
                await progress(said)
            for kind in in_flight:
                in_flight[kind] += flying.get(kind, 0) > 0
            town.fleet.kill(server)
            kills += 1
            server = await town.serve()
        said.over = True
        await asyncio.gather(*crowd)
    rows = await witness.everything(town.settings.database_url)
    town.fleet.kill(server)
    check(town, said, rows)
    tell(
        f"{kills} kills ({in_flight['consent']} with consent, {in_flight['events']} with events under way) in "
        f"{time.monotonic() - begun:.0f} s; {said.counted()[0]} choices and {said.counted()[1]} "
        "events acknowledged, none lost, none doubled"
    )
