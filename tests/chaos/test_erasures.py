"""Servers and workers that are killed at every step of erasures: each erasure ends complete, and none says so before it is."""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.service import Service
from consent.erasure import COMPLETED, STEPS
from consent.pseudonyms import Pseudonyms
from tests.api import witness
from tests.chaos.conftest import KILLS, SECONDS
from tests.chaos.fleet import Town, insist
from tests.chaos.watching import Watch, reading
from tests.conftest import APP

AT_ONCE = min(12, KILLS)
"""Erasures that are under way at a time, so that there is always one at the step that is aimed at."""
IN_THE_REQUEST = ("recorded", "rows_erased")
"""The steps that the server does, in the transaction of the request; the others are the worker's."""


def remains(town: Town, rows: witness.Rows, user: str, subject_id: str) -> list[str]:
    """The tables in which something of a person is left."""
    user_hash = Pseudonyms(town.settings.secret_bytes).user(APP, user)
    return [
        table
        for table, found in rows.items()
        if any(row.get("subject_id") == subject_id or row.get("user_hash") == user_hash for row in found)
    ]


def learned(town: Town, rows: witness.Rows, erasure_id: str) -> list[str]:
    """The releases that may have learned from somebody and of which anything is left: in a table, on the disk, or served."""
    (erasure,) = [row for row in rows["erasure"] if row["erasure_id"] == erasure_id]
    old = [row for row in rows["release"] if row["unlearn_epoch"] < erasure["unlearn_epoch"]]
    served = [row["promoted"] for row in rows["model_state"] if row["app_id"] == APP]
    return [
        row["release_id"]
        for row in old
        if row["status"] != "destroyed"
        or (Path(town.settings.releases_url) / APP / row["release_id"]).exists()
        or row["release_id"] in served
    ]


@dataclass
class Departures:
    """People who leave, several at a time; who is told that it is done is looked for in every table."""

    town: Town
    http: httpx.AsyncClient
    subjects: dict[bytes, str]
    numbers: Iterator[int] = field(default_factory=itertools.count)
    leaving: set[asyncio.Task[None]] = field(default_factory=set)
    complete: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    unanswered: int = 0

    def somebody_leaves(self) -> None:
        """Let the next person ask for it: people who were learned from and, when none is left, people never seen."""
        self.leaving.add(asyncio.create_task(self._leave(f"simulated-{next(self.numbers)}")))

    async def _leave(self, user: str) -> None:
        self.unanswered += 1
        answer = await insist(self.http, "DELETE", f"/v1/users/{user}")
        self.unanswered -= 1
        assert answer.status_code == 202, answer.text
        subject_id = self.subjects.get(Pseudonyms(self.town.settings.secret_bytes).user(APP, user), "nobody")
        rows = await witness.everything(self.town.settings.database_url)
        assert not remains(self.town, rows, user, subject_id)
        self.told.append(answer.json()["erasure"]["erasure_id"])

    def asking(self) -> int:
        """How many have asked, and were not answered yet or not looked for; what went wrong with one is raised."""
        for each in [each for each in self.leaving if each.done()]:
            self.leaving.remove(each)
            each.result()
        return len(self.leaving)

    async def watch(self) -> int:
        """Ask how every erasure stands; what says that it is complete must be so. Returns how many are not yet.

        Also those that the register alone knew when a server was killed, and which the next one carried out.
        """
        url = self.town.settings.database_url
        rows = await witness.table(url, "erasure")
        said = {row["erasure_id"] for row in rows if row["status"] == COMPLETED} - self.complete
        found = await witness.everything(url) if said else {}
        for erasure_id in said:
            assert not learned(self.town, found, erasure_id), "an erasure was told complete too early"
            with contextlib.suppress(httpx.TransportError):
                answer = await self.http.get(f"/v1/erasures/{erasure_id}")
                if answer.status_code == 200:
                    assert answer.json()["receipt"]
                    assert list(answer.json()["steps"]) == list(STEPS)
                    self.complete.add(erasure_id)
        return len(rows) - len(self.complete)


@dataclass
class Killer:
    """Kills a server or a worker again and again, each time at the step at which it was killed least so far."""

    town: Town
    watch: Watch
    people: Departures
    chance: random.Random
    until: float
    killed: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(STEPS, 0)))
    kills: int = 0
    server: int = 0

    def _least(self, steps: tuple[str, ...]) -> str | None:
        """The step to aim at; None when each was hit often enough, or the time is over and one was hit."""
        step = min(steps, key=lambda each: self.killed[each])
        hit = any(self.killed[each] for each in steps)
        over = self.killed[step] >= KILLS or (hit and time.monotonic() > self.until)
        return None if over else step

    async def servers(self) -> None:
        """Kill servers while people ask to leave: before that is recorded outside the database, or before the commit."""
        self.server = await self.town.serve()
        while step := self._least(IN_THE_REQUEST):
            before = set(self.watch.recorded())
            self.people.asking()
            if not self.people.unanswered:
                self.people.somebody_leaves()
                await asyncio.sleep(0)
            while step == "rows_erased" and before >= set(self.watch.recorded()) and self.people.unanswered:  # noqa: ASYNC110  other processes tell by the folder
                await asyncio.sleep(0.0005)
            await asyncio.sleep(self.chance.uniform(0, 0.002 if step == "rows_erased" else 0.06))
            asking = self.people.unanswered
            self.town.fleet.kill(self.server)
            self.kills += 1
            await asyncio.sleep(0.02)  # in which PostgreSQL ends what was on its way to it
            if await self.watch.unheard() - before:
                self.killed["rows_erased"] += 1
            elif asking and before >= set(self.watch.recorded()):
                self.killed["recorded"] += 1
            self.server = await self.town.serve()

    async def workers(self) -> None:
        """Kill workers at the steps after that, while there are always some people who leave."""
        steps, worker = tuple(each for each in STEPS if each not in IN_THE_REQUEST), self.town.work()
        while step := self._least(steps):
            waiting = await self.people.watch()
            if waiting + self.people.asking() < AT_ONCE // 2 + 1:
                for _ in range(AT_ONCE - waiting - self.people.asking()):
                    self.people.somebody_leaves()
            await self._reach(step)
            await asyncio.sleep(self.chance.uniform(0, 0.01))
            self.town.fleet.kill(worker)
            self.kills += 1
            self.killed.update(await self.watch.count())
            worker = self.town.work()

    async def _reach(self, step: str) -> None:
        """Wait until a worker is at a step, and for a while only: somebody else may have to leave first."""
        patience = time.monotonic() + (1 if step == "scrubbed" else 8)
        while not (await self.watch.at())[step] and time.monotonic() < patience:  # noqa: ASYNC110  the database tells when asked
            await asyncio.sleep(0.001)


async def test_every_erasure_ends_complete(trained: Service, town: Town, tell: Callable[[str], None]) -> None:
    """Servers and workers are killed at each step of erasures while people leave, and started again.

    Rows are gone as soon as the deletion was acknowledged; an erasure is told complete only when no release that
    learned from the person is left in any table or folder, and each one gets there. Nothing is left for an operator.
    """
    begun = time.monotonic()
    rows = await witness.table(town.settings.database_url, "subject")
    subjects = {bytes(row["user_hash"]): row["subject_id"] for row in rows}
    async with (
        town.client() as http,
        reading(town.settings.database_url) as read,
        asyncio.timeout(SECONDS + 300),
    ):
        people = Departures(town, http, subjects)
        killer = Killer(town, Watch(town, read), people, random.Random(9), begun + SECONDS)
        async with asyncio.TaskGroup() as killers:
            killers.create_task(killer.servers())
            killers.create_task(killer.workers())
        while people.asking():  # noqa: ASYNC110  other processes tell by their answers
            await asyncio.sleep(0.1)
        # Whatever was recorded and then ran into its deadline is carried out at the next start.
        town.fleet.kill(killer.server)
        await town.serve()
        while await killer.watch.unheard() or await people.watch():  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.1)
        took = time.monotonic() - begun
    rows = await witness.table(town.settings.database_url, "erasure")
    assert set(people.told) <= people.complete == {row["erasure_id"] for row in rows}
    jobs = await witness.table(town.settings.database_url, "job")
    assert not [row for row in jobs if row["status"] == "dead"]
    tell(
        f"{killer.kills} kills in {took:.0f} s, at {dict(killer.killed)}, over {len(rows)} erasures, "
        f"of which {len(people.told)} were acknowledged: all complete, none early"
    )
