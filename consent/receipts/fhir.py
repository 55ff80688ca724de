"""Receipts as HL7 FHIR R5 (5.0.0) Consent resources.

A Consent has one base decision and provisions that are its exceptions. Here the base decision is `deny`, and each cell that is
granted is a provision: default deny in FHIR's words.
"""

from collections.abc import Mapping
from typing import Any

from consent.ledger import GRANTING

_DOCUMENT = {"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}
_USE = {"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "use"}
_RESTRICTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "code": "R",
    "display": "restricted",
}
_TYPES = {"controller": "Organization", "principal": "Patient", "guardian": "RelatedPerson"}


def document(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Return a receipt as a Consent resource."""
    first = receipt["purposes"][0]
    parties = {party["id"]: _reference(party) for party in receipt["parties"]}
    granted = [part for part in receipt["purposes"] if part["event"]["event_state"] in GRANTING]
    resource: dict[str, Any] = {
        "resourceType": "Consent",
        "id": receipt["receipt_id"],
        "identifier": [
            {"system": "urn:assent:receipt", "value": receipt["receipt_id"]},
            {"system": "urn:assent:record", "value": receipt["record_id"]},
        ],
        "status": "active" if granted else "inactive",
        "category": [{"coding": [_DOCUMENT]}],
        "subject": parties[receipt["pii_principal_id"]],
        "date": first["event"]["event_time"][:10],
        "grantor": [parties[first["event"]["entity_id"]]],
        "grantee": [parties[each] for each in first["pii_controllers"]],
        "sourceAttachment": [
            {
                "contentType": "text/markdown",
                "language": first["language"],
                "url": first["privacy_notice"]["url"],
                "title": f"Notice {first['privacy_notice']['version']}, SHA-256 {first['privacy_notice']['sha256']}",
            }
        ],
        "regulatoryBasis": [{"text": "GDPR 6(1)(a), 9(2)(a)"}],
        "policyBasis": {"url": receipt["conforms_to"]},
        "decision": "deny",
    }
    if granted:  # FHIR has no empty lists
        resource["provision"] = [_provision(part, parties) for part in granted]
    return resource


def _reference(party: Mapping[str, Any]) -> dict[str, Any]:
    known = {"identifier": {"system": "urn:assent:party", "value": party["id"]}}
    named = {"display": party["name"]} if party["name"] else {}
    return {"type": _TYPES[party["role"]], **known, **named}


def _provision(part: Mapping[str, Any], parties: Mapping[str, Any]) -> dict[str, Any]:
    event, data = part["event"], part["pii_information"]
    permitted: dict[str, Any] = {
        "period": {"start": event["event_time"], "end": event["expires_at"]},
        "actor": [{"reference": parties[each]} for each in part["pii_controllers"]],
        "action": [{"coding": [_USE]}],
        "purpose": [{"system": "urn:assent:purpose", "code": part["purpose"]}],
        "code": [
            {
                "coding": [{"system": "urn:assent:signal", "code": data["pii_type"]}],
                "text": data["description"],
            }
        ],
    }
    if data["special_category"]:
        permitted["securityLabel"] = [_RESTRICTED]
    return permitted
