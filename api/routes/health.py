"""`/healthz`, `/readyz` and the public keys."""

import orjson
from fastapi import APIRouter, Response

from api.answers import ReadyOut
from api.connecting import Unreachable
from api.dependencies import ServiceDep
from api.problems import NO_STORE, declared
from api.schema import SchemaOutdated, require_current
from consent.receipts import keyring
from consent.receipts.signing import key_set

router = APIRouter(tags=["health"])

JWKS_MAX_AGE_S = 300
"""How long a copy of the key set may be kept; a new key is published for longer before it signs."""


@router.get("/healthz", summary="Alive")
async def alive() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="Ready to serve",
    responses={200: {"model": ReadyOut}, 503: {"model": ReadyOut, "description": "Not ready; says why"}},
)
async def ready(service: ServiceDep) -> Response:
    """Say whether the service can do its work, and why not."""
    reasons: list[str] = []
    try:
        async with service.database.read("") as connection:
            await require_current(connection)
    except SchemaOutdated as outdated:
        reasons.append(str(outdated))
    except Unreachable as unreachable:
        reasons.append(f"the database cannot be reached ({unreachable})")
    except Exception as error:  # noqa: BLE001  whatever it is, the service is not ready, and says so
        reasons.append(f"the database cannot be reached ({type(error).__name__})")
    if not service.readiness.replayed:
        reasons.append("the register of erasures is not replayed yet")
    if not service.models.ready:
        reasons.append("the catalogue and the models were not read yet")
    degraded = sorted({fault for faults in service.models.faults.values() for fault in faults})
    document = {"status": "not ready" if reasons else "ready", "reasons": reasons, "degraded": degraded}
    return Response(
        orjson.dumps(document), 503 if reasons else 200, media_type="application/json", headers=NO_STORE
    )


@router.get(
    "/.well-known/jwks.json",
    summary="Keys that verify receipts",
    response_class=Response,
    responses={
        200: {"content": {"application/jwk-set+json": {"schema": {"$ref": "#/components/schemas/JwksOut"}}}},
        **declared(503),
    },
)
async def public_keys(service: ServiceDep) -> Response:
    """The JWK set (RFC 7517) for the receipts' signatures: every key there ever was, the next one included."""
    async with service.database.read("") as connection:
        keys = await keyring.generations(connection)
    return Response(
        orjson.dumps(key_set(key.public for key in keys)),
        media_type="application/jwk-set+json",
        headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_S}"},
    )
