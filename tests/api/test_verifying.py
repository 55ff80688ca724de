"""Verifying offline: an exported ledger and a person's receipts hold; whatever was edited, deleted or reordered is caught, by its index."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785

from api import transparency
from api.service import Service
from consent.errors import HistoryChanged, LogCorrupt, NotVerified, Unreadable
from consent.log.commitments import canonical, leaf_of
from consent.verification.bundles import Keys
from consent.verification.ledger import verify_ledger
from consent.verification.receipts import verify_receipts
from tests.api import witness
from tests.api.verifying import exported, keys_of, live, where
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller


async def test_a_ledger_verifies(client: Caller, service: Service) -> None:
    """Entries, receipts, erasures and checkpoints are counted; nothing of who was erased is in it."""
    await live(client)
    lines = await exported(service)
    found = verify_ledger(lines, await keys_of(service))
    assert (found.entries, found.opened, found.erased, found.receipts, found.checkpoints) == (8, 6, 2, 4, 4)
    for index in (2, 3):
        (row,) = [told for line in lines if (told := json.loads(line)).get("index") == index]
        assert set(row) == {"index", "leaf", "hash", "erased"}


async def test_a_ledger_without_entries_verifies(client: Caller, service: Service) -> None:
    """For an auditor who may not see what people chose: leaves and checkpoints alone, and the tree holds."""
    await live(client)
    lines = await exported(service, opened=False)
    found = verify_ledger(lines, await keys_of(service))
    assert (found.entries, found.opened, found.erased, found.receipts) == (8, 0, 2, 0)
    assert b"views" not in b"".join(lines)
    with pytest.raises(HistoryChanged):
        verify_ledger([lines[0].replace(b"false", b"true"), *lines[1:]], await keys_of(service))


@ON_SQLITE
async def test_an_empty_ledger_verifies(client: Caller, service: Service) -> None:
    """A log in which nothing happened yet is a ledger too."""
    assert verify_ledger(await exported(service), await keys_of(service)).entries == 0


async def test_no_flipped_byte_of_a_ledger_goes_unseen(client: Caller, service: Service) -> None:
    """Any byte of any line, changed by one bit: verification fails, and names the entry of that line."""
    for user_id in ("goes", "stays"):
        await client.get("/v1/log/checkpoint")
        await client.consent(user_id, "views")
    await client.http.delete("/v1/users/goes")
    lines, keys = await exported(service), await keys_of(service)
    chance = random.Random(3)
    for number, line in enumerate(lines):
        for place in range(len(line)):
            flipped = bytearray(line)
            flipped[place] ^= 1 << chance.randrange(8)
            changed = b"".join([*lines[:number], bytes(flipped), *lines[number + 1 :]])
            with pytest.raises((HistoryChanged, Unreadable)) as caught:
                verify_ledger(changed.splitlines(keepends=True), keys)
            if number:
                assert isinstance(caught.value, HistoryChanged)
                assert caught.value.index == where(lines, number), (number, place)


@pytest.mark.parametrize(
    ("statements", "index"),
    [
        (["UPDATE consent_event SET state = 'refused' WHERE seq = 4"], 4),
        (["UPDATE consent_event SET at = at + 1 WHERE seq = 5"], 5),
        (["UPDATE consent_event SET notice_version = '2020-01-01' WHERE seq = 0"], 0),
        (["DELETE FROM consent_event WHERE seq = 4"], 4),
        (["DELETE FROM consent_event WHERE seq >= 6"], 6),
        (
            ["UPDATE consent_event SET seq = -1 WHERE seq = 5", "UPDATE consent_event SET seq = 5 WHERE seq = 6",
             "UPDATE consent_event SET seq = 6 WHERE seq = -1"], 5,
        ),
    ],
)  # fmt: skip
async def test_who_changes_the_database_is_caught(
    client: Caller, service: Service, database_url: str, statements: list[str], index: int
) -> None:
    """A line edited, deleted or exchanged with another, past all triggers: the first one that is concerned is named."""
    await live(client)
    await witness.by_force(database_url, "consent_event", *statements)
    with pytest.raises(HistoryChanged) as caught:
        verify_ledger(await exported(service), await keys_of(service))
    assert caught.value.index == index


async def test_a_leaf_that_is_deleted_is_noticed_at_once(
    client: Caller, service: Service, database_url: str
) -> None:
    """A hole in the log is exported as none."""
    await live(client)
    await witness.by_force(database_url, "log_node", "DELETE FROM log_node WHERE node = 8")
    with pytest.raises(LogCorrupt):
        await exported(service)


async def test_who_forges_an_erasure_is_caught(client: Caller, service: Service, database_url: str) -> None:
    """Deleting lines and claiming that it was an erasure needs a signature that only the log can make."""
    await live(client)
    await witness.by_force(database_url, "consent_event", "DELETE FROM consent_event WHERE seq = 4")
    forged = "INSERT INTO log_erased SELECT app_id, 4, signature FROM log_erased WHERE seq = 2"
    await witness.by_force(database_url, "log_erased", forged)
    with pytest.raises(HistoryChanged) as caught:
        verify_ledger(await exported(service), await keys_of(service))
    assert caught.value.index == 4


@ON_SQLITE
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:2] + rows[3:], lambda rows: [*rows[:2], rows[3], rows[2], *rows[4:]],
        lambda rows: [*rows[:3], rows[2], *rows[3:]], lambda rows: rows[:-1],
    ],
)  # fmt: skip
async def test_lines_that_are_moved_are_caught(
    client: Caller, service: Service, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """A line left out, two exchanged, one repeated, the last one cut off: never verified."""
    await live(client)
    lines = await exported(service)
    with pytest.raises(HistoryChanged):
        verify_ledger([lines[0], *change(lines[1:])], await keys_of(service))


@ON_SQLITE
async def test_the_ledger_of_another_log_is_refused(
    client: Caller, service: Service, caller_for: Callable[..., Any]
) -> None:
    """Keys of one app verify nothing of another."""
    await live(client)
    strange = Keys.parse(json.dumps(await transparency.keys(service, "meadow")))
    with pytest.raises(Unreadable, match="another log"):
        verify_ledger(await exported(service), strange)
    with pytest.raises(NotVerified):
        verify_receipts((await client.get("/v1/users/stays/export")).json(), strange)


def test_an_entry_is_written_as_the_standard_says() -> None:
    """The canonical JSON of what an entry can hold is that of RFC 8785."""
    entry: dict[str, str | int | bool] = {"b": 'é\n"\\\u0007\u2028😀', "a": 2**53 - 1, "Z": True, "_": 0}
    assert canonical(entry) == rfc8785.dumps(dict(entry))
    leaf = leaf_of(bytes(32), {"app_id": "x", "seq": 3, "state": "given", "expires_at": None}, "ab")
    assert leaf.entry == {"seq": 3, "state": "given", "receipt_sha256": "ab"}
