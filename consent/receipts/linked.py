"""Receipts as linked data: JSON-LD 1.1 whose terms are those of the Data Privacy Vocabulary (https://w3id.org/dpv).

The fields are the receipt's own. What they mean is said by the context, which stands in the document itself: a receipt
means the same in ten years, without a download. What DPV has no term for lies under `urn:assent:terms:`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def context() -> Mapping[str, Any]:
    """Return the context that gives every field of a receipt, and of a record, its IRI."""
    read: dict[str, Any] = json.loads(
        (resources.files("consent.receipts") / "context.json").read_text("utf-8")
    )
    return read | {"events": read["event"]}


def document(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Return a receipt as JSON-LD: parties have IRIs within the person's record."""
    return {
        "@context": _context(receipt),
        "@id": f"urn:assent:receipt:{receipt['receipt_id']}",
        "@type": ["dpv:ConsentRecord", "dpv:ConsentReceipt"],
        **receipt,
    }


def record(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a person's record (`receipts.record`) as JSON-LD."""
    return {
        "@context": _context(body),
        "@id": f"urn:assent:record:{body['record_id']}",
        "@type": "dpv:ConsentRecord",
        **body,
    }


def _context(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [context(), {"@base": f"urn:assent:{body['record_id']}/"}]
