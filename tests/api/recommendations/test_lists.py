"""What is in a list over HTTP: by what is asked for, by what was used and judged before, and by chance."""

import pytest

from api.service import Service
from consent.signals import SIGNALS
from recommender.store import NEWEST
from tests.api.recommendations.asking import LIVELY, check_sums, ids, lead_a_life, ranked
from tests.conftest import Caller, event


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


async def test_somebody_without_an_id_is_answered_from_the_call_alone(client: Caller) -> None:
    """The topics of the moment rank; no signal is used, and there is nobody to make a link for."""
    question = {"context": {"topics": ["sleep"], "minutes": 10, "formats": ["audio"]}, "explain": "full"}
    answered = await client.post("/v1/recommendations:anonymous", question)
    assert answered.status_code == 200, answered.text
    answer = answered.json()
    assert answer["strategy"] == "personalised"
    assert (answer["signals_used"], answer["controls"]) == ([], None)
    reasons = [item["explanation"] for item in answer["items"]]
    assert {each["signal"] for why in reasons for each in why["contributions"]} == {"context"}
    assert {each["name"] for why in reasons for each in why["adjustments"]} == {"time", "format"}
    assert check_sums(answer)
    named = await client.post("/v1/recommendations:anonymous", {"user_id": "u1"})
    assert (named.status_code, named.json()["code"]) == (422, "invalid_request")


async def test_not_for_me_is_respected_by_the_next_request(client: Caller) -> None:
    """One star hides it, also where seen things are shown again, and the reason stays exact."""
    await client.consent("u1", *LIVELY)
    first = (await client.recommend("u1"))["items"][0]["resource"]["id"]
    await client.events(event("u1", "ratings", first, value=1))
    answer = await client.recommend("u1", limit=100, exclude_seen=False, explain="full")
    assert first not in ids(answer)
    assert "not_helpful" in {
        each["name"] for item in answer["items"] for each in item["explanation"]["adjustments"]
    }
    check_sums(answer)


async def test_what_was_shown_again_and_again_makes_room(client: Caller) -> None:
    """Impressions count as soon as they are reported, and only while they are granted."""
    await lead_a_life(client, "u1")
    before = ids(await client.recommend("u1"))
    await client.events(*(event("u1", "impressions", before[0], event_id=f"shown-{n}") for n in range(8)))
    after = ids(await client.recommend("u1"))
    assert after[0] != before[0]
    assert before[0] not in ids(await client.recommend("u1", limit=100, filter={"max_shown": 8}))
    await client.consent("u1", "impressions", state="withdrawn")
    assert before[0] in ids(await client.recommend("u1", limit=100, filter={"max_shown": 8}))


async def test_something_new_has_its_propensity(client: Caller) -> None:
    """With `explore`, every item says how likely it stood there; without, none does."""
    await lead_a_life(client, "u1")
    answer = await client.recommend("u1", explore=1.0, explain="short")
    assert all(0 < item["propensity"] < 1 for item in answer["items"])
    assert {item["explanation"]["text"] for item in answer["items"]} == {"Something new, picked by chance"}
    check_sums(answer)
    assert all("propensity" not in item for item in (await client.recommend("u1"))["items"])


async def test_a_new_resource_is_listed_by_its_topics_without_training(
    client: Caller, service: Service
) -> None:
    """It is ranked by the model from the very next look at the catalogue, and servers look more often than once a second."""
    await lead_a_life(client, "u1")
    shown = (await client.recommend("u1"))["items"][0]["resource"]
    twin = shown | {"id": "brand-new", "title": "Brand new"}
    written = await client.http.put("/v1/resources/brand-new", json=twin)
    assert written.status_code in {200, 201}, written.text
    assert service.settings.poll_s < 1
    await service.models.refresh()
    answer = await client.recommend("u1", limit=100)
    assert answer["strategy"] == "personalised"
    assert "brand-new" in ids(answer)


async def test_impressions_push_nothing_else_out(client: Caller) -> None:
    """However much an app shows, what was rated low stays hidden and what was used goes on speaking for the list."""
    await client.consent("u1", "ratings", "saves", "impressions")
    await client.events(
        event("u1", "ratings", "worry-time", value=1, occurred_at="2026-11-01T08:00:00Z"),
        event("u1", "saves", "body-scan", occurred_at="2026-11-01T08:00:00Z"),
    )
    shown = [
        event("u1", "impressions", "box-breathing", occurred_at=f"2026-11-{2 + hour // 24:02}T{hour % 24:02}:{minute:02}:00Z")
        for hour in range(15)
        for minute in range(60)
    ]  # fmt: skip
    assert len(shown) > NEWEST
    await client.events(*shown)
    answer = await client.recommend("u1", limit=100, exclude_seen=False, explain="full")
    assert answer["strategy"] == "personalised"
    assert "worry-time" not in ids(answer)
    without = await client.post(
        "/v1/recommendations:whatif",
        {"user_id": "u1", "limit": 100, "exclude_seen": False, "explain": "full", "without": ["impressions"]},
    )
    await client.consent("u1", "impressions", state="withdrawn")
    withdrawn = await client.recommend("u1", limit=100, exclude_seen=False, explain="full")
    assert ranked(without.json()) == ranked(withdrawn)
    assert ranked(withdrawn) != ranked(answer)
