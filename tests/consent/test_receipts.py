"""Receipts: the mandatory fields of ISO/IEC TS 27560, in canonical JSON, signed so that anyone can check."""

import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from consent import receipts
from consent.ledger import Actor, ConsentEvent, State
from consent.purposes import Purpose
from consent.receipts import Controller, Signer

CONTROLLER = Controller("Harbour", "privacy@harbour.example", "EU", "EU", "https://assent.example/me")


def line(state: State = State.GIVEN, signal: str = "views", actor: Actor | None = None) -> ConsentEvent:
    """One line of the ledger."""
    return ConsentEvent(
        seq=7, signal=signal, purpose=Purpose.PERSONALISE, state=state, at=1_790_000_000_000_000,
        expires_at=1_821_536_000_000_000 if state in {State.GIVEN, State.RENEWED} else None,
        notice_version="1", notice_sha256="ab" * 32, locale="en", method="settings_page",
        actor=actor or Actor(), receipt_id="cd" * 16,
    )  # fmt: skip


def receipt(*events: ConsentEvent) -> dict[str, object]:
    """A receipt of these lines."""
    return receipts.of_consent(
        events, receipt_id="cd" * 16, app_id="harbour", subject_id="ef" * 16, controller=CONTROLLER
    )


def test_every_mandatory_field_is_there() -> None:
    """Header, one part per purpose, and the event within it, by the names of the standard."""
    body = receipt(line(), line(State.WITHDRAWN, "check_ins"))
    header = {
        "schema_version", "record_id", "receipt_id", "pii_principal_id", "privacy_notice", "language", "pii_controllers",
        "storage_locations", "jurisdiction", "recipient_third_parties", "withdrawal_method",
    }  # fmt: skip
    assert header <= set(body)
    purposes = body["purposes"]
    assert isinstance(purposes, list)
    assert len(purposes) == 2
    for part in purposes:
        assert {"purpose", "pii_information", "retention_period", "event"} <= set(part)
        assert {"event_time", "validity_duration", "entity_id", "event_type", "event_state"} <= set(
            part["event"]
        )
    given, withdrawn = purposes
    assert given["event"]["event_time"] == "2026-09-21T14:13:20.000Z"
    assert (given["event"]["validity_duration"], withdrawn["event"]["validity_duration"]) == ("P365D", "P0D")
    assert not given["pii_information"]["special_category"]
    assert withdrawn["pii_information"]["special_category"]
    assert body["recipient_third_parties"] == []


def test_a_guardian_is_named_by_a_pseudonym() -> None:
    """The entity is the person themselves, or the guardian's keyed hash."""
    for actor, entity in ((Actor(), "self"), (Actor("guardian", "aa" * 32), "aa" * 32)):
        purposes: Any = receipt(line(actor=actor))["purposes"]
        (part,) = purposes
        assert part["event"]["entity_id"] == entity


def test_the_canonical_form_does_not_depend_on_order() -> None:
    """The same receipt with its members in another order is the same text (RFC 8785)."""
    body = receipt(line())
    assert receipts.canonical(body) == receipts.canonical(dict(reversed(body.items())))


def test_a_signature_holds_for_this_receipt_and_key_only() -> None:
    """The published key verifies it; a changed body, or the key of another service, does not."""
    signer = Signer(bytes(32))
    signed = signer.sign(receipt(line()))
    keys = KeySet.import_key_set(signer.public_keys)  # type: ignore[arg-type]  # the same shape, untyped
    payload = jws.deserialize_compact(signed, keys, algorithms=["Ed25519"]).payload
    assert json.loads(payload) == receipt(line())
    assert payload.decode() == receipts.canonical(receipt(line()))
    head, _, signature = signed.split(".")
    forged = ".".join((head, Signer(bytes(32)).sign(receipt(line(State.REFUSED))).split(".")[1], signature))
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(forged, keys, algorithms=["Ed25519"])
    strangers = Signer(b"\1" * 32).public_keys
    strangers["keys"][0]["kid"] = signer.public_keys["keys"][0]["kid"]
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(
            signed,
            KeySet.import_key_set(strangers),  # type: ignore[arg-type]  # the same shape, untyped
            algorithms=["Ed25519"],
        )


def test_the_private_key_is_not_published() -> None:
    """What the service publishes is the public half; it stays the same for the same secret."""
    (key,) = Signer(bytes(32)).public_keys["keys"]
    assert "d" not in key
    assert Signer(bytes(32)).public_keys == Signer(bytes(32)).public_keys
    assert Signer(b"\1" * 32).public_keys != Signer(bytes(32)).public_keys
