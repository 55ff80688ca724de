"""Who writes history anew, with some keys or with all of them, is caught by a signature or by what others kept."""

import base64
import json
from collections.abc import Sequence

import pytest

from api.service import Service
from consent.errors import HistoryChanged
from consent.log import merkle
from consent.log.checkpoints import LogSigner, bytes_of
from consent.log.commitments import Leaf, canonical, digest
from consent.log.merkle import Tree
from consent.receipts.signing import Signer
from consent.verification.bundles import checkpoint_line, entry_line, receipt_line
from consent.verification.evidence import Kept
from consent.verification.ledger import keep, verify_ledger
from tests.api.verifying import exported, keys_of, live, where
from tests.conftest import APP, Caller


class Forger:
    """An operator who has every key, and writes history anew."""

    def __init__(self, lines: Sequence[bytes], log: LogSigner, receipts: Signer) -> None:
        self.header, self.told = lines[0], [json.loads(line) for line in lines[1:]]
        self._log, self._receipts = log, receipts

    def again(self, *, sign: bool) -> list[bytes]:
        """The ledger with all leaves made anew, and checkpoints and receipts signed anew where the keys are there."""
        tree, lines, kept = Tree(), [self.header], ""
        for told in self.told:
            if "receipt" in told:
                kept = told["receipt"]
                lines.append(receipt_line(kept))
            elif "checkpoint" in told:
                note = self._log.checkpoint(tree.size, tree.root) if sign else told["checkpoint"]
                lines.append(checkpoint_line(note))
            else:
                leaf = (
                    Leaf(told["index"], told["entry"], bytes_of(told["leaf_key"]))
                    if "entry" in told
                    else None
                )
                data = leaf.data if leaf else bytes_of(told["leaf"])
                tree.append(merkle.leaf_hash(data))
                lines.append(
                    entry_line(
                        told["index"], data, leaf, bytes_of(told["erased"]) if "erased" in told else None
                    )
                )
        return lines

    def edit(self, index: int, state: str, *, sign: bool) -> None:
        """Make an entry say another state, and its receipt too where the keys are there."""
        place = next(number for number, told in enumerate(self.told) if told.get("index") == index)
        entry = self.told[place]["entry"]
        entry["state"] = state
        if not sign:
            return
        signed = max(number for number in range(place) if "receipt" in self.told[number])
        payload = self.told[signed]["receipt"].split(".")[1]
        body = json.loads(_base64url(payload))
        for part in body["purposes"]:
            if part["event"]["seq"] == index:
                part["event"]["event_state"] = state
        text = canonical(body).decode()
        self.told[signed]["receipt"] = self._receipts.sign_text(text)
        for told in self.told[signed + 1 :]:
            if "entry" in told and told["entry"]["receipt_id"] == entry["receipt_id"]:
                told["entry"]["receipt_sha256"] = digest(text)


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def forger(service: Service) -> Forger:
    """An operator of this service."""
    async with service.database.write(APP) as connection:
        signer = await service.keyring.signer(connection, service.clock())
    return Forger(await exported(service), service.logs.of(APP), signer)


async def test_who_rewrites_the_tree_without_the_keys_is_caught(client: Caller, service: Service) -> None:
    """An entry edited with a leaf and a tree to fit: its signed receipt still says otherwise, so the very entry is named."""
    await live(client)
    forging = await forger(service)
    assert verify_ledger(forging.again(sign=True), await keys_of(service)).entries == 8
    forging.edit(5, "withdrawn", sign=False)
    with pytest.raises(HistoryChanged) as caught:
        verify_ledger(forging.again(sign=True), await keys_of(service))
    assert caught.value.index == 5


async def test_who_has_every_key_is_caught_by_what_others_kept(client: Caller, service: Service) -> None:
    """History written anew and signed anew holds by itself. It does not agree with a checkpoint, a receipt or a ledger from before."""
    await live(client)
    keys, before = await keys_of(service), await exported(service)
    checkpoint = (await client.get("/v1/log/checkpoint")).content
    receipts = (await client.get("/v1/users/other/export")).content
    forging = await forger(service)
    forging.edit(5, "withdrawn", sign=True)
    forged = forging.again(sign=True)
    assert verify_ledger(forged, keys).entries == 8
    for evidence, named in ((checkpoint, range(8)), (receipts, [5]), (b"".join(before), [5])):
        kept = Kept()
        keep(kept, evidence, keys)
        verify_ledger(before, keys, kept=kept)
        with pytest.raises(HistoryChanged) as caught:
            verify_ledger(forged, keys, kept=kept)
        assert caught.value.index in named


async def test_a_ledger_that_was_cut_off_is_caught_by_what_others_kept(
    client: Caller, service: Service
) -> None:
    """A ledger that ends at an earlier checkpoint holds by itself, and not beside a later one."""
    await live(client)
    keys, whole = await keys_of(service), await exported(service)
    end = max(number for number, line in enumerate(whole[:-1]) if b'"checkpoint"' in line)
    size = where(whole, end)
    cut = [whole[0].replace(b'"size":8', b'"size":%d' % size), *whole[1 : end + 1]]
    assert verify_ledger(cut, keys).entries == size < 8
    kept = Kept()
    keep(kept, (await client.get("/v1/log/checkpoint")).content, keys)
    with pytest.raises(HistoryChanged) as caught:
        verify_ledger(cut, keys, kept=kept)
    assert caught.value.index == size
