"""The whole path on real input: Deskdrop's 72,312 events through the API, the gate, training, recommending and erasing."""

import csv
import gzip
import itertools
import random
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from api import administration
from api.loading import release_url
from api.service import Service
from api.training import Outcome, train_app
from consent.purposes import Purpose
from consent.signals import SIGNALS
from evaluation.datasets import DESKDROP_SIGNALS
from recommender import registry
from tests.api.working import work_all
from tests.conftest import APP, Caller, Clock, fresh_database, serving, settings_for

FILE = Path(__file__).parents[2] / "shared" / "data" / "deskdrop" / "users_interactions.csv.gz"
PURPOSES = tuple(purpose.value for purpose in Purpose)
EVERYTHING = frozenset(SIGNALS)
ERASED = 20
BATCH = 1_000

pytestmark = [
    pytest.mark.deskdrop,
    pytest.mark.skipif(
        not FILE.is_file(), reason="Deskdrop is not in ../shared/data/deskdrop beside the project"
    ),
]


@dataclass(frozen=True)
class Deskdrop:
    """The file as the API takes it: people by the signals that they grant, articles, and events in the file's order."""

    grants: Mapping[str, frozenset[str]]
    articles: tuple[str, ...]
    events: tuple[dict[str, Any], ...]
    leaving: frozenset[str]
    """Those who will be erased: people who grant everything, and two who grant views only."""

    def who_grant(self, signals: frozenset[str]) -> list[str]:
        """The people with exactly these grants."""
        return [person for person, granted in self.grants.items() if granted == signals]


@cache
def deskdrop() -> Deskdrop:
    """Read the file; a seed decides who grants what."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    events = tuple(_event(number, row) for number, row in enumerate(rows))
    people = sorted({row["personId"] for row in rows})
    random.Random(20).shuffle(people)
    all_of_it, views_only = round(0.7 * len(people)), round(0.9 * len(people))
    grants = dict.fromkeys(people[:all_of_it], EVERYTHING)
    grants |= dict.fromkeys(people[all_of_it:views_only], frozenset({"views"}))
    grants |= dict.fromkeys(people[views_only:], frozenset())
    return Deskdrop(
        grants=grants,
        articles=tuple(sorted({row["contentId"] for row in rows})),
        events=events,
        leaving=frozenset(people[: ERASED - 2] + people[all_of_it : all_of_it + 2]),
    )


def _event(number: int, row: Mapping[str, str]) -> dict[str, Any]:
    signal, value = DESKDROP_SIGNALS[row["eventType"]]
    return {
        "event_id": f"row-{number:06d}",
        "user_id": row["personId"],
        "signal": signal,
        "resource_id": row["contentId"],
        "occurred_at": datetime.fromtimestamp(int(row["timestamp"]), UTC).isoformat(),
        **({} if value is None else {"value": value}),
    }


def _resource(article: str) -> dict[str, Any]:
    return {
        "id": article,
        "title": f"Article {article}",
        "summary": "An article of Deskdrop.",
        "url": f"https://deskdrop.example/{article}",
        "kind": "article",
        "languages": ["en"],
        "source": {"name": "Deskdrop", "kind": "community"},
        "evidence": "expert",
        "reviewed_at": "2026-01-01",
        "status": "published",
    }


@asynccontextmanager
async def served(url: str, folder: Path, clock: Clock | None = None) -> AsyncIterator[tuple[Service, Caller]]:
    """A service on an empty database, and a client of it over HTTP."""
    # Nothing changes here unasked, so nobody need look for changes.
    # Fewer cuts than ship: what is shown here is not how well the model predicts.
    settings = settings_for(url, folder, poll_s=60.0, training_config='{"snapshots": {"cuts": 16}}')
    service = Service.create(settings, clock=clock or Clock())
    await administration.ensure_app(service, APP, "Harbour")
    async with serving(service) as client:
        yield service, client


def batches(things: Iterable[Any]) -> Iterable[list[Any]]:
    """Parts of 1,000."""
    rest = iter(things)
    while part := list(itertools.islice(rest, BATCH)):
        yield part


async def load(client: Caller, data: Deskdrop, people: Iterable[str]) -> dict[str, int]:
    """Bring the catalogue, these people's choices and all their events in over HTTP; count what became of the events."""
    for part in batches(map(_resource, data.articles)):
        answer = await client.post("/v1/resources:batch", {"resources": part})
        assert answer.status_code == 200, answer.text
    chosen = set(people)
    for person in data.grants:
        if person in chosen and data.grants[person]:
            await client.consent(person, *sorted(data.grants[person]), purposes=PURPOSES)
    counts = dict.fromkeys(("accepted", "refused", "duplicate", "invalid"), 0)
    for part in batches(event for event in data.events if event["user_id"] in chosen):
        told = await client.events(*part)
        counts = {status: count + told[status] for status, count in counts.items()}
    return counts


async def newest(service: Service) -> registry.ReleaseRecord:
    """The release trained last."""
    async with service.database.read(APP) as connection:
        return (await registry.releases(connection, APP))[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def never_had_them(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Outcome, str]:
    """How training ends, and the digest of its release, in a world in which the 20 who leave never were."""
    data, folder = deskdrop(), tmp_path_factory.mktemp("without")
    async with (
        fresh_database("sqlite", folder, request) as url,
        served(url, folder) as (service, client),
    ):
        await load(client, data, data.grants.keys() - data.leaving)
        outcome = await train_app(service, APP)
        return outcome, (await newest(service)).digest


async def test_the_whole_path(
    database_url: str, tmp_path: Path, clock: Clock, never_had_them: tuple[Outcome, str]
) -> None:
    """Real people's events come in as far as they are granted, are learned from, explained, and unlearned to the bit."""
    data = deskdrop()
    async with served(database_url, tmp_path, clock) as (service, client):
        counts = await load(client, data, data.grants)
        await _only_what_was_granted_is_stored(service, data, counts)
        assert (await train_app(service, APP)).status == "promoted"
        await service.models.refresh()
        await _lists_rest_on_grants_alone(client, data)
        before = await newest(service)
        erasures = await _erase(client, data.leaving)
        await _retrain(service, client, clock, erasures, before)
        outcome, digest = never_had_them
        assert outcome.status == "promoted"
        assert (await newest(service)).digest == digest != before.digest


async def _only_what_was_granted_is_stored(
    service: Service, data: Deskdrop, counts: Mapping[str, int]
) -> None:
    granted = [event for event in data.events if event["signal"] in data.grants[event["user_id"]]]
    assert counts == {
        "accepted": len(granted),
        "refused": len(data.events) - len(granted),
        "duplicate": 0,
        "invalid": 0,
    }
    async with service.database.engine.begin() as connection:
        await connection.execute(text(_SEEN_BY[service.database.is_sqlite]), {"app_id": APP})
        stored = set((await connection.execute(text("SELECT event_id FROM event"))).scalars())
        known = set((await connection.execute(text("SELECT user_hash FROM subject"))).scalars())
    assert stored == {event["event_id"] for event in granted}
    sharing = {service.pseudonyms.user(APP, person) for person, signals in data.grants.items() if signals}
    assert known == sharing
    if service.database.is_sqlite:
        _no_bytes_of_the_others(service, data)


_SEEN_BY = {
    False: "SELECT set_config('assent.app', :app_id, true), set_config('assent.purpose', 'rights', true)",
    True: "SELECT :app_id",
}


def _no_bytes_of_the_others(service: Service, data: Deskdrop) -> None:
    """Nothing of who grants nothing is in the files: neither an event's id nor a pseudonym."""
    path = Path(service.database.engine.url.database or "")
    raw = b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))
    told = {match.decode() for match in re.findall(rb"row-\d{6}", raw)}
    silent = set(data.who_grant(frozenset()))
    assert told
    assert told.isdisjoint(event["event_id"] for event in data.events if event["user_id"] in silent)
    assert not any(service.pseudonyms.user(APP, person) in raw for person in silent)


async def _lists_rest_on_grants_alone(client: Caller, data: Deskdrop) -> None:
    used: set[str] = set()
    for signals, strategy in ((EVERYTHING, "personalised"), (frozenset({"views"}), "personalised"), (frozenset[str](), "editorial")):  # fmt: skip
        strategies = set()
        for person in data.who_grant(signals)[:40]:
            answer = await client.recommend(person, explain="full")
            strategies.add(answer["strategy"])
            assert len(answer["items"]) == 10
            assert set(answer["signals_used"]) <= signals
            assert set(answer["signals_withheld"]) == EVERYTHING - signals
            used.update(answer["signals_used"])
            for item in answer["items"]:
                _adds_up(item, signals)
        assert strategy in strategies
        assert strategies <= {strategy, "editorial"}  # who never used anything gets the editors' list
    assert used == {signal for signal, _ in DESKDROP_SIGNALS.values()}


def _adds_up(item: Mapping[str, Any], signals: frozenset[str]) -> None:
    explanation = item["explanation"]
    told = [part["value"] for part in explanation["contributions"] + explanation["adjustments"]]
    assert explanation["base"] + sum(told) == pytest.approx(item["score"], rel=0, abs=1e-6)
    for part in explanation["contributions"]:
        assert part["signal"] in signals
        assert part["receipt_id"]


async def _erase(client: Caller, people: Iterable[str]) -> list[str]:
    erasures = []
    for person in sorted(people):
        answer = await client.http.delete(f"/v1/users/{person}")
        assert answer.status_code == 202
        erasure = answer.json()["erasure"]
        assert (erasure["status"], erasure["receipt"]) == ("rows_erased", None)
        erasures.append(erasure["erasure_id"])
    return erasures


async def _retrain(
    service: Service, client: Caller, clock: Clock, erasures: Iterable[str], before: registry.ReleaseRecord
) -> None:
    """The worker trains without them once, completes every erasure, and destroys what had learned from them."""
    former = Path(release_url(service.settings.releases_url, APP, before.release_id))
    assert (former / "manifest.json").is_file()
    assert await work_all(service, clock)
    after = await newest(service)
    for erasure_id in erasures:
        done = (await client.get(f"/v1/erasures/{erasure_id}")).json()
        assert done["status"] == "completed"
        assert done["receipt"].count(".") == 2
        assert done["release_before"] == {"id": before.release_id, "digest": before.digest}
        assert done["release_after"] == {"id": after.release_id, "digest": after.digest}
    assert [each.name for each in former.parent.iterdir()] == [after.release_id]
