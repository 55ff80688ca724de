"""Receipts in the format of the Kantara Initiative, Consent Receipt Specification 1.1.

It knows consent that was given, and no other state: cells that were refused, withdrawn or ended are not in it, and the receipt of a
pure withdrawal has no purposes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from consent.ledger import GRANTING

VERSION = "KI-CR-v1.1.0"

_CATEGORIES = {
    "personalise": "Personalized Experience",
    "improve": "Improve Performance",
    "measure": "Improve Performance",
}
"""The specification's own categories of purposes (appendix B)."""


def document(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Return a receipt in Kantara's fields."""
    first = receipt["purposes"][0]
    given = [part for part in receipt["purposes"] if part["event"]["event_state"] in GRANTING]
    special = [part for part in given if part["pii_information"]["special_category"]]
    controllers = [party for party in receipt["parties"] if party["role"] == "controller"]
    return {
        "version": VERSION,
        "jurisdiction": first["jurisdiction"],
        "consentTimestamp": int(datetime.fromisoformat(first["event"]["event_time"]).timestamp()),
        "collectionMethod": first["event"]["ui_method"],
        "consentReceiptID": receipt["receipt_id"],
        "language": first["language"],
        "piiPrincipalId": receipt["pii_principal_id"],
        "piiControllers": [
            {
                "piiController": party["name"],
                "onBehalf": False,
                "contact": party["contact"],
                "address": {"streetAddress": party["address"]},
                "email": party["email"],
                "phone": party["phone"],
            }
            for party in controllers
        ],
        "policyUrl": first["privacy_notice"]["url"],
        "services": [{"service": "suggestions", "purposes": [_purpose(part) for part in given]}],
        "sensitive": bool(special),
        "spiCat": ["health"] if special else [],
    }


def _purpose(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "purpose": part["purpose"],
        "purposeCategory": [_CATEGORIES[part["purpose"]]],
        "consentType": "EXPLICIT",
        "piiCategory": [part["pii_information"]["pii_type"]],
        "primaryPurpose": False,
        "termination": f"{part['event']['expires_at']}, or withdrawn before at {part['withdrawal_method']}",
        "thirdPartyDisclosure": bool(part["recipient_third_parties"]),
    }
