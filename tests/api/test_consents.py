"""Consent over HTTP: default deny, versioned notices, receipts, history, withdrawal."""

import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from api import upkeep
from api.service import Service
from consent import store as ledger
from consent.ledger import fold
from consent.notices.wording import LOCALES
from consent.signals import SIGNALS
from recommender import registry
from tests.api import witness
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, NOTICE, Caller, Clock, a_training_reads, event


def cell(document: dict[str, Any], signal: str, purpose: str = "personalise") -> dict[str, Any]:
    """One cell of an answer."""
    found: dict[str, Any] = next(
        each for each in document["consents"] if (each["signal"], each["purpose"]) == (signal, purpose)
    )
    return found


async def test_everything_is_unknown_before_anyone_chose(client: Caller) -> None:
    """Someone never seen has every cell, all unknown, and no row is written for asking."""
    document = (await client.get("/v1/users/u1/consents")).json()
    assert len(document["consents"]) == 3 * len(SIGNALS)
    assert {each["state"] for each in document["consents"]} == {"unknown"}
    assert document["as_of"] == 0


async def test_a_choice_changes_one_cell_and_gives_a_receipt(client: Caller) -> None:
    """Giving one cell leaves the 29 others as they were; the receipt is the person's and verifies."""
    document = await client.consent("u1", "views")
    given = cell(document, "views")
    assert given["state"] == "given"
    assert sum(each["state"] == "given" for each in document["consents"]) == 1
    assert given["receipt_id"] == document["receipt"]["receipt_id"]
    assert document["receipt"]["purposes"][0]["event"]["event_state"] == "given"

    path = f"/v1/users/u1/receipts/{given['receipt_id']}"
    assert (await client.get(path)).json() == document["receipt"]
    signed = (await client.get(path, headers={"Accept": "application/jose"})).text
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    assert (
        json.loads(jws.deserialize_compact(signed, keys, algorithms=["Ed25519"]).payload)
        == document["receipt"]
    )


async def test_a_receipt_is_shown_to_its_person_only(client: Caller) -> None:
    """Another user's path does not lead to a receipt."""
    receipt_id = (await client.consent("u1", "views"))["receipt"]["receipt_id"]
    await client.consent("u2", "views")
    answer = await client.get(f"/v1/users/u2/receipts/{receipt_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_purposes_do_not_imply_each_other(client: Caller) -> None:
    """A grant to improve does not let anyone personalise."""
    await client.consent("u1", "views", purposes=("improve",))
    await client.events(event("u1", "views", "box-breathing"))
    assert (await client.recommend("u1"))["signals_used"] == []


async def test_history_tells_every_change_in_order(client: Caller) -> None:
    """Given, given again (renewed), withdrawn and refused stand in the history, page by page."""
    for state in ("given", "given", "withdrawn", "refused"):
        await client.consent("u1", "views", state=state)
    first = (await client.get("/v1/users/u1/consents/history?limit=3")).json()
    second = (await client.get(f"/v1/users/u1/consents/history?cursor={first['next_cursor']}")).json()
    states = [each["state"] for each in first["events"] + second["events"]]
    assert states == ["given", "renewed", "withdrawn", "refused"]
    assert second["next_cursor"] is None


async def test_the_cells_are_what_the_history_says(client: Caller, service: Service) -> None:
    """The recorded cells equal the fold of the ledger's events."""
    await client.consent("u1", "views", "saves", purposes=("personalise", "improve"))
    await client.consent("u1", "saves", state="withdrawn")
    await client.consent("u1", "views")
    async with service.database.read(APP) as connection:
        subject_id = await ledger.find_subject(connection, APP, service.pseudonyms.user(APP, "u1"))
        assert subject_id is not None
        events = await ledger.history(connection, APP, subject_id)
        assert await ledger.cells(connection, APP, subject_id) == fold(events)


async def test_withdrawing_the_last_cell_deletes_the_events(client: Caller) -> None:
    """Events stay while one purpose is granted, and go with the last one in the same transaction."""
    await client.consent("u1", "views", purposes=("personalise", "measure"))
    await client.events(event("u1", "views", "box-breathing"))
    await client.consent("u1", "views", state="withdrawn")
    assert len((await client.get("/v1/users/u1/export")).json()["events"]) == 1
    await client.consent("u1", "views", purposes=("measure",), state="withdrawn")
    assert (await client.get("/v1/users/u1/export")).json()["events"] == []


async def test_a_grant_expires_by_itself(client: Caller, clock: Clock) -> None:
    """After twelve months a grant is over: the cell says so, and events are refused."""
    await client.consent("u1", "views")
    clock.forward(days=366)
    assert cell((await client.get("/v1/users/u1/consents")).json(), "views")["state"] == "expired"
    refused = await client.events(event("u1", "views", "box-breathing"))
    assert refused["results"][0]["code"] == "no_consent"


NOTICE_TEXT = (
    "# N\n\n{purposes}\n\n{signals}\n\n{refusal} {withdrawal} {sharing} {deletion} {machine} {rights}"
)


@pytest.mark.parametrize("how", ["expired", "invalidated"])
async def test_what_a_yes_anew_finds_does_not_hang_on_the_worker(
    client: Caller, service: Service, clock: Clock, how: str
) -> None:
    """Of two people whose yes is over, one says yes again before the worker ran and one after: the same history, the same rows, the same unlearned."""
    both, ends = ("personalise", "improve"), {}
    for user_id in ("before", "after"):
        await client.consent(user_id, "views", purposes=both)
        await client.consent(user_id, "saves")
        await client.events(event(user_id, "views", "box-breathing"))
    await a_training_reads(service)
    version = NOTICE
    if how == "expired":
        clock.forward(days=366)
    else:
        touches = [{"signal": "views", "purpose": purpose} for purpose in both]
        published = await client.post(
            "/v1/notices", {"kind": "material", "touches": touches, "texts": {"en": NOTICE_TEXT}}
        )
        version = published.json()["version"]
    changes = [{"signal": "views", "purpose": "personalise", "state": "given"}]
    body = {"changes": changes, "notice_version": version, "locale": "en", "method": "test"}
    for user_id in ("before", "after"):
        anew = (await client.http.put(f"/v1/users/{user_id}/consents", json=body)).json()
        ends[user_id] = anew["erasure_id"]
        assert cell(anew, "views")["state"] == "given"
        await upkeep.upkeep(service)
    told = {}
    for user_id in ends:
        export = (await client.get(f"/v1/users/{user_id}/export")).json()
        assert export["events"] == []
        lines = export["consent_history"]
        told[user_id] = [(each["signal"], each["purpose"], each["state"], each["method"]) for each in lines]
    assert told["before"] == told["after"]
    assert [each[2] for each in told["after"]].count(how) == (3 if how == "expired" else 2)
    assert ends["after"] is None
    found = (await client.get(f"/v1/erasures/{ends['before']}")).json()
    assert (found["kind"], found["counts"]) == ("withdrawal", {"event": 1})
    async with service.database.read(APP) as connection:
        assert (await registry.find_model_state(connection, APP)).unlearn_epoch == 2
    # What the register would take back after a restore is the old yes, and not the new one.
    listed = {each.erasure_id: service.register.read(each) for each in service.register.entries()}
    new = (await client.get("/v1/users/before/consents")).json()
    key = service.register.of_grant(APP, cell(new, "views")["receipt_id"], "views", "personalise")
    assert key not in listed[ends["before"]].keys
    assert listed[ends["before"]].keys


@ON_SQLITE
async def test_what_was_kept_under_a_yes_that_ran_out_is_in_no_file_after_a_yes_anew(
    client: Caller, clock: Clock, database_url: str
) -> None:
    """The rows that go when something is given again are wiped from the file as after a withdrawal."""
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing", event_id="kept-under-the-old-yes"))
    assert await witness.files_hold(database_url, b"kept-under-the-old-yes")
    clock.forward(days=366)
    await client.consent("u1", "views")
    assert not await witness.files_hold(database_url, b"kept-under-the-old-yes")


@pytest.mark.parametrize("state", ["refused", "withdrawn", "deferred"])
async def test_a_no_to_a_yes_that_ran_out_comes_after_its_end(
    client: Caller, clock: Clock, state: str
) -> None:
    """The history tells what happened, in order: the yes ended by itself, and then something else was chosen."""
    await client.consent("u1", "views", "saves")
    clock.forward(days=366)
    erasure_id = (await client.consent("u1", "views", state=state))["erasure_id"]
    history = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    assert [each["state"] for each in history] == ["given", "given", "expired", "expired", state]
    assert erasure_id is not None


async def test_a_yes_anew_that_is_refused_records_no_end(
    client: Caller, clock: Clock, service: Service
) -> None:
    """What is turned away, for a no that came before it or on an old notice, leaves history, rows and register as they were."""
    await client.consent("u1", "views", "saves")
    await client.consent("u1", "saves", state="withdrawn")
    entries, clock.ahead = len(service.register.entries()), clock.ahead + 366 * 86_400_000_000
    given = [{"signal": signal, "purpose": "personalise", "state": "given"} for signal in ("views", "saves")]
    body = {"changes": given, "notice_version": NOTICE, "locale": "en", "method": "test"}
    for wrong, status in (({"as_of": 1}, 409), ({"notice_version": "2020-01-01"}, 422)):
        answer = await client.http.put("/v1/users/u1/consents", json=body | wrong)
        assert answer.status_code == status, answer.text
    history = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    assert [each["state"] for each in history] == ["given", "given", "withdrawn"]
    assert len(service.register.entries()) == entries


async def test_consent_needs_the_current_notice(client: Caller) -> None:
    """A notice that was never published is refused by name, and nothing is written."""
    body = {
        "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
        "notice_version": "2020-01-01",
        "locale": "en",
        "method": "test",
    }
    answer = await client.http.put("/v1/users/u1/consents", json=body)
    assert (answer.status_code, answer.json()["code"]) in {(409, "conflict"), (422, "invalid_request")}
    assert answer.json()["errors"][0]["field"] == "notice_version"
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None


async def test_a_retry_under_the_same_key_records_once(client: Caller) -> None:
    """The same request under one Idempotency-Key gives one event and the same answer; another request is refused."""
    body = {
        "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
        "notice_version": NOTICE,
        "locale": "en",
        "method": "test",
    }
    headers = {"Idempotency-Key": "k-1"}
    first = await client.http.put("/v1/users/u1/consents", json=body, headers=headers)
    again = await client.http.put("/v1/users/u1/consents", json=body, headers=headers)
    assert first.json() == again.json()
    assert len((await client.get("/v1/users/u1/consents/history")).json()["events"]) == 1
    other = await client.http.put("/v1/users/u2/consents", json=body, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert (await client.get("/v1/users/u2/consents/history")).json()["events"] == []


async def test_a_guardian_is_recorded_without_their_id(client: Caller) -> None:
    """The guardian's id is kept as a keyed hash, and shown to nobody."""
    body = {
        "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
        "notice_version": NOTICE,
        "locale": "en",
        "method": "test",
        "actor": {"type": "guardian", "id": "mother-of-u1"},
    }
    answer = await client.http.put("/v1/users/u1/consents", json=body)
    assert answer.status_code == 200
    history = await client.get("/v1/users/u1/consents/history")
    assert history.json()["events"][0]["actor"] == {"type": "guardian"}
    assert "mother-of-u1" not in answer.text + (await client.get("/v1/users/u1/export")).text


async def test_signals_and_notices_need_no_key(client: Caller) -> None:
    """Everybody may read what a signal keeps and what the notice says, in every locale."""
    client.http.headers.pop("Authorization")
    signals = (await client.get("/v1/signals")).json()["signals"]
    assert [each["id"] for each in signals] == list(SIGNALS)
    assert all(set(each["texts"]) == set(LOCALES) for each in signals)
    notice = (await client.get("/v1/notices/es")).json()
    assert (notice["version"], notice["locale"], len(notice["sha256"])) == (NOTICE, "es", 64)
    assert (await client.get("/v1/notices/xx")).status_code == 404
