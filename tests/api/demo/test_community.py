"""The simulated community: invented people whose choices hold like anyone's."""

import json

import pytest

from api import erasing, exporting
from api.demo.community import Sharing, person, simulate, user_id
from api.service import Service
from api.training import train_app
from consent.purposes import Purpose
from consent.signals import SIGNALS
from tests.conftest import APP, OTHER_APP

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def exported(service: Service, number: int) -> dict[str, object]:
    """Return what is held on one of them."""
    user_hash = service.pseudonyms.user(APP, user_id(number))
    written = b"".join([chunk async for chunk in exporting.as_json(service, APP, user_hash)])
    document: dict[str, object] = json.loads(written)
    return document


@on_sqlite
async def test_what_a_simulated_person_does_not_share_is_not_stored(service: Service) -> None:
    """Events lie only under granted signals; whoever shares nothing is not known at all."""
    seen: list[tuple[int, int]] = []
    stored = await simulate(service, APP, 30, seed=3, progress=lambda done, of: seen.append((done, of)))
    total = 0
    for number in range(1, 31):
        member, held = person(number, 3), await exported(service, number)
        events = held["events"]
        assert isinstance(events, list)
        total += len(events)
        assert {event["signal"] for event in events} <= {signal for signal, _ in member.grants}
        assert all(event["event_id"].startswith("simulated-") for event in events)
        if member.sharing is Sharing.NOTHING:
            assert held["subject_id"] is None
    assert total == stored > 0
    assert seen == [(30, 30)]


def test_each_way_of_sharing_is_there_to_be_tried() -> None:
    """The first four people show nothing, views, some and everything, and may all be personalised for."""
    ways = {sharing: person(number, 0) for number, sharing in enumerate(Sharing, start=1)}
    personal = {
        way: {signal for signal, purpose in each.grants if purpose is Purpose.PERSONALISE}
        for way, each in ways.items()
    }
    assert personal[Sharing.NOTHING] == set()
    assert personal[Sharing.VIEWS] == {"views"}
    assert {"views"} < personal[Sharing.SOME] < set(SIGNALS)
    assert personal[Sharing.EVERYTHING] == set(SIGNALS)


def test_purposes_are_chosen_independently() -> None:
    """Among many people there are signals allowed for any combination of uses."""
    combinations = set()
    for number in range(5, 200):
        for signal in SIGNALS:
            combinations.add(frozenset(p for s, p in person(number, 0).grants if s == signal))
    assert len(combinations) == 2 ** len(Purpose)


@on_sqlite
async def test_the_same_seed_gives_the_same_community(service: Service) -> None:
    """People, choices and the order of what they do depend on the seed alone."""
    await simulate(service, APP, 6, seed=5)
    before = [_story(await exported(service, number)) for number in range(1, 7)]
    for number in range(1, 7):
        async with service.database.write(APP) as connection:
            await erasing.erase(service, connection, APP, service.pseudonyms.user(APP, user_id(number)))
    await simulate(service, APP, 6, seed=5)
    assert [_story(await exported(service, number)) for number in range(1, 7)] == before
    assert any(_story(held) for held in [await exported(service, number) for number in (2, 3, 4)])
    assert person(7, 5) != person(7, 6)


def _story(held: dict[str, object]) -> list[tuple[object, ...]]:
    events = held["events"]
    assert isinstance(events, list)
    return [
        (each["event_id"], each["signal"], each["resource_id"], each["topic"], each["value"])
        for each in events
    ]


@on_sqlite
async def test_time_never_runs_backwards_in_the_ledger(service: Service) -> None:
    """They join one after the other, before anything they do."""
    await simulate(service, APP, 60, seed=1)
    choices: list[tuple[int, str]] = []
    for number in range(1, 61):
        held = await exported(service, number)
        history, events = held["consent_history"], held["events"]
        assert isinstance(history, list)
        assert isinstance(events, list)
        choices += [(each["seq"], each["at"]) for each in history]
        assert all(event["occurred_at"] > history[0]["at"] for event in events)
    times = [at for _, at in sorted(choices)]
    assert times == sorted(times)


@on_sqlite
async def test_an_app_without_a_catalogue_is_refused(service: Service) -> None:
    """There is nothing to simulate where there is nothing to use."""
    with pytest.raises(ValueError, match="catalogue"):
        await simulate(service, OTHER_APP, 5)


@on_sqlite
async def test_a_model_of_the_community_beats_popularity(service: Service) -> None:
    """What leads to what can be learned from what they share: the release is promoted."""
    await simulate(service, APP, 150, seed=1)
    outcome = await train_app(service, APP)
    assert outcome.status == "promoted"
    assert outcome.holdout is not None
    assert outcome.holdout.ndcg > outcome.holdout.popularity_ndcg
