"""A person who leaves rows in every table that there is for persons: what the walks over the schema look for."""

import secrets

from api.service import Service
from consent import store as ledger
from consent.personal import Person
from consent.signals import SIGNALS
from tests.api.calls import CONSENT, SUBSCRIPTION
from tests.conftest import APP, Caller, event

PURPOSES = ("personalise", "improve", "measure")


async def live_fully(service: Service, client: Caller, user_id: str, key: str | None = None) -> Person:
    """Let somebody leave rows wherever they can; each time they come, under another key."""
    if not (await client.get("/v1/subscriptions")).json()["subscriptions"]:
        await client.post("/v1/subscriptions", SUBSCRIPTION)
    body = {
        **CONSENT,
        "changes": [
            {"signal": signal, "purpose": purpose, "state": "given"}
            for signal in SIGNALS
            for purpose in PURPOSES
        ],
    }
    answer = await client.http.put(
        f"/v1/users/{user_id}/consents", json=body, headers={"Idempotency-Key": key or secrets.token_hex(8)}
    )
    assert answer.status_code == 200
    await client.events(
        event(user_id, "views", "box-breathing"),
        event(user_id, "topics", topic="sleep"),
        event(user_id, "check_ins", value=2),
    )
    user_hash = service.pseudonyms.user(APP, user_id)
    async with service.database.read(APP) as connection:
        subject_id = await ledger.find_subject(connection, APP, user_hash)
    assert subject_id is not None
    return Person(APP, user_hash, subject_id)
