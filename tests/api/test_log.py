"""The transparency log over HTTP: every consent event has a leaf, proofs verify, the log only grows, and an erasure leaves nothing to link."""

import asyncio
import base64
import hashlib
import hmac
import inspect
import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
import rfc8785
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from api import transparency
from api.service import Service
from consent.errors import LogCorrupt
from consent.log import merkle
from consent.log import store as log
from consent.log.checkpoints import Checkpoint, LogKey
from consent.log.commitments import commitment, leaf_key
from consent.log.merkle import EMPTY_ROOT
from consent.log.openings import LogKeys
from consent.signals import SIGNALS
from tests.api import witness
from tests.api.full import live_fully
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.conftest import APP, OTHER_APP, Caller, Clock

LOG_TABLES = ("log_node", "log_checkpoint", "log_erased")


def hashes(proof: list[str]) -> list[bytes]:
    """The hashes of a proof."""
    return [base64.b64decode(each) for each in proof]


async def head(client: Caller) -> Checkpoint:
    """The log's checkpoint, its signature verified with the published key."""
    key = LogKey.parse((await client.get("/v1/log/keys")).json()["log"])
    answer = await client.get("/v1/log/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return key.open(answer.text)


async def test_an_empty_log_has_a_checkpoint(client: Caller) -> None:
    """Before anyone chose, the log has no entries and the root of the empty tree."""
    checkpoint = await head(client)
    assert (checkpoint.size, checkpoint.root) == (0, EMPTY_ROOT)
    assert (await client.get("/v1/log/keys")).json()["origin"] == checkpoint.origin


async def test_every_choice_is_an_entry_that_can_be_proved(client: Caller) -> None:
    """A change of several cells tells where its entries stand; each is proved to be in the log, at every later size."""
    await client.consent("u1", "views", "saves")
    changed = await client.consent("u2", "ratings", "topics", purposes=("personalise", "improve"))
    told = changed["log"]["entries"]
    assert [each["index"] for each in told] == [2, 3, 4, 5]
    assert [each["event"]["seq"] for each in changed["receipt"]["purposes"]] == [2, 3, 4, 5]
    for state in ("withdrawn", "given", "refused"):
        await client.consent("u1", "views", state=state)
        checkpoint = await head(client)
        for each in told:
            answer = await client.get(f"/v1/log/inclusion?index={each['index']}&size={checkpoint.size}")
            proof = answer.json()
            assert proof["leaf"] == each["leaf"]
            leaf = merkle.leaf_hash(base64.b64decode(each["leaf"]))
            merkle.verify_inclusion(
                leaf, each["index"], checkpoint.size, hashes(proof["proof"]), checkpoint.root
            )


async def test_the_log_only_grows(client: Caller) -> None:
    """Every checkpoint is consistent with every earlier one."""
    seen = [await head(client)]
    for number in range(7):
        await client.consent(f"u{number}", *list(SIGNALS)[: number + 1])
        seen.append(await head(client))
    for place, new in enumerate(seen):
        for old in seen[: place + 1]:
            proof = (await client.get(f"/v1/log/consistency?from={old.size}&to={new.size}")).json()
            assert (proof["from"], proof["to"]) == (old.size, new.size)
            merkle.verify_consistency(old.size, new.size, hashes(proof["proof"]), old.root, new.root)


@ON_SQLITE
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("inclusion?index=0&size=3", "size"), ("inclusion?index=2&size=2", "index"), ("inclusion?index=0&size=0", "index"),
        ("inclusion?index=-1&size=1", "index"), ("inclusion?index=x&size=1", "index"), ("inclusion?size=1", "index"),
        ("inclusion?index=0", "size"), ("inclusion?index=0&size=99999999999999999999", "size"),
        ("consistency?from=0&to=3", "to"), ("consistency?from=2&to=1", "from"), ("consistency?from=-1&to=1", "from"),
        ("consistency?to=1", "from"), ("consistency?from=1", "to"),
    ],
)  # fmt: skip
async def test_a_range_that_is_not_there_is_told(client: Caller, query: str, field: str) -> None:
    """422 with the field: beyond the log, the wrong way round, missing, or no number."""
    await client.consent("u1", "views", "saves")
    answer = await client.get(f"/v1/log/{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def proof_of(client: Caller, user_id: str, receipt_id: str) -> dict[str, Any]:
    """A receipt with its proof."""
    answer = await client.get(f"/v1/users/{user_id}/receipts/{receipt_id}?proof=true")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def opens(entry: Mapping[str, Any]) -> bool:
    """Whether the key of an entry shows that its leaf commits to it, by nothing but the documented formula."""
    leaf = hmac.digest(
        base64.b64decode(entry["leaf_key"]), rfc8785.dumps(dict(entry["entry"])), hashlib.sha256
    )
    return hmac.compare_digest(leaf, base64.b64decode(entry["leaf"]))


async def test_a_receipt_proves_itself(client: Caller) -> None:
    """Its proof names each choice, the receipt's digest and the person's pseudonym; the key of one entry opens no other."""
    receipt = (await client.consent("u1", "views", "check_ins"))["receipt"]
    document = await proof_of(client, "u1", receipt["receipt_id"])
    proof = document.pop("proof")
    assert document == receipt
    first, second = proof["entries"]
    payload = proof["jws"].split(".")[1]
    signed = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    for entry, part in zip((first, second), receipt["purposes"], strict=True):
        assert opens(entry)
        assert entry["entry"]["receipt_sha256"] == hashlib.sha256(signed).hexdigest()
        assert entry["entry"]["subject_id"] == receipt["pii_principal_id"]
        assert (entry["entry"]["signal"], entry["entry"]["seq"]) == (part["signal"], part["event"]["seq"])
    assert not opens({**first, "leaf_key": second["leaf_key"]})
    checkpoint = LogKey.parse((await client.get("/v1/log/keys")).json()["log"]).open(proof["checkpoint"])
    for entry in (first, second):
        leaf = merkle.leaf_hash(base64.b64decode(entry["leaf"]))
        merkle.verify_inclusion(
            leaf, entry["index"], checkpoint.size, hashes(entry["proof"]), checkpoint.root
        )


async def test_every_column_of_the_ledger_is_committed_to(
    client: Caller, service: Service, database_url: str
) -> None:
    """What a leaf commits to is the whole row but the app, nulls left out, and the receipt's digest."""
    receipt = (await client.consent("u1", "views"))["receipt"]
    await client.consent("u1", "views", state="withdrawn")
    entry = (await proof_of(client, "u1", receipt["receipt_id"]))["proof"]["entries"][0]["entry"]
    row = next(row for row in (await witness.everything(database_url))["consent_event"] if row["seq"] == 0)
    committed = {name: value for name, value in row.items() if name != "app_id" and value is not None}
    assert {name: value for name, value in entry.items() if name != "receipt_sha256"} == committed


@ON_SQLITE
async def test_a_proof_is_shown_to_its_person_only(client: Caller) -> None:
    """Another user's path, or an id that never was, leads to no proof."""
    receipt = (await client.consent("u1", "views"))["receipt"]
    await client.consent("u2", "views")
    for user_id, receipt_id in (("u2", receipt["receipt_id"]), ("u1", "0" * 32), ("u3", "0" * 32)):
        answer = await client.get(f"/v1/users/{user_id}/receipts/{receipt_id}?proof=true")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_after_an_erasure_old_proofs_hold_and_nothing_can_be_linked(
    client: Caller, service: Service, database_url: str
) -> None:
    """The leaves stay and old proofs verify against newer checkpoints; the key, and with it whatever names the person, is gone."""
    await client.consent("stays", "views")
    who = await live_fully(service, client, "goes")
    (held,) = (await client.get("/v1/users/goes/export")).json()["log"]
    old = LogKey.parse((await client.get("/v1/log/keys")).json()["log"]).open(held["checkpoint"])
    rows = await witness.everything(database_url)
    key = next(bytes(row["key"]) for row in rows["log_key"] if row["subject_id"] == who.subject_id)
    assert bytes(leaf_key(key, held["entries"][0]["index"])) == base64.b64decode(
        held["entries"][0]["leaf_key"]
    )
    leaves = {row["node"]: bytes(row["value"]) for row in rows["log_node"]}
    await client.http.delete("/v1/users/goes")
    await client.consent("stays", "views", state="withdrawn")
    new = await head(client)
    for entry in held["entries"]:
        assert opens(entry)
        leaf = merkle.leaf_hash(base64.b64decode(entry["leaf"]))
        merkle.verify_inclusion(leaf, entry["index"], old.size, hashes(entry["proof"]), old.root)
        answer = await client.get(f"/v1/log/inclusion?index={entry['index']}&size={new.size}")
        merkle.verify_inclusion(leaf, entry["index"], new.size, hashes(answer.json()["proof"]), new.root)
    after = await witness.everything(database_url)
    assert leaves.items() <= {row["node"]: bytes(row["value"]) for row in after["log_node"]}.items()
    assert {bytes(row["key"]) for row in after["log_key"]} == {
        bytes(row["key"]) for row in rows["log_key"] if row["subject_id"] != who.subject_id
    }
    assert who.subject_id not in repr(after)
    assert {row["seq"] for row in after["log_erased"]} == {entry["index"] for entry in held["entries"]}


@ON_SQLITE
async def test_the_key_is_in_no_file_after_an_erasure(
    client: Caller, service: Service, database_url: str
) -> None:
    """The bytes of the key, and of what is derived from it, are in no file of SQLite any more; the leaf's are."""
    who = await live_fully(service, client, "goes")
    rows = await witness.everything(database_url)
    (key,) = [bytes(row["key"]) for row in rows["log_key"] if row["subject_id"] == who.subject_id]
    leaf = bytes(rows["log_node"][0]["value"])
    await service.database.scrub()
    assert await witness.files_hold(database_url, key)
    await client.http.delete("/v1/users/goes")
    assert not await witness.files_hold(database_url, key)
    assert await witness.files_hold(database_url, leaf)


def guesses(service: Service, user_id: str, entry: Mapping[str, Any], keys: list[bytes]) -> set[bytes]:
    """Every leaf that an attacker can make of a user id and an entry: who knows the secret, the subject's id and all keys there are."""
    user_hash = service.pseudonyms.user(APP, user_id)
    subject_id = str(entry["subject_id"])
    index = int(entry["seq"])
    known = [user_hash, user_id.encode(), subject_id.encode(), service.settings.secret_bytes, bytes(32), b""]
    known += [hashlib.sha256(each).digest() for each in known]
    tried = {commitment(leaf_key(key, index), entry) for key in known + keys}
    tried |= {commitment(key, entry) for key in known + keys}
    text_ = rfc8785.dumps(dict(entry))
    return (
        tried | {hashlib.sha256(text_).digest()} | {hashlib.sha256(each + text_).digest() for each in known}
    )


async def test_a_dictionary_of_every_user_finds_nobody(
    client: Caller, service: Service, database_url: str
) -> None:
    """With the whole database, the service's secret, every user id and every entry there was, none of the erased is found.

    The same search finds the leaves of everybody who stays, since their keys are there.
    """
    people = [f"user-{number}" for number in range(12)]
    held: dict[str, list[dict[str, Any]]] = {}
    for user_id in people:
        await client.consent(user_id, "views", "check_ins")
        held[user_id] = (await client.get(f"/v1/users/{user_id}/export")).json()["log"][0]["entries"]
    gone = people[::2]
    for user_id in gone:
        await client.http.delete(f"/v1/users/{user_id}")
    rows = await witness.everything(database_url)
    leaves = {bytes(row["value"]) for row in rows["log_node"] if row["node"] % 2 == 0}
    keys = [bytes(row["key"]) for row in rows["log_key"]]
    assert len(leaves) == 2 * len(people)
    for user_id, entries in held.items():
        found = [
            bool(leaves & guesses(service, guessed, entry["entry"], keys))
            for entry in entries
            for guessed in people
        ]
        assert any(found) == (user_id not in gone), user_id


@ON_SQLITE
@pytest.mark.parametrize("table", LOG_TABLES)
async def test_sqlite_never_changes_the_log(
    service: Service, client: Caller, table: str, database_url: str
) -> None:
    """A trigger refuses to update or delete what was logged, signed or closed."""
    await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    await head(client)
    assert (await witness.everything(database_url))[table]
    for statement in (f"UPDATE {table} SET app_id = app_id", f"DELETE FROM {table}"):  # noqa: S608  the names above
        with pytest.raises(DBAPIError, match="never changed"):
            async with service.database.write(APP) as connection:
                await connection.execute(text(statement))


@ON_POSTGRESQL
async def test_postgresql_never_changes_the_log(service: Service, client: Caller, database_url: str) -> None:
    """The service's role may neither update nor delete it, and sees nothing of another app's."""
    await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    await head(client)
    for app_id, sees in ((APP, True), (OTHER_APP, False), ("", False)):
        connection = await asyncpg.connect(database_url, server_settings={"role": "assent_service"})
        await connection.execute("SELECT set_config('assent.app', $1, false)", app_id)
        for table in LOG_TABLES:
            assert bool(await connection.fetchval(f"SELECT count(*) FROM {table}")) == sees  # noqa: S608  the names above
            for statement in (f"UPDATE {table} SET app_id = app_id", f"DELETE FROM {table}"):  # noqa: S608  the names above
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        await connection.close()


async def test_the_worker_signs_what_has_grown(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """One checkpoint an interval for each log that has grown, none for one that has not; each is kept."""

    async def kept() -> dict[str, list[int]]:
        rows = (await witness.everything(database_url))["log_checkpoint"]
        return {
            app_id: sorted(row["size"] for row in rows if row["app_id"] == app_id)
            for app_id in (APP, OTHER_APP)
        }

    assert await transparency.sign_checkpoints(service) == 2
    await client.consent("u1", "views")
    assert await transparency.sign_checkpoints(service) == 0
    clock.forward(days=service.settings.checkpoint_s / 86_400)
    assert await transparency.sign_checkpoints(service) == 1
    clock.forward(days=1)
    assert await transparency.sign_checkpoints(service) == 0
    assert await kept() == {APP: [0, 1], OTHER_APP: [0]}


async def test_a_log_that_was_tampered_with_is_not_vouched_for(
    service: Service, client: Caller, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When the tree no longer begins with what was signed, or nodes are missing, nothing more is signed, and an error says so."""
    await client.consent("u1", "views", "saves", "ratings")
    await head(client)
    await client.consent("u1", "topics")
    forged = "UPDATE log_node SET value = (SELECT l.value FROM log_node l WHERE l.node = 0) WHERE node = 1"
    await witness.by_force(database_url, "log_node", forged)
    for _ in range(2):
        with pytest.raises(LogCorrupt):
            await transparency.checkpoint(service, APP)
        await witness.by_force(database_url, "log_node", "DELETE FROM log_node WHERE node = 1")
    async with service.database.read(APP) as connection:
        assert await log.size(connection, APP) == 4
    assert (await client.get("/v1/log/checkpoint")).status_code == 500
    assert "u1" not in caplog.text


@ON_POSTGRESQL
async def test_a_log_that_grows_while_it_is_signed_is_not_taken_for_corrupt(
    service: Service, client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two reads of one who signs, the log grows and another signs it: both get a checkpoint, the later one no smaller."""
    await client.consent("u1", "views")
    await head(client)
    await client.consent("u2", "views")
    read, between, go_on = (
        {"size": log.size, "newest": log.newest_checkpoint},
        asyncio.Event(),
        asyncio.Event(),
    )
    signing: set[str] = set()

    def slow(name: str) -> Any:
        async def then_wait(connection: AsyncConnection, app_id: str) -> Any:
            found = await read[name](connection, app_id)
            if asyncio.current_task() is first and inspect.stack()[1].function == "signed" and not signing:
                signing.add(name)
                between.set()
                await go_on.wait()
            return found

        return then_wait

    monkeypatch.setattr(log, "size", slow("size"))
    monkeypatch.setattr(log, "newest_checkpoint", slow("newest"))
    first = asyncio.create_task(transparency.checkpoint(service, APP))
    async with asyncio.timeout(60):
        await between.wait()
    await client.consent("u3", "views")
    assert (await head(client)).size == 3
    go_on.set()
    assert Checkpoint.parse((await first).rpartition("\n\n")[0] + "\n").size == 3


async def test_a_proof_of_very_many_entries_can_be_read(service: Service) -> None:
    """Proofs of 18,000 entries rest on more nodes than a statement takes parameters, on either database; each verifies."""
    leaves = [b"%032d" % number for number in range(18_000)]
    async with service.database.write(APP) as connection:
        await log.append(connection, APP, 0, leaves)
    async with service.database.read(APP) as connection:
        paths = await log.inclusion(connection, APP, range(len(leaves)), len(leaves))
        root = await log.root(connection, APP, len(leaves))
    for index in range(0, len(leaves), 1_111):
        merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, len(leaves), paths[index], root)


async def test_a_change_that_fails_leaves_no_leaf(
    service: Service, client: Caller, database_url: str
) -> None:
    """The log grows in the transaction of the change: what is refused half way is in neither."""
    await client.consent("u1", "views")
    before = await witness.everything(database_url)
    body = {"changes": [{"signal": "views", "purpose": "personalise", "state": "given"}, {"signal": "nothing", "purpose": "personalise", "state": "given"}],
            "notice_version": "2026-11-22", "locale": "en", "method": "test"}  # fmt: skip
    assert (await client.http.put("/v1/users/u1/consents", json=body)).status_code == 422
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_nobody_is_erased_before_the_log_is_closed(service: Service, client: Caller) -> None:
    """A way to erase that forgets the log fails at once: later nobody could tell whose leaves they were."""
    who = await live_fully(service, client, "u1")
    with pytest.raises(RuntimeError, match="must be closed"):
        async with service.database.write(APP) as connection:
            await LogKeys().erase(connection, who)
    assert json.loads((await client.get("/v1/users/u1/export")).text)["subject_id"] == who.subject_id
