"""A list is made from what is granted at this very moment."""

from pathlib import Path

from api import administration
from api.service import Service
from consent.notices import published
from consent.notices.published import Notices, Revision
from consent.signals import SIGNALS
from recommender.exchange import shipped
from tests.api import community, witness
from tests.api.recommendations.asking import LIVELY, check_sums, lead_a_life, ranked
from tests.conftest import APP, Caller, Clock, event, serving, settings_for


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


def revised(*touches: tuple[str, str]) -> Notices:
    """The published notices and one more that touches these cells; none for an editorial one."""
    texts = {locale: published.published().current(locale).text for locale in ("en", "es")}
    first = Revision("2026-11-22", texts, published.EVERY_CELL)
    return Notices([first, Revision("2027-01-01", {**texts, "en": "New words."}, frozenset(touches))])


async def test_a_material_revision_denies_until_renewed(
    client: Caller, service: Service, clock: Clock
) -> None:
    """Grants on a notice that changed what they mean are invalid in every use; others stand; given anew, what comes from then on counts."""
    await lead_a_life(client)
    notices = revised(("views", "personalise"))
    later = Service.create(service.settings, clock=clock, notices=notices)
    async with serving(later) as other:
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
        assert (
            "views" not in (await other.recommend("u1"))["signals_used"]
        )  # what was kept under the old yes is gone
        assert (await other.events(event("u1", "views", "sleep-wind-down")))["accepted"] == 1
        assert "views" in (await other.recommend("u1"))["signals_used"]


async def test_an_editorial_revision_changes_nothing(client: Caller, service: Service, clock: Clock) -> None:
    """New words with the same meaning leave every grant as it was."""
    await lead_a_life(client)
    before = ranked(await client.recommend("u1"))
    async with serving(Service.create(service.settings, clock=clock, notices=revised())) as other:
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
    async with serving(service) as client:
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
