"""Receipts as JSON-LD: every term is an IRI, those of DPV exist there, and nothing is fetched from anywhere."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pyld import jsonld

from consent.ledger import Actor, State
from consent.purposes import Purpose
from consent.receipts import linked
from consent.receipts.records import CONFORMS_TO
from tests.consent.test_receipts import PERSON, line, receipt

DPV = "https://w3id.org/dpv#"
VOCABULARY = json.loads((Path(__file__).parent / "dpv.json").read_text(encoding="utf-8"))


def refuse(url: str, *_: Any, **__: Any) -> NoReturn:
    """The document loader of these tests."""
    pytest.fail(f"a download was tried: {url}")


def expanded(body: dict[str, Any]) -> dict[str, Any]:
    """A receipt's JSON-LD, with every term in full."""
    document = json.loads(json.dumps(linked.document(body)))
    (node,) = jsonld.expand(document, {"documentLoader": refuse})
    found: dict[str, Any] = node
    return found


def whole() -> dict[str, Any]:
    """A receipt of a person's yes, with what they were shown, and of a guardian's no about their health."""
    shown = [("views", Purpose.PERSONALISE), ("views", Purpose.MEASURE), ("saves", Purpose.IMPROVE)]
    yes = replace(line(), shown=shown)
    return receipt(yes, line(State.REFUSED, "check_ins", Actor("guardian", "aa" * 32)))


def keys(node: Any) -> Iterator[str]:
    """Every key and type of an expanded document."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            if key == "@type":
                yield from [value] if isinstance(value, str) else value
            else:
                yield from keys(value)
    elif isinstance(node, list):
        for each in node:
            yield from keys(each)


def leaves(node: Any) -> int:
    """How many values a document holds, that are not null."""
    if isinstance(node, dict):
        return sum(leaves(value) for key, value in node.items() if key != "@context")
    if isinstance(node, list):
        return sum(leaves(each) for each in node)
    return node is not None


def values(node: Any) -> int:
    """How many values an expanded document holds."""
    if isinstance(node, dict):
        if "@value" in node:
            return 1
        return sum(
            (len(value) if isinstance(value, list) else 1) if key in {"@type", "@id"} else values(value)
            for key, value in node.items()
        )
    return sum(values(each) for each in node) if isinstance(node, list) else 0


def test_every_term_is_an_iri_and_no_value_is_lost() -> None:
    """Each key and type is absolute, and as many values come out as went in; no document is loaded for it."""
    body = whole()
    node = expanded(body)
    for key in keys(node):
        assert key.startswith(("https://", "http://", "urn:assent:", "@")), key
    assert values(node) == leaves(linked.document(body))


def test_the_terms_taken_from_dpv_exist_there() -> None:
    """Every IRI in a namespace of DPV, its GDPR extension or Dublin Core is in their lists of terms."""
    told = json.dumps([expanded(whole()), *(expanded(receipt(line(state))) for state in State)])
    words = set(told.replace('"', " ").split())
    used = {word for word in words for name in VOCABULARY if name != "source" and word.startswith(name)}
    known = {name + term for name, terms in VOCABULARY.items() if name != "source" for term in terms}
    assert len(used) > 50
    assert used <= known


def test_the_receipt_says_what_it_conforms_to() -> None:
    """The profile of ISO/IEC TS 27560 for the GDPR, and the types of a record and of its receipt."""
    node = expanded(whole())
    assert node["http://purl.org/dc/terms/conformsTo"] == [{"@id": CONFORMS_TO}]
    assert node["@type"] == [f"{DPV}ConsentRecord", f"{DPV}ConsentReceipt"]


@pytest.mark.parametrize(
    ("state", "term"),
    [
        (State.UNKNOWN, "ConsentUnknown"), (State.REQUESTED, "ConsentRequested"), (State.DEFERRED, "ConsentRequestDeferred"),
        (State.GIVEN, "ConsentGiven"), (State.RENEWED, "RenewedConsentGiven"), (State.REFUSED, "ConsentRefused"),
        (State.WITHDRAWN, "ConsentWithdrawn"), (State.EXPIRED, "ConsentExpired"), (State.INVALIDATED, "ConsentInvalidated"),
        (State.TERMINATED, "ConsentRevoked"),
    ],
)  # fmt: skip
def test_each_state_has_its_term(state: State, term: str) -> None:
    """The state of an event is DPV's own; ended by another than the person is what DPV calls revoked."""
    (process,) = expanded(receipt(line(state)))[f"{DPV}hasProcess"]
    (event,) = process["http://purl.org/dc/terms/hasPart"]
    assert event[f"{DPV}hasConsentStatus"] == [{"@id": DPV + term}]


def test_whoever_acted_is_linked() -> None:
    """The entity of an event, the data subject and the controller are the parties of the same document."""
    node = expanded(whole())
    parties = {party["@id"]: party["@type"] for party in node[f"{DPV}hasEntity"]}
    base = f"urn:assent:harbour/{PERSON}/"
    assert parties == {
        f"{base}controller": [f"{DPV}DataController"],
        f"{base}{PERSON}": [f"{DPV}DataSubject"],
        f"{base}{'aa' * 32}": [f"{DPV}Representative"],
    }
    assert node[f"{DPV}hasDataSubject"] == [{"@id": base + PERSON}]
    acted = [
        process["http://purl.org/dc/terms/hasPart"][0][f"{DPV}isImplementedByEntity"][0]["@id"]
        for process in node[f"{DPV}hasProcess"]
    ]
    assert acted == [base + PERSON, base + "aa" * 32]
