"""Recommendations over HTTP: from what is granted at this very moment, explained to the last digit, and nothing written."""

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from api import administration, schema
from api.app import create_app
from api.keys import Scope
from api.service import Service
from consent import notices as published
from consent.notices import Notices, Revision
from consent.signals import SIGNALS
from recommender.exchange import shipped
from tests.api import community, witness
from tests.conftest import APP, Caller, Clock, event, settings_for

LIVELY = ("views", "saves", "ratings", "topics", "check_ins", "impressions")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a SQLite database of a community, and the release trained on it; to be copied."""
    folder = tmp_path_factory.mktemp("trained")

    async def make() -> None:
        url = f"sqlite:///{folder / 'assent.db'}"
        await schema.migrate(url)
        service = Service.create(settings_for(url, folder))
        await administration.ensure_app(service, APP, "Harbour")
        await administration.import_catalog(service, APP, shipped())
        await community.settle_in(service)
        await community.train(service)
        await service.database.scrub()
        await service.close()

    with asyncio.Runner() as runner:
        runner.run(make())
    return folder  # type: ignore[return-value]  # nothing to tidy up


@pytest.fixture
async def service(trained: Path, tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    """A service on a copy of the trained community."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    made = Service.create(settings_for(f"sqlite:///{tmp_path / 'assent.db'}", tmp_path), clock=clock)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def started(service: Service) -> AsyncIterator[Caller]:
    """A client with every scope of an application around a service."""
    app = create_app(service)
    key = await administration.create_key(service, APP, "test", [Scope.ADMIN])
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test",
            headers={"Authorization": f"Bearer {key.text}"},
        ) as http,
    ):
        yield Caller(http)


async def lead_a_life(client: Caller, user_id: str = "u1") -> None:
    """Let somebody share six signals, and send what they did under each."""
    await client.consent(user_id, *LIVELY)
    sent = await client.events(
        event(user_id, "views", "sleep-wind-down"),
        event(user_id, "views", "box-breathing", occurred_at="2026-11-19T08:00:00Z"),
        event(user_id, "saves", "body-scan"),
        event(user_id, "ratings", "grounding-54321", value=5),
        event(user_id, "topics", topic="sleep"),
        event(user_id, "check_ins", value=2),
        event(user_id, "impressions", "worry-time"),
    )
    assert sent["accepted"] == 7, sent


def ids(answer: dict[str, Any]) -> list[str]:
    """The resources of an answer, in order."""
    return [item["resource"]["id"] for item in answer["items"]]


def ranked(answer: dict[str, Any]) -> list[tuple[str, float]]:
    """The resources of an answer with their scores."""
    return [(item["resource"]["id"], item["score"]) for item in answer["items"]]


def check_sums(answer: dict[str, Any]) -> int:
    """See that every item's reasons add up to its score; returns how many reasons there were."""
    reasons = 0
    for item in answer["items"]:
        told = item["explanation"]
        parts = [told["base"], *(each["value"] for each in told["contributions"] + told["adjustments"])]
        assert sum(parts) == pytest.approx(item["score"], abs=1e-6)
        reasons += len(told["contributions"])
    return reasons


async def test_who_shares_nothing_gets_the_editors_list(client: Caller) -> None:
    """Somebody never seen gets a useful list, no reason from any signal, the support block and the three controls."""
    answer = await client.recommend("never-seen", explain="full")
    assert (answer["strategy"], answer["signals_used"]) == ("editorial", [])
    assert answer["signals_withheld"] == list(SIGNALS)
    assert len(answer["items"]) == 10
    assert [item["rank"] for item in answer["items"]] == list(range(1, 11))
    assert check_sums(answer) == 0
    assert answer["support"]
    assert set(answer["controls"]) == {"settings_url", "why_url", "erase_url"}


async def test_refusing_and_withdrawing_give_the_same_list_as_never_asking(client: Caller) -> None:
    """Refusing costs nothing: who refused or withdrew everything is answered as somebody never seen."""
    await client.consent("refused", *SIGNALS, state="refused")
    await lead_a_life(client, "withdrew")
    await client.consent("withdrew", *LIVELY, state="withdrawn")
    expected = ranked(await client.recommend("never-seen", limit=100))
    for user_id in ("refused", "withdrew"):
        answer = await client.recommend(user_id, limit=100)
        assert (ranked(answer), answer["signals_used"]) == (expected, [])


@pytest.mark.parametrize("region", [None, "GB", "US", "ES", "ZZ"])
async def test_support_is_in_every_answer(client: Caller, region: str | None) -> None:
    """Where to turn in a crisis is told whatever the filter leaves, for every region, and for who is unknown."""
    await lead_a_life(client)
    context = {} if region is None else {"region": region, "locale": "es"}
    for user_id in ("u1", "never-seen"):
        for wanted in ({}, {"topics": ["no_such_topic"]}):
            answer = await client.recommend(user_id, context=context, filter=wanted, explain="none")
            assert answer["support"]
            assert bool(answer["items"]) is not bool(wanted)


@pytest.mark.parametrize("explain", ["full", "short"])
@pytest.mark.parametrize(
    "more", [{}, {"diversity": 0.7}, {"context": {"topics": ["sleep", "grief"], "region": "GB"}}], ids=str
)
async def test_reasons_add_up_to_the_score(client: Caller, explain: str, more: dict[str, Any]) -> None:
    """Base, contributions and adjustments are the score, in full and in short, and each names its consent."""
    await lead_a_life(client)
    answer = await client.recommend("u1", limit=100, explain=explain, **more)
    assert answer["strategy"] == "personalised"
    assert answer["release"]
    assert check_sums(answer) > 0
    scores = [item["score"] for item in answer["items"]]
    assert more.get("diversity") or scores == sorted(scores, reverse=True)
    receipts = {
        each["signal"]: each["receipt_id"]
        for each in (await client.get("/v1/users/u1/consents")).json()["consents"]
        if each["purpose"] == "personalise" and each["receipt_id"]
    }
    for item in answer["items"]:
        for each in item["explanation"]["contributions"]:
            assert each["signal"] in {*receipts, "context", "other"}
            assert each["receipt_id"] == receipts.get(each["signal"])


async def test_only_granted_signals_take_part(client: Caller) -> None:
    """`signals_used` is within the grants, used and withheld never overlap, and contributions come from used signals only."""
    await lead_a_life(client)
    await client.consent("u1", "saves", "ratings", state="withdrawn")
    await client.consent("u1", "completions", purposes=("improve", "measure"))
    await client.events(event("u1", "completions", "body-scan"))
    answer = await client.recommend("u1", explain="full", limit=50)
    granted = {"views", "topics", "check_ins", "impressions"}
    assert {"views"} <= set(answer["signals_used"]) <= granted
    assert set(answer["signals_withheld"]) == set(SIGNALS) - granted
    told = {each["signal"] for item in answer["items"] for each in item["explanation"]["contributions"]}
    assert told <= set(answer["signals_used"])


async def test_a_change_of_consent_acts_at_the_very_next_request(client: Caller) -> None:
    """Off: the next list is without the signal. On again, with the same events sent again: the next list is with it."""
    await lead_a_life(client)
    before = await client.recommend("u1", limit=50)
    assert "views" in before["signals_used"]
    await client.consent("u1", "views", state="withdrawn")
    off = await client.recommend("u1", limit=50)
    assert "views" not in off["signals_used"]
    assert ranked(off) != ranked(before)
    await client.consent("u1", "views")
    assert ranked(await client.recommend("u1", limit=50)) == ranked(off)  # its events went with it
    await client.events(
        event("u1", "views", "sleep-wind-down"),
        event("u1", "views", "box-breathing", occurred_at="2026-11-19T08:00:00Z"),
    )
    assert ranked(await client.recommend("u1", limit=50)) == ranked(before)


@pytest.mark.parametrize("signals", [("views",), ("saves", "topics"), LIVELY], ids="+".join)
async def test_what_if_is_what_happens(client: Caller, signals: tuple[str, ...]) -> None:
    """The list of `whatif` is, to the last score, the list after really withdrawing those signals."""
    await lead_a_life(client)
    asked = {"user_id": "u1", "limit": 100, "without": list(signals)}
    answer = await client.post("/v1/recommendations:whatif", asked)
    assert answer.status_code == 200, answer.text
    now = await client.recommend("u1", limit=100)
    await client.consent("u1", *signals, state="withdrawn")
    then = await client.recommend("u1", limit=100)
    for name in ("strategy", "signals_used"):
        assert answer.json()[name] == then[name]
    assert ranked(answer.json()) == ranked(then)
    assert ranked(now) != ranked(then)


@pytest.mark.parametrize("diversity", [0.0, 0.5])
async def test_counterfactuals_are_recomputed(client: Caller, diversity: float) -> None:
    """The rank without a signal is the rank in the list without it, and what is named instead stands in the item's place there."""
    await lead_a_life(client)
    now = await client.recommend("u1", explain="full", diversity=diversity)
    assert now["signals_used"]
    for signal in now["signals_used"]:
        asked = {"user_id": "u1", "limit": 100, "without": [signal], "diversity": diversity}
        other = ids((await client.post("/v1/recommendations:whatif", asked)).json())
        for item in now["items"]:
            told = {each["without"]: each for each in item["explanation"]["counterfactuals"]}[signal]
            resource_id, place = item["resource"]["id"], item["rank"]
            if resource_id in other:
                assert told["rank"] == other.index(resource_id) + 1
            else:
                assert told["rank"] is None or told["rank"] > 100
            instead = told["instead"]["id"] if told["instead"] else resource_id
            assert instead == other[place - 1]


async def test_filters_and_exclusions_hold(client: Caller) -> None:
    """Nothing outside the filter is shown, however the list is asked for."""
    await lead_a_life(client)
    wanted = {"topics": ["sleep", "stress"], "kinds": ["exercise", "audio"], "max_minutes": 10}
    items = (await client.recommend("u1", limit=100, filter=wanted))["items"]
    assert items
    for item in items:
        resource = item["resource"]
        assert set(resource["topics"]) & {"sleep", "stress"}
        assert resource["kind"] in {"exercise", "audio"}
        assert resource["minutes"] <= 10
    first = ids(await client.recommend("u1", limit=5))
    without = ids(await client.recommend("u1", limit=100, filter={"exclude": first}))
    assert not set(first) & set(without)
    spanish = (await client.recommend("u1", limit=100, filter={"languages": ["es"]}))["items"]
    assert spanish
    assert all("es" in item["resource"]["languages"] for item in spanish)


async def test_what_was_used_is_left_out_unless_asked_for(client: Caller) -> None:
    """`exclude_seen` leaves out what granted signals show to be used; without it, it is there."""
    await lead_a_life(client)
    used = {"sleep-wind-down", "box-breathing", "body-scan", "grounding-54321"}
    assert not used & set(ids(await client.recommend("u1", limit=100)))
    assert used & set(ids(await client.recommend("u1", limit=100, exclude_seen=False)))


async def test_context_changes_this_list_and_is_forgotten(client: Caller, service: Service) -> None:
    """Topics of the moment change the list, for who shares and who does not; the next list is as though never said."""
    await lead_a_life(client)
    for user_id in ("u1", "never-seen"):
        before = ranked(await client.recommend(user_id))
        asked = await client.recommend(user_id, context={"topics": ["loneliness"]})
        assert ranked(asked) != before
        if user_id == "never-seen":
            assert sum("loneliness" in item["resource"]["topics"] for item in asked["items"]) >= 5
        assert ranked(await client.recommend(user_id)) == before


async def test_reading_writes_nothing(client: Caller, service: Service, tmp_path: Path) -> None:
    """Lists, explanations and what-ifs leave every row of every table, and every byte of the database, as it was."""
    await lead_a_life(client)
    url = service.settings.database_url
    before, digest = await witness.everything(url), digests(tmp_path)
    for user_id in ("u1", "never-seen"):
        for explain in ("none", "short", "full"):
            await client.recommend(user_id, explain=explain, context={"topics": ["sleep"]}, diversity=0.5)
        await client.post("/v1/recommendations:whatif", {"user_id": user_id, "without": ["views"]})
    await client.get("/v1/resources/box-breathing/similar")
    assert await witness.everything(url) == before
    assert digests(tmp_path) == digest


def digests(folder: Path) -> dict[str, str]:
    """Digests of the database's files; the shared-memory index of readers is no data."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("assent.db*")
        if not path.name.endswith("-shm")
    }


async def test_links_of_an_answer_open_once(client: Caller, app: FastAPI) -> None:
    """Each control opens the person's own page, once; a GET of the erasing one deletes nothing, a POST deletes once."""
    await lead_a_life(client)
    controls = (await client.recommend("u1"))["controls"]
    paths = {name: urlsplit(url).path for name, url in controls.items()}

    def browser() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    for name, page in (("settings_url", "/me"), ("why_url", "/me/why")):
        async with browser() as person:
            opened = await person.get(paths[name])
            assert (opened.status_code, opened.headers["location"]) == (303, page)
            assert (await person.get(page)).status_code == 200
        async with browser() as thief:
            assert (await thief.get(paths[name])).status_code == 410
            assert (await thief.get(page)).status_code == 403
    async with browser() as person:
        assert (await person.get(paths["erase_url"])).status_code == 200
        assert (await client.get("/v1/users/u1/export")).json()["events"]
        assert (await person.post(paths["erase_url"], data={"erase": "One-Click"})).status_code == 200
        assert (await person.post(paths["erase_url"], data={"erase": "One-Click"})).status_code == 410
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None


def revised(*touches: tuple[str, str]) -> Notices:
    """The published notices and one more that touches these cells; none for an editorial one."""
    texts = {locale: published.published().current(locale).text for locale in ("en", "es")}
    first = Revision("2026-11-22", texts, published.EVERY_CELL)
    return Notices([first, Revision("2027-01-01", {**texts, "en": "New words."}, frozenset(touches))])


async def test_a_material_revision_denies_until_renewed(
    client: Caller, service: Service, clock: Clock
) -> None:
    """Grants on a notice that changed what they mean are invalid in every use; others stand; renewing brings them back."""
    await lead_a_life(client)
    notices = revised(("views", "personalise"))
    later = Service.create(service.settings, clock=clock, notices=notices)
    async with started(later) as other:
        answer = await other.recommend("u1", limit=50)
        assert "views" not in answer["signals_used"]
        assert "views" in answer["signals_withheld"]
        assert "saves" in answer["signals_used"]
        sent = await other.events(event("u1", "views", "body-scan"), event("u1", "saves", "worry-time"))
        assert [each["status"] for each in sent["results"]] == ["refused", "accepted"]
        cells = (await other.get("/v1/users/u1/consents")).json()["consents"]
        states = {each["signal"]: each["state"] for each in cells if each["purpose"] == "personalise"}
        assert (states["views"], states["saves"]) == ("invalidated", "given")
        body = {
            "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
            "notice_version": "2027-01-01", "locale": "en", "method": "test",
        }  # fmt: skip
        outdated = await other.http.put(
            "/v1/users/u1/consents", json={**body, "notice_version": "2026-11-22"}
        )
        assert (outdated.status_code, outdated.json()["code"]) == (409, "conflict")
        assert (await other.http.put("/v1/users/u1/consents", json=body)).status_code == 200
        assert "views" in (await other.recommend("u1"))["signals_used"]


async def test_an_editorial_revision_changes_nothing(client: Caller, service: Service, clock: Clock) -> None:
    """New words with the same meaning leave every grant as it was."""
    await lead_a_life(client)
    before = ranked(await client.recommend("u1"))
    async with started(Service.create(service.settings, clock=clock, notices=revised())) as other:
        assert ranked(await other.recommend("u1")) == before


async def test_an_expired_grant_no_longer_personalises(client: Caller, clock: Clock) -> None:
    """Health data after half a year, everything else after a year: what is over takes no part."""
    await lead_a_life(client)
    clock.forward(days=184)
    assert "check_ins" not in (await client.recommend("u1"))["signals_used"]
    assert "views" in (await client.recommend("u1"))["signals_used"]
    clock.forward(days=182)
    assert (await client.recommend("u1"))["signals_used"] == []


async def test_the_promises_hold_on_both_databases(database_url: str, tmp_path: Path, clock: Clock) -> None:
    """From events to an explained list on each database: sums, grants, what-if, and not a row written by reading."""
    folder = tmp_path / "service"
    service = Service.create(settings_for(database_url, folder), clock=clock)
    await administration.ensure_app(service, APP, "Harbour")
    await administration.import_catalog(service, APP, shipped())
    await community.settle_in(service)
    release_id = await community.train(service)
    async with started(service) as client:
        await lead_a_life(client)
        before = await witness.everything(database_url)
        answer = await client.recommend("u1", explain="full", limit=50)
        assert (answer["strategy"], answer["release"]) == ("personalised", release_id)
        assert check_sums(answer) > 0
        assert set(answer["signals_used"]) <= set(LIVELY)
        what_if = await client.post(
            "/v1/recommendations:whatif", {"user_id": "u1", "limit": 50, "without": ["saves"]}
        )
        assert await witness.everything(database_url) == before
        await client.consent("u1", "saves", state="withdrawn")
        assert ranked(what_if.json()) == ranked(await client.recommend("u1", limit=50))
