"""Verifying a person's receipts offline: they hold for ever, and whatever was edited is caught, by its index."""

import json
import random
from typing import Any

import pytest

from api.service import Service
from consent.errors import HistoryChanged, Unreadable
from consent.log.commitments import canonical
from consent.verification.bundles import Keys
from consent.verification.evidence import Kept
from consent.verification.ledger import keep, verify_ledger
from consent.verification.receipts import verify_receipts
from tests.api.verifying import GRANT, exported, keys_of, live
from tests.api.witness import ON_SQLITE
from tests.conftest import NOTICE, Caller


async def test_no_flipped_byte_of_a_receipt_goes_unseen(client: Caller, service: Service) -> None:
    """Any byte of a person's receipts, proofs or checkpoint, changed by one bit: verification fails, and names one of their entries."""
    await client.consent("other", *GRANT)
    await client.consent("stays", "views")
    export = (await client.get("/v1/users/stays/export")).json()
    keys = await keys_of(service)
    assert verify_receipts(export, keys).entries == 1
    document = {"receipts": [{n: each[n] for n in ("receipt_id", "body", "jws")} for each in export["receipts"]], "log": export["log"]}  # fmt: skip
    assert verify_receipts(document, keys).receipts == 1
    flip_every_byte(document, keys, index=2)


@ON_SQLITE
async def test_no_flipped_byte_of_a_receipt_with_its_proof_goes_unseen(
    client: Caller, service: Service
) -> None:
    """Any byte of the receipt, its signature, its inclusion and consistency proofs or the checkpoint: as for an export."""
    await client.consent("other", *GRANT)
    receipt_id = (await client.consent("stays", "views"))["receipt"]["receipt_id"]
    await client.consent("other", "views", state="withdrawn")
    document = (await client.get(f"/v1/users/stays/receipts/{receipt_id}?proof=true&since=3")).json()
    keys = await keys_of(service)
    assert verify_receipts(document, keys).entries == 1
    flip_every_byte(document, keys, index=2)


def flip_every_byte(document: Any, keys: Keys, *, index: int) -> None:
    """One bit of each byte, one after the other: refused each time, and the entry is named where it can still be read."""
    text, chance = canonical(document), random.Random(4)
    for place in range(len(text)):
        flipped = bytearray(text)
        flipped[place] ^= 1 << chance.randrange(8)
        with pytest.raises((HistoryChanged, Unreadable)) as caught:
            _verify_text(bytes(flipped), keys)
        told = b'"index":%d' % index in flipped and b'"seq":%d' % index in flipped
        if isinstance(caught.value, HistoryChanged) and told:
            assert caught.value.index == index, (place, caught.value)


def _verify_text(text: bytes, keys: Keys) -> None:
    try:
        document = json.loads(text)
    except ValueError:
        raise Unreadable("this is not JSON") from None
    verify_receipts(document, keys)


async def test_the_history_of_an_export_is_what_was_logged(client: Caller, service: Service) -> None:
    """Any member of any line that is changed, a line that is left out, stands there twice or was never logged: the entry is named."""
    await client.consent("other", *GRANT)
    shown = {
        "cells": [{"signal": "views", "purpose": "improve"}],
        "place": "onboarding",
        "at": "2026-11-20T08:00:00Z",
    }
    body = {"changes": [{"signal": "views", "purpose": "improve", "state": "given"}], "notice_version": NOTICE,
            "locale": "en", "method": "dialog", "actor": {"type": "guardian", "id": "g"}, "shown": shown}  # fmt: skip
    assert (await client.http.put("/v1/users/stays/consents", json=body)).status_code == 200
    await client.consent("stays", "views", state="withdrawn")
    export = (await client.get("/v1/users/stays/export")).json()
    keys = await keys_of(service)
    assert verify_receipts(export, keys).history == 2
    first, second = export["consent_history"]
    others: list[Any] = [None, "x", 7, True, []]
    edited = [
        [{**first, name: other}, second]
        for name, value in first.items()
        for other in (*others, f"{value} ")
        if other != value and name != "seq"
    ]
    for history in (*edited, [{**first, "more": "x"}, second], [second], [second, second], []):
        with pytest.raises(HistoryChanged) as caught:
            verify_receipts({**export, "consent_history": history}, keys)
        assert caught.value.index == (3 if history == [second, second] else 2), history
    for seq in (0, 9, -1, None, "2", True, 2.0):
        with pytest.raises(HistoryChanged):
            verify_receipts({**export, "consent_history": [{**first, "seq": seq}, second]}, keys)
    for noise in others[:2]:
        with pytest.raises(Unreadable):
            verify_receipts({**export, "consent_history": noise}, keys)


async def test_after_an_erasure_the_persons_own_copy_still_verifies(client: Caller, service: Service) -> None:
    """What they downloaded before verifies for ever, and agrees with the ledger in which their entries are closed."""
    await client.consent("goes", *GRANT)
    mine = (await client.get("/v1/users/goes/export")).content
    await live(client)
    keys, kept = await keys_of(service), Kept()
    assert verify_receipts(json.loads(mine), keys).receipts == 1
    keep(kept, mine, keys)
    assert verify_ledger(await exported(service), keys, kept=kept).entries == 10


async def test_a_receipt_shows_that_the_log_only_grew(client: Caller, service: Service) -> None:
    """With `since` it is compared with a checkpoint that somebody kept: another history, of whatever size, is caught."""
    receipt_id = (await client.consent("stays", *GRANT))["receipt"]["receipt_id"]
    checkpoint = (await client.get("/v1/log/checkpoint")).content
    for number in range(5):
        await client.consent(f"u{number}", "views")
    path, keys = f"/v1/users/stays/receipts/{receipt_id}?proof=true", await keys_of(service)
    for since in (0, 1, 2, 7):
        document = (await client.get(f"{path}&since={since}")).json()
        seen = Kept()
        assert verify_receipts(document, keys, seen=seen).entries == 2
        assert seen.roots.keys() == {since, 7}
    kept, seen = Kept(), Kept()
    keep(kept, checkpoint, keys)
    verify_receipts((await client.get(f"{path}&since=2")).json(), keys, seen=seen)
    kept.require_agreement(seen)
    kept.roots[2] = bytes(32)
    with pytest.raises(HistoryChanged):
        kept.require_agreement(seen)
    refused = await client.get(f"{path}&since=8")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "since")


@ON_SQLITE
async def test_a_proof_stands_beside_json_alone(client: Caller) -> None:
    """The other formats have no place for it: 406 tells which one has."""
    receipt_id = (await client.consent("stays", "views"))["receipt"]["receipt_id"]
    path = f"/v1/users/stays/receipts/{receipt_id}?proof=true"
    answer = await client.get(path, headers={"Accept": "application/jose"})
    assert (answer.status_code, "application/json" in answer.json()["detail"]) == (406, True)
