"""Receipts over HTTP: formats by `Accept`, and signatures that outlive their keys."""

import json
from typing import Any

from joserfc import jws
from joserfc.jwk import KeySet
from pyld import jsonld

from api.receipts import FORMATS
from api.service import Service
from consent.receipts.records import CONFORMS_TO
from consent.receipts.signing import canonical
from tests.conftest import APP, Caller, Clock
from tests.consent.test_linked import keys, refuse


async def receipt_of(client: Caller, user_id: str = "u1", **choice: Any) -> tuple[str, dict[str, Any]]:
    """The path and the fields of the receipt of a first choice."""
    receipt = (await client.consent(user_id, "views", **choice))["receipt"]
    return f"/v1/users/{user_id}/receipts/{receipt['receipt_id']}", receipt


async def test_every_format_is_had_by_its_media_type(client: Caller) -> None:
    """Each is answered under its own name; what is asked for loosely is JSON, in its canonical form."""
    path, receipt = await receipt_of(client)
    for name in FORMATS:
        answer = await client.get(path, headers={"Accept": name})
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (
            200,
            name.partition(";")[0],
        )
        assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept", "no-store")
    assert (await client.get(path)).text == canonical(receipt)


async def test_a_format_there_is_not_is_told_with_those_there_are(client: Caller) -> None:
    """406, naming every media type on offer, and nothing of the receipt."""
    path, receipt = await receipt_of(client)
    answer = await client.get(path, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert all(name in answer.json()["detail"] for name in FORMATS)
    assert receipt["pii_principal_id"] not in answer.text


async def test_a_receipt_verifies_whichever_key_signs_now(
    client: Caller, service: Service, clock: Clock
) -> None:
    """Signed before a rotation, during its overlap and after it: all verify against what is published in the end."""
    paths = [(await receipt_of(client, "u1"))[0]]
    async with service.database.write("") as connection:
        await service.keyring.rotate(connection, clock(), overlap=86_400_000_000)
    paths.append((await receipt_of(client, "u2"))[0])
    clock.forward(days=2)
    paths.append((await receipt_of(client, "u3"))[0])
    async with service.database.write(APP) as connection:
        assert await service.keyring.retire(connection, clock()) == 1
    published = await client.get("/.well-known/jwks.json")
    assert published.headers["cache-control"] == "public, max-age=300"
    trusted = KeySet.import_key_set(published.json())
    kids = []
    for path in paths:
        signed = (await client.get(path, headers={"Accept": "application/jose"})).text
        opened = jws.deserialize_compact(signed, trusted, algorithms=["Ed25519"])
        assert json.loads(opened.payload) == (await client.get(path)).json()
        kids.append(opened.headers()["kid"])
    assert kids[0] == kids[1] != kids[2]


async def test_the_record_holds_every_event_of_every_choice(client: Caller) -> None:
    """One entry for each signal and purpose, with its events in order and the receipt of each."""
    given = (await client.consent("u1", "views", "saves"))["receipt"]
    withdrawn = (await client.consent("u1", "views", state="withdrawn"))["receipt"]
    await client.consent("u2", "ratings")
    record = (await client.get("/v1/users/u1/record")).json()
    assert record["record_id"] == given["record_id"]
    told = {
        part["signal"]: [(each["event_state"], each["receipt_id"]) for each in part["events"]]
        for part in record["purposes"]
    }
    assert told == {
        "views": [("given", given["receipt_id"]), ("withdrawn", withdrawn["receipt_id"])],
        "saves": [("given", given["receipt_id"])],
    }
    assert {party["role"] for party in record["parties"]} == {"controller", "principal"}
    assert (await client.get("/v1/users/nobody/record")).status_code == 404
    refused = await client.get("/v1/users/u1/record", headers={"Accept": "application/jose"})
    assert refused.status_code == 406


async def test_the_record_expands_to_iris(client: Caller) -> None:
    """As JSON-LD it is a dpv:ConsentRecord that conforms to the profile, and nothing is downloaded to read it."""
    await client.consent("u1", "views")
    answer = await client.get("/v1/users/u1/record", headers={"Accept": "application/ld+json"})
    (node,) = jsonld.expand(answer.json(), {"documentLoader": refuse})
    assert node["@type"] == ["https://w3id.org/dpv#ConsentRecord"]
    assert node["http://purl.org/dc/terms/conformsTo"] == [{"@id": CONFORMS_TO}]
    assert all(key.startswith(("https://", "http://", "urn:assent:", "@")) for key in keys(node))
