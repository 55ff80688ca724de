"""Receipts of changes of consent, in the fields of ISO/IEC TS 27560:2023: what a person can keep, and anyone can check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consent.ledger import ENDINGS, GRANTING, SELF, Cell, ConsentEvent
from consent.purposes import Purpose
from consent.showing import Shown, by_signal
from consent.signals import SIGNALS, Sensitivity

SCHEMA_VERSION = "ISO/IEC TS 27560:2023"
CONFORMS_TO = "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr"
"""The profile of the Data Privacy Vocabulary that a receipt follows."""

CONTROLLER = "controller"
"""The id of the one who answers for the data, among a receipt's parties."""

RIGHTS = ("access", "portability", "rectification", "erasure", "withdrawal", "complaint")
"""What a person may ask for, in the order of the notices (GDPR 15, 20, 16, 17, 7(3), 77)."""

_LOGIC: Mapping[Purpose, tuple[str, str]] = {
    Purpose.PERSONALISE: (
        "adds up what each shared signal says for each resource, and ranks by the sum, which is shown",
        "another order of suggestions; no legal or similar effect",
    ),
    Purpose.IMPROVE: (
        "learns from many people which resources go together; the model keeps no person",
        "better suggestions for everyone; nothing about this person is shown to others",
    ),
    Purpose.MEASURE: (
        "compares what would have been suggested with what was used, in totals",
        "figures about the service; none about this person",
    ),
}
"""How data is processed for a purpose, and what follows from it for the person (GDPR 13(2)(f))."""


@dataclass(frozen=True)
class Controller:
    """Who answers for the data, and where and under which law it is kept."""

    name: str
    contact: str
    jurisdiction: str
    storage_location: str
    withdrawal_url: str
    notice_url: str
    """Where notices are read: the locale and the version are appended."""
    address: str = ""
    email: str = ""
    phone: str = ""


def rfc3339(at: int) -> str:
    """Write microseconds since 1970 as a UTC time."""
    return (
        datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def microseconds(time: str) -> int:
    """Read what `rfc3339` wrote: microseconds since 1970."""
    return int(datetime.fromisoformat(time).timestamp() * 1_000_000)


def of_consent(
    events: Sequence[ConsentEvent],
    *,
    receipt_id: str,
    app_id: str,
    subject_id: str,
    controller: Controller,
    before: Mapping[tuple[str, Purpose], Cell],
) -> dict[str, Any]:
    """Return the receipt of one change of consent.

    Args:
        events: its lines of the ledger, at least one.
        receipt_id: the receipt's own id; all of a person's receipts belong to one record.
        app_id: the app whose user it is.
        subject_id: the pseudonym of the person.
        controller: who answers for the data.
        before: the cells as they were, for the receipt that each event follows on.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "conforms_to": CONFORMS_TO,
        "record_id": f"{app_id}/{subject_id}",
        "receipt_id": receipt_id,
        "pii_principal_id": subject_id,
        "purposes": [
            _purpose(event, subject_id, controller, before.get((event.signal, event.purpose)))
            for event in events
        ],
        "shown": shown_json(events[0].shown),
        "parties": _parties(events, subject_id, controller),
    }


def shown_json(shown: Shown | None) -> list[dict[str, Any]] | None:
    """Write the cells of a showing, by signal; None when nobody said."""
    if shown is None:
        return None
    return [
        {"signal": signal, "purposes": [purpose.value for purpose in purposes]}
        for signal, purposes in by_signal(shown)
    ]


def told(body: Mapping[str, Any]) -> dict[int, tuple[str, str, str]]:
    """Return what a receipt says of each line of the ledger, by its place there: signal, purpose and state.

    Raises:
        LookupError: this is not a receipt; TypeError and AttributeError too.
    """
    return {
        part["event"]["seq"]: (
            part["pii_information"]["pii_type"],
            part["purpose"],
            part["event"]["event_state"],
        )
        for part in body["purposes"]
    }


def record(receipts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record that a person's receipts make together, in order, at least one.

    Each choice there is stands once, with what was last said of it, and with every event about it.
    """
    purposes: dict[tuple[str, str], dict[str, Any]] = {}
    for receipt in receipts:
        for part in receipt["purposes"]:
            key = (part["signal"], part["purpose"])
            events = purposes[key]["events"] if key in purposes else []
            said = {name: value for name, value in part.items() if name != "event"}
            event = part["event"] | {"receipt_id": receipt["receipt_id"], "shown": receipt.get("shown")}
            purposes[key] = {**said, "events": [*events, event]}
    newest = receipts[-1]
    return {
        **{name: newest[name] for name in ("schema_version", "conforms_to", "record_id", "pii_principal_id")},
        "purposes": list(purposes.values()),
        "parties": list(
            {party["id"]: party for receipt in receipts for party in receipt["parties"]}.values()
        ),
    }


def _purpose(
    event: ConsentEvent, subject_id: str, controller: Controller, before: Cell | None
) -> dict[str, Any]:
    signal = SIGNALS[event.signal]
    logic, consequences = _LOGIC[event.purpose]
    return {
        "signal": signal.id,
        "purpose": event.purpose.value,
        "lawful_basis": "explicit_consent",
        "privacy_notice": {
            "version": event.notice_version,
            "sha256": event.notice_sha256,
            "url": f"{controller.notice_url}/{event.locale}?version={event.notice_version}",
        },
        "language": event.locale,
        "pii_information": {
            "pii_type": signal.id,
            "description": signal.stored,
            "special_category": signal.sensitivity is Sensitivity.SPECIAL,
            "optional": True,
        },
        "pii_controllers": [CONTROLLER],
        "collection_method": "from the person's use of the app",
        "processing_method": {"automation": "automated", "logic": logic, "consequences": consequences},
        "processing_locations": [controller.storage_location],
        "storage_locations": [controller.storage_location],
        "retention_period": f"P{signal.retention.days}D",
        "jurisdiction": controller.jurisdiction,
        "recipient_third_parties": [],
        "withdrawal_method": controller.withdrawal_url,
        "privacy_rights": list(RIGHTS),
        "default_state": "off",
        "event": {
            "seq": event.seq,
            "event_time": rfc3339(event.at),
            "validity_duration": f"P{signal.consent_lasts.days}D" if event.state in GRANTING else "P0D",
            "expires_at": rfc3339(event.expires_at) if event.expires_at else None,
            "entity_id": _entity(event, subject_id),
            "event_type": "automatic" if event.state in ENDINGS else "explicit",
            "event_state": event.state.value,
            "ui_method": event.method,
            "shown_at": rfc3339(event.shown_at) if event.shown_at else None,
            "shown_in": event.place,
            "prompt_id": event.prompt_id,
            "prev_event": before.receipt_id if before else None,
        },
    }


def _entity(event: ConsentEvent, subject_id: str) -> str:
    """Return who caused an event: the person, who acts for them, or the controller where neither did."""
    if event.actor.pseudonym is not None:
        return event.actor.pseudonym
    return subject_id if event.actor.type == SELF.type else CONTROLLER


def _parties(events: Sequence[ConsentEvent], subject_id: str, controller: Controller) -> list[dict[str, str]]:
    """Return everyone that a receipt names: the controller, the person, and who acted for them."""
    parties = [
        {
            "id": CONTROLLER,
            "name": controller.name,
            "address": controller.address,
            "contact": controller.contact,
            "email": controller.email,
            "phone": controller.phone,
            "type": "organisation",
            "role": "controller",
        },
        _nameless(subject_id, "principal"),
    ]
    acting = dict.fromkeys(event.actor.pseudonym for event in events if event.actor.pseudonym)
    return [*parties, *(_nameless(pseudonym, "guardian") for pseudonym in acting)]


def _nameless(pseudonym: str, role: str) -> dict[str, str]:
    """Return a person as a party: known by a pseudonym, and reached through the app alone."""
    return {"id": pseudonym, "name": "", "address": "", "contact": "", "type": "person", "role": role}
