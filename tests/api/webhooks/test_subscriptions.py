"""Subscriptions over HTTP: made, listed, changed, ended; secrets shown once and rotated with an overlap; pings."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest

from api.keys import Scope
from api.service import Service
from api.webhooks.delivery import Courier
from api.webhooks.subscriptions import MOST
from tests.api import witness
from tests.api.webhooks.receiver import Got, Receiver
from tests.api.webhooks.test_delivery import deliveries, subscribed
from tests.api.witness import ON_SQLITE
from tests.conftest import OTHER_APP, Caller, Clock

BODY = {"url": "https://app.example/hooks", "types": ["consent.changed"]}


def signs(secret: str, got: Got) -> bool:
    """Whether one of a message's signatures is by this secret, worked out anew after the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected in got.headers["webhook-signature"].split(" ")


async def test_a_subscription_lives(client: Caller, receiver: Receiver, database_url: str) -> None:
    """It is made, read, listed, changed and ended; after that it is not found."""
    made = await subscribed(client, receiver, ["consent.changed", "consent.changed", "consent.expired"])
    assert made["types"] == ["consent.changed", "consent.expired"]
    path = f"/v1/subscriptions/{made['subscription_id']}"
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert (await client.get(path)).json() == shown
    assert (await client.get("/v1/subscriptions")).json() == {"subscriptions": [shown]}
    changed = await client.http.put(path, json={**BODY, "url": receiver.url + "/more"})
    assert changed.json() == {**shown, "url": receiver.url + "/more", "types": ["consent.changed"]}
    await client.consent("u1", "views")
    assert (await client.http.delete(path)).status_code == 204
    assert [(await client.http.request(method, path)).status_code for method in ("GET", "DELETE")] == [
        404,
        404,
    ]
    rows = await witness.everything(database_url)
    assert rows["webhook_subscription"] == rows["webhook_delivery"] == []


async def test_the_secret_is_shown_once_and_kept_nowhere(
    client: Caller, receiver: Receiver, courier: Courier, database_url: str
) -> None:
    """It signs what is sent, is in no other answer, in no table, and not in the answer kept for retries, which yet repeats it."""
    headers = {"Idempotency-Key": "k"}
    body = {"url": receiver.url, "types": ["consent.changed"]}
    made, again = [await client.post("/v1/subscriptions", body, headers=headers) for _ in range(2)]
    assert made.content == again.content
    secret = made.json()["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    await client.consent("u1", "views")
    await courier.deliver()
    assert signs(secret, receiver.got[0])
    assert secret not in (await client.get("/v1/subscriptions")).text
    rows = repr(await witness.everything(database_url))
    assert secret not in rows
    assert repr(base64.b64decode(secret.removeprefix("whsec_")))[2:-1] not in rows


async def test_a_rotation_overlaps(
    client: Caller, receiver: Receiver, courier: Courier, clock: Clock
) -> None:
    """For a day both secrets sign; then the new one alone."""
    made = await subscribed(client, receiver)
    rotated = (await client.post(f"/v1/subscriptions/{made['subscription_id']}:rotate")).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["secret_generation"] == 2
    assert rotated["previous_secret_until"]
    await client.consent("u1", "views")
    await courier.deliver()
    clock.forward(days=1.01)
    await client.consent("u1", "saves")
    await courier.deliver()
    both, one = receiver.got
    assert signs(made["secret"], both)
    assert signs(rotated["secret"], both)
    assert not signs(made["secret"], one)
    assert signs(rotated["secret"], one)
    shown = (await client.get(f"/v1/subscriptions/{made['subscription_id']}")).json()
    assert shown["previous_secret_until"] is None


async def test_a_ping_arrives(client: Caller, receiver: Receiver, courier: Courier) -> None:
    """A ping goes out signed, whatever was subscribed to, and is seen among the deliveries."""
    made = await subscribed(client, receiver, ["erasure.completed"])
    sent = await client.post(f"/v1/subscriptions/{made['subscription_id']}:ping")
    assert sent.status_code == 202
    await courier.deliver()
    (got,) = receiver.got
    assert (got.document["type"], got.document["data"]) == ("webhook.ping", {})
    assert got.headers["webhook-id"] == sent.json()["message_id"]
    assert signs(made["secret"], got)
    (row,) = await deliveries(client, made)
    assert (row["message_id"], row["status"]) == (sent.json()["message_id"], "delivered")


@ON_SQLITE
async def test_messages_are_paged(client: Caller, receiver: Receiver) -> None:
    """Newest first, from below the cursor, until there is no next page."""
    made = await subscribed(client, receiver)
    for number in range(5):
        await client.consent(f"u{number}", "views")
    path, seen, cursor = f"/v1/subscriptions/{made['subscription_id']}/deliveries", [], ""
    for _ in range(3):
        page = (
            await client.get(path, params={"limit": 2, "cursor": cursor} if cursor else {"limit": 2})
        ).json()
        seen += [each["sequence"] for each in page["deliveries"]]
        cursor = page["next_cursor"]
    assert seen == [5, 4, 3, 2, 1]
    assert cursor is None


@ON_SQLITE
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**BODY, "url": "http://app.example/"}, "url"),
        ({**BODY, "url": "https://169.254.169.254/latest"}, "url"),
        ({**BODY, "url": "https://canary:7f3a@app.example/"}, "url"),
        ({**BODY, "url": ""}, "url"),
        ({**BODY, "url": "https://app.example/" + "x" * 2000}, "url"),
        ({**BODY, "types": []}, "types"),
        ({**BODY, "types": ["webhook.ping"]}, "types.0"),
        ({**BODY, "types": ["canary"]}, "types.0"),
        ({**BODY, "secret": "canary"}, "secret"),
    ],
)
async def test_what_cannot_be_subscribed_to(
    caller_for: Callable[..., Any], service: Service, database_url: str, body: dict[str, Any], field: str
) -> None:
    """Addresses inside, plain http, unknown types and fields are refused by name, on making and on changing; nothing is written."""
    client = await caller_for()
    object.__setattr__(service.settings, "webhook_http", False)
    known = (await client.post("/v1/subscriptions", BODY)).json()["subscription_id"]
    before = await witness.everything(database_url)
    for method, path in (("POST", "/v1/subscriptions"), ("PUT", f"/v1/subscriptions/{known}")):
        answer = await client.http.request(method, path, json=body)
        assert answer.status_code == 422, answer.text
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert "canary" not in answer.text
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_an_app_has_so_many_and_no_more(client: Caller) -> None:
    """One more than the most is a conflict."""
    for _ in range(MOST):
        assert (await client.post("/v1/subscriptions", BODY)).status_code == 201
    assert (await client.post("/v1/subscriptions", BODY)).status_code == 409


async def test_an_app_sees_its_own_alone(
    client: Caller, caller_for: Callable[..., Any], receiver: Receiver, database_url: str
) -> None:
    """Another app's key finds no subscription of this one's under any verb, and changes nothing."""
    made = await subscribed(client, receiver)
    await client.consent("u1", "views")
    other = await caller_for(OTHER_APP)
    before = await witness.counts(database_url)
    path = f"/v1/subscriptions/{made['subscription_id']}"
    for method, suffix in [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", ":ping"), ("POST", ":rotate"), ("GET", "/deliveries")]:  # fmt: skip
        answer = await other.http.request(method, path + suffix, json=BODY if method == "PUT" else None)
        assert answer.status_code == 404, (method, suffix)
    assert (await other.get("/v1/subscriptions")).json() == {"subscriptions": []}
    assert await witness.counts(database_url) == before
    reader = await caller_for("harbour", Scope.RECOMMEND)
    assert (await reader.get("/v1/subscriptions")).status_code == 403
