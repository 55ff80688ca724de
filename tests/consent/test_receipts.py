"""Receipts: the fields of ISO/IEC TS 27560, complete for every purpose, party and event."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from consent.ledger import APP, SERVICE, Actor, Cell, ConsentEvent, State
from consent.purposes import Purpose
from consent.receipts import records as receipts
from consent.receipts.records import Controller

CONTROLLER = Controller(
    "Harbour",
    "privacy desk",
    "EU",
    "Dublin",
    "https://assent.example/me",
    "https://assent.example/v1/notices",
    "1 Quay Street, Dublin",
    "privacy@harbour.example",
    "+353 1 0000000",
)
PERSON, RECEIPT = "ef" * 16, "cd" * 16

HEADER = {"schema_version", "record_id", "receipt_id", "pii_principal_id"}
PURPOSE = {
    "privacy_notice", "language", "purpose", "pii_information", "pii_controllers", "storage_locations",
    "retention_period", "jurisdiction", "recipient_third_parties", "withdrawal_method",
}  # fmt: skip
PURPOSE_OPTIONAL = {
    "lawful_basis", "collection_method", "processing_method", "processing_locations", "privacy_rights", "signal",
    "default_state",
}  # fmt: skip
EVENT = {"event_time", "validity_duration", "entity_id", "event_type", "event_state"}
PARTY = {"id", "name", "address", "contact", "type", "role"}


def line(state: State = State.GIVEN, signal: str = "views", actor: Actor | None = None) -> ConsentEvent:
    """One line of the ledger."""
    return ConsentEvent(
        seq=7, signal=signal, purpose=Purpose.PERSONALISE, state=state, at=1_790_000_000_000_000,
        expires_at=1_821_536_000_000_000 if state in {State.GIVEN, State.RENEWED} else None,
        notice_version="1", notice_sha256="ab" * 32, locale="en", method="settings_page",
        actor=actor or Actor(), receipt_id=RECEIPT,
    )  # fmt: skip


def receipt(
    *events: ConsentEvent, before: Mapping[tuple[str, Purpose], Cell] | None = None
) -> dict[str, Any]:
    """A receipt of these lines."""
    return receipts.of_consent(
        events,
        receipt_id=RECEIPT,
        app_id="harbour",
        subject_id=PERSON,
        controller=CONTROLLER,
        before=before or {},
    )


def test_every_field_of_the_standard_is_there() -> None:
    """Header, one part for each purpose with its event, and every party, by the names of the standard."""
    body = receipt(line(), line(State.WITHDRAWN, "check_ins"))
    assert body.keys() >= HEADER
    assert len(body["purposes"]) == 2
    for part in body["purposes"]:
        assert part.keys() >= PURPOSE | PURPOSE_OPTIONAL
        assert part["event"].keys() >= EVENT
        assert part["recipient_third_parties"] == []
        assert part["privacy_notice"] == {
            "version": "1",
            "sha256": "ab" * 32,
            "url": "https://assent.example/v1/notices/en?version=1",
        }
    for party in body["parties"]:
        assert party.keys() >= PARTY
    given, withdrawn = body["purposes"]
    assert given["event"]["event_time"] == "2026-09-21T14:13:20.000Z"
    assert (given["event"]["validity_duration"], withdrawn["event"]["validity_duration"]) == ("P365D", "P0D")
    assert not given["pii_information"]["special_category"]
    assert withdrawn["pii_information"]["special_category"]


def test_the_controller_is_told_with_every_way_to_reach_them() -> None:
    """Name, address, contact, e-mail and telephone of the settings; each purpose names them by their id."""
    body = receipt(line())
    (controller,) = (party for party in body["parties"] if party["role"] == "controller")
    assert [controller[name] for name in ("name", "address", "contact", "email", "phone")] == [
        "Harbour",
        "1 Quay Street, Dublin",
        "privacy desk",
        "privacy@harbour.example",
        "+353 1 0000000",
    ]
    assert body["purposes"][0]["pii_controllers"] == [controller["id"]]


@pytest.mark.parametrize(
    ("actor", "entity", "role"),
    [(Actor(), PERSON, "principal"), (Actor("guardian", "aa" * 32), "aa" * 32, "guardian")],
)
def test_whoever_chose_is_a_party_by_a_pseudonym(actor: Actor, entity: str, role: str) -> None:
    """The event's entity is among the parties, in their role, and nothing names them."""
    body = receipt(line(actor=actor))
    assert body["purposes"][0]["event"]["entity_id"] == entity
    (party,) = (each for each in body["parties"] if each["id"] == entity)
    assert (party["role"], party["type"], party["name"], party["contact"]) == (role, "person", "", "")


@pytest.mark.parametrize("actor", [APP, SERVICE])
def test_what_nobody_chose_is_told_as_such(actor: Actor) -> None:
    """A grant that ended by time, notice or age is an automatic event of the controller's."""
    event = receipt(line(State.EXPIRED, actor=actor))["purposes"][0]["event"]
    assert (event["event_type"], event["entity_id"], event["validity_duration"]) == (
        "automatic",
        "controller",
        "P0D",
    )


def test_where_and_when_the_notice_was_shown_is_told() -> None:
    """The showing that a choice answers stands in its event."""
    shown = replace(line(), prompt_id="77" * 16, place="onboarding", shown_at=1_789_999_999_000_000)
    event = receipt(shown)["purposes"][0]["event"]
    assert (event["prompt_id"], event["shown_in"], event["shown_at"]) == (
        "77" * 16,
        "onboarding",
        "2026-09-21T14:13:19.000Z",
    )


def test_an_event_names_the_receipt_it_follows_on() -> None:
    """The first choice about a cell follows on none; a later one on the receipt of the last."""
    former = Cell("views", Purpose.PERSONALISE, State.GIVEN, receipt_id="99" * 16)
    assert receipt(line())["purposes"][0]["event"]["prev_event"] is None
    later = receipt(line(State.WITHDRAWN), before={("views", Purpose.PERSONALISE): former})
    assert later["purposes"][0]["event"]["prev_event"] == "99" * 16


def test_a_person_has_one_record_and_many_receipts() -> None:
    """The record is the same whatever was chosen; another person's is another."""
    first, second = receipt(line()), receipt(line(State.REFUSED))
    assert first["record_id"] == second["record_id"]
    assert PERSON in first["record_id"]
