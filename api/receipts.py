"""The formats in which a receipt leaves the service, by media type."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from consent.receipts import fhir, kantara, linked
from consent.receipts.signing import canonical

JSON = "application/json"
JSON_LD = "application/ld+json"
JWS = "application/jose"
KANTARA = "application/vnd.kantara.consent-receipt+json"
FHIR = "application/fhir+json"

Writer = Callable[[Mapping[str, Any], str], bytes]
"""Writes a receipt (its fields, and its signed form) in one format."""

FORMATS: Mapping[str, Writer] = MappingProxyType(
    {
        JSON: lambda body, _: canonical(body).encode(),
        JSON_LD: lambda body, _: orjson.dumps(linked.document(body)),
        JWS: lambda _, signed: signed.encode(),
        KANTARA: lambda body, _: orjson.dumps(kantara.document(body)),
        FHIR: lambda body, _: orjson.dumps(fhir.document(body)),
    }
)
"""Every format by its media type; the first is the default."""

RECORD_FORMATS: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = MappingProxyType(
    {
        JSON: lambda record: canonical(record).encode(),
        JSON_LD: lambda record: orjson.dumps(linked.record(record)),
    }
)
"""The formats of a person's record; the first is the default."""

FILES: Mapping[str, str] = MappingProxyType(
    {"json": JSON, "jws": JWS, "jsonld": JSON_LD, "kantara": KANTARA, "fhir": FHIR}
)
"""The formats as files, by how their names end."""
