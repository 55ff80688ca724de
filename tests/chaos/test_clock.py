"""A clock that is set back under running processes: the last choice counts, work goes on, erasures end, nothing comes back."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from api.service import Service
from tests.api import witness
from tests.chaos.fleet import Fleet, Town, insist
from tests.chaos.test_erasures import learned
from tests.chaos.test_processes import until
from tests.chaos.test_races import choice, complete
from tests.conftest import APP, event

DAY = 86_400_000_000
DAYS = 30


class Hands:
    """The hands of the clock that a fleet's processes read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(days=0)

    def set(self, *, days: int) -> None:
        """Set the clock; every process sees it at its next look."""
        part = self.file.with_suffix(".part")
        part.write_text(str(days * DAY), "utf-8")
        part.replace(self.file)


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    """A clock that can be set."""
    return Hands(tmp_path / "clock")


@pytest.fixture
def elsewhere(hands: Hands, town: Town, tmp_path: Path) -> Iterator[Town]:
    """The town, with processes that live by that clock."""
    fleet = Fleet(tmp_path, hands.file)
    yield Town(fleet, town.settings, town.key)
    fleet.close()


async def since(http: httpx.AsyncClient, user: str, state: str) -> datetime:
    """See that somebody's saves stand so, and return since when."""
    cells = (await http.get(f"/v1/users/{user}/consents")).json()["consents"]
    (cell,) = [each for each in cells if (each["signal"], each["purpose"]) == ("saves", "personalise")]
    assert cell["state"] == state
    return datetime.fromisoformat(cell["since"])


async def stored(http: httpx.AsyncClient, user: str) -> int:
    """How many of two events of somebody are accepted."""
    batch = [event(user, "saves", "box-breathing", occurred_at="2020-01-01T08:00:00Z") for _ in range(2)]
    return int((await insist(http, "POST", "/v1/events", {"events": batch})).json()["accepted"])


async def test_a_clock_that_is_set_back(
    trained: Service, elsewhere: Town, hands: Hands, tell: Callable[[str], None]
) -> None:
    """The clock of a running server and worker goes back a month, in the middle of a training whose worker is then killed.

    Who turned something on before and off after has it off, also when the clock is right again; the next worker takes
    the training over; who leaves is gone from every release.
    """
    town = elsewhere
    await town.serve()
    worker = town.work(ASSENT_JOB_LEASE_S="3600")
    async with town.client() as http, asyncio.timeout(240):
        assert (await insist(http, "PUT", "/v1/users/u1/consents", choice("given"))).status_code == 200
        given = await since(http, "u1", "given")
        assert await stored(http, "u1") == 2
        assert (await insist(http, "POST", "/v1/releases")).status_code == 202
        await until(town, "running")
        hands.set(days=-DAYS)
        town.fleet.kill(worker)
        worker = town.work()  # the lease of the dead one ends in a month and an hour
        assert (await insist(http, "PUT", "/v1/users/u1/consents", choice("withdrawn"))).status_code == 200
        assert (given - await since(http, "u1", "withdrawn")).days >= DAYS - 1
        assert await stored(http, "u1") == 0
        assert (await http.post("/v1/recommendations", json={"user_id": "u1"})).status_code == 200
        left = (await insist(http, "DELETE", "/v1/users/simulated-0")).json()["erasure"]["erasure_id"]
        while not await complete(http, left):  # noqa: ASYNC110  other processes tell by their answers
            await asyncio.sleep(0.1)
        hands.set(days=0)
        await since(http, "u1", "withdrawn")
        assert await stored(http, "u1") == 0
    rows = await witness.everything(town.settings.database_url)
    assert not learned(town, rows, left)
    assert [row["status"] for row in rows["job"] if row["kind"] == "training" and row["app_id"] == APP][
        :1
    ] == ["done"]
    assert rows["event"]
    assert not [row for row in rows["event"] if row["signal"] == "saves"]
    tell(f"set back {DAYS} days in mid-training, and forth again")
