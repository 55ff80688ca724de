"""Signatures: canonical JSON, Ed25519, and keys of one generation after another."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from sqlalchemy.ext.asyncio import AsyncConnection

from api.service import Service
from consent.receipts import keyring
from consent.receipts.keyring import Keyring
from consent.receipts.signing import Signer, canonical, key_set
from tests.conftest import APP

BODY: dict[str, Any] = {"receipt_id": "cd" * 16, "purposes": [{"signal": "views"}]}
SECRET = bytes(32)
DAY = 86_400_000_000
START = 1_790_000_000_000_000


def verified(signed: str, keys: dict[str, Any]) -> dict[str, Any]:
    """What was signed, checked against a published key set."""
    published = KeySet.import_key_set(keys)  # type: ignore[arg-type]  # the same shape, untyped
    payload = jws.deserialize_compact(signed, published, algorithms=["Ed25519"]).payload
    document: dict[str, Any] = json.loads(payload)
    return document


def test_the_canonical_form_does_not_depend_on_order() -> None:
    """The same receipt with its members in another order is the same text (RFC 8785)."""
    assert canonical(BODY) == canonical(dict(reversed(BODY.items())))


def test_a_signature_holds_for_this_receipt_and_key_only() -> None:
    """The published key verifies it; a changed body, or another key under the same name, does not."""
    signer = Signer(SECRET)
    signed = signer.sign(BODY)
    assert verified(signed, key_set([signer.public_key])) == BODY
    head, _, signature = signed.split(".")
    forged = ".".join((head, signer.sign({**BODY, "purposes": []}).split(".")[1], signature))
    with pytest.raises(BadSignatureError):
        verified(forged, key_set([signer.public_key]))
    stranger = {**Signer(b"\1" * 32).public_key, "kid": signer.kid}
    with pytest.raises(BadSignatureError):
        verified(signed, key_set([stranger]))


def test_the_private_half_is_not_published() -> None:
    """What is published of a key is its public half."""
    assert "d" not in Signer(SECRET).public_key


@pytest.fixture
async def connection(service: Service) -> AsyncIterator[AsyncConnection]:
    """A transaction of a service that never signed anything."""
    async with service.database.write(APP) as opened:
        yield opened


async def published(connection: AsyncConnection) -> dict[str, Any]:
    """The key set, as it is published."""
    return key_set(key.public for key in await keyring.generations(connection))


async def test_the_first_key_is_made_when_something_is_signed(connection: AsyncConnection) -> None:
    """Before, none is published; from then on it is the same one, also for another process."""
    assert await published(connection) == {"keys": []}
    signer = await Keyring(SECRET).signer(connection, START)
    assert (await Keyring(SECRET).signer(connection, START + DAY)).kid == signer.kid
    assert verified(signer.sign(BODY), await published(connection)) == BODY


async def test_a_new_key_is_published_before_it_signs(connection: AsyncConnection) -> None:
    """During the overlap the old key signs and both are published; then the new one signs and both verify."""
    ring = Keyring(SECRET)
    old = await ring.signer(connection, START)
    before = old.sign(BODY)
    kid = await ring.rotate(connection, START, overlap=DAY)
    assert {key["kid"] for key in (await published(connection))["keys"]} == {old.kid, kid}
    assert (await ring.signer(connection, START + DAY - 1)).kid == old.kid
    new = await ring.signer(connection, START + DAY)
    assert new.kid == kid
    for signed in (before, new.sign(BODY)):
        assert verified(signed, await published(connection)) == BODY


async def test_a_retired_key_verifies_and_can_never_sign_again(connection: AsyncConnection) -> None:
    """Once the new key has begun, the private half of the old one is destroyed; its public half stays."""
    ring = Keyring(SECRET)
    signed = (await ring.signer(connection, START)).sign(BODY)
    await ring.rotate(connection, START, overlap=DAY)
    assert await ring.retire(connection, START + DAY - 1) == 0
    assert await ring.retire(connection, START + DAY) == 1
    assert await ring.retire(connection, START + DAY) == 0
    newest, oldest = await keyring.generations(connection)
    assert (newest.retired_at, oldest.retired_at) == (None, START + DAY)
    assert verified(signed, await published(connection)) == BODY
    assert (await ring.signer(connection, START)).kid != oldest.kid


async def test_a_rotation_without_overlap_takes_over_at_once(connection: AsyncConnection) -> None:
    """After a leak nobody waits; even where nothing was ever signed there is a key to rotate from."""
    ring = Keyring(SECRET)
    kid = await ring.rotate(connection, START, overlap=0)
    assert (await ring.signer(connection, START + 1)).kid == kid
    assert len((await published(connection))["keys"]) == 2


async def test_what_the_database_holds_signs_nothing_without_the_secret(connection: AsyncConnection) -> None:
    """Under another secret a new key is made; what was signed before keeps verifying."""
    former = await Keyring(SECRET).signer(connection, START)
    other = await Keyring(b"\1" * 32).signer(connection, START + 1)
    assert other.kid != former.kid
    for signer in (former, other):
        assert verified(signer.sign(BODY), await published(connection)) == BODY
