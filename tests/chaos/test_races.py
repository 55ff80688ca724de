"""Revoking and leaving while events come in and models are trained: after the yes nothing is stored, and nothing learned is served."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from api.jobs import TRAINING, UNLEARNING
from api.service import Service
from tests.api import witness
from tests.chaos.conftest import KILLS, SECONDS
from tests.chaos.fleet import Town, free_port, insist
from tests.chaos.test_erasures import learned
from tests.conftest import APP, NOTICE, event

PURPOSES = ("personalise", "improve")


def choice(state: str) -> dict[str, object]:
    """A choice about saves, for every purpose."""
    changes = [{"signal": "saves", "purpose": purpose, "state": state} for purpose in PURPOSES]
    return {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "chaos"}


@dataclass
class Stream:
    """Events of one person, sent without pause."""

    user: str
    gone: bool = False
    over: bool = False
    accepted: int = 0
    sent_after: int = 0
    ids: set[str] = field(default_factory=set)

    async def run(self, http: httpx.AsyncClient) -> None:
        """Send until told to stop; what is sent after the yes must be refused."""
        while not self.over:
            after = self.gone
            batch = [event(self.user, "saves", "box-breathing") for _ in range(5)]
            self.ids |= {each["event_id"] for each in batch}
            answer = await insist(http, "POST", "/v1/events", {"events": batch})
            told = [each["status"] for each in answer.json()["results"]]
            if after:
                assert set(told) == {"refused"}, told
                self.sent_after += 1
            self.accepted += told.count("accepted")


async def test_nothing_is_stored_after_the_yes(
    trained: Service, town: Town, tell: Callable[[str], None]
) -> None:
    """Two servers take one person's events while they revoke or leave, and a worker trains all the time.

    Once the answer is there, no event of theirs is stored, whenever it was sent; and when all is quiet, no release
    that may have learned from anybody who left is there, or served.
    """
    chance, rounds = random.Random(3), {"withdrawn": 0, "erased": 0}
    streams, erasures = [], []
    other = free_port()
    await town.serve()
    await town.serve(ASSENT_PORT=str(other))
    town.work()
    begun = time.monotonic()
    async with town.client() as http, town.client(other) as second, asyncio.timeout(SECONDS + 240):
        while not all(rounds.values()) or (
            sum(rounds.values()) < 2 * KILLS and time.monotonic() - begun < SECONDS
        ):
            stream = Stream(f"racer-{sum(rounds.values())}")
            path = f"/v1/users/{stream.user}"
            assert (await insist(http, "PUT", f"{path}/consents", choice("given"))).status_code == 200
            running = [asyncio.create_task(stream.run(each)) for each in (http, second, second)]
            await insist(http, "POST", "/v1/releases")
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            if chance.random() < 0.5:
                answer = await insist(http, "PUT", f"{path}/consents", choice("withdrawn"))
                assert answer.status_code == 200
                erasures.append(answer.json()["erasure_id"])
                rounds["withdrawn"] += 1
            else:
                answer = await insist(http, "DELETE", path)
                assert answer.status_code == 202
                erasures.append(answer.json()["erasure"]["erasure_id"])
                rounds["erased"] += 1
            stream.gone = True
            while not stream.sent_after:  # noqa: ASYNC110  the stream tells when asked
                await asyncio.sleep(0.01)
            stream.over = True
            await asyncio.gather(*running)
            streams.append(stream)
        while not all([await complete(http, erasure_id) for erasure_id in erasures]):  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.1)
        while await working(town):  # noqa: ASYNC110  other processes tell by the database
            await asyncio.sleep(0.1)
    rows = await witness.everything(town.settings.database_url)
    stored = {row["event_id"] for row in rows["event"]}
    assert all(not stored & stream.ids for stream in streams)
    assert all(stream.sent_after for stream in streams)
    assert sum(stream.accepted for stream in streams)
    assert not [each for erasure_id in erasures for each in learned(town, rows, erasure_id)]
    (state,) = [row for row in rows["model_state"] if row["app_id"] == APP]
    served = [row["unlearn_epoch"] for row in rows["release"] if row["release_id"] == state["promoted"]]
    assert served in ([], [state["unlearn_epoch"]])
    tell(
        f"{rounds['withdrawn']} withdrawals and {rounds['erased']} erasures in {time.monotonic() - begun:.0f} s, "
        f"{sum(stream.accepted for stream in streams)} events accepted before them, none left; "
        f"{sum(row['status'] != 'storing' for row in rows['release'])} trainings, none served that had learned from who left"
    )


async def complete(http: httpx.AsyncClient, erasure_id: str) -> bool:
    """Whether an erasure is complete."""
    return bool((await http.get(f"/v1/erasures/{erasure_id}")).json()["status"] == "completed")


async def working(town: Town) -> bool:
    """Whether there is a training or an unlearning under way or waiting."""
    rows = await witness.table(town.settings.database_url, "job")
    kinds = {TRAINING, UNLEARNING}
    return any(row["status"] in {"waiting", "running"} and row["kind"] in kinds for row in rows)
