"""The service's own rows: keys, used links, answers kept for retries. Every function works inside its caller's transaction."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    LargeBinary,
    Select,
    String,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from api.tables import api_key, erasure_register, idempotent_answer, used_link
from consent.personal import WHOSE, Person, Section, stored


def key_by_id() -> Any:
    """Select the row of a key; parameter `key_id`."""
    columns = api_key.c
    return select(
        columns.app_id,
        columns.key_id,
        columns.secret_hash,
        columns.scopes,
        columns.expires_at,
        columns.revoked_at,
    ).where(columns.key_id == bindparam("key_id", type_=String, required=False))


def key_in_force() -> Select[Any]:
    """Select the scopes and the id of a key, if it is in force at `now`: `key_id`, `app_id` and `secret_hash` say which."""
    columns = api_key.c
    return select(columns.scopes, columns.key_id).where(
        columns.key_id == bindparam("key_id", type_=String, required=False),
        columns.app_id == bindparam("app_id", type_=String, required=False),
        columns.secret_hash == bindparam("secret_hash", type_=LargeBinary, required=False),
        columns.revoked_at.is_(None),
        columns.expires_at.is_(None)
        | (columns.expires_at > bindparam("now", type_=BigInteger, required=False)),
    )


async def name_register(connection: AsyncConnection, name: str) -> bool:
    """Note which register of erasures this database is used with; False when it is used with one already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    noted = dialect.insert(erasure_register).values(place=0, name=name).on_conflict_do_nothing()
    return bool((await connection.execute(noted)).rowcount)


async def rename_register(connection: AsyncConnection, name: str) -> None:
    """Note that this database is used with another register of erasures from now on."""
    await connection.execute(update(erasure_register).values(name=name))


async def register_name(connection: AsyncConnection) -> str | None:
    """Return the name of the register of erasures that this database is used with; None when it never was with any."""
    return (await connection.execute(select(erasure_register.c.name))).scalar_one_or_none()


async def add_key(
    connection: AsyncConnection,
    *,
    key_id: str,
    app_id: str,
    name: str,
    secret_hash: bytes,
    scopes: str,
    now: int,
    expires_at: int | None,
) -> None:
    """Keep a new key's hash."""
    await connection.execute(
        insert(api_key).values(
            key_id=key_id,
            app_id=app_id,
            name=name,
            secret_hash=secret_hash,
            scopes=scopes,
            created_at=now,
            expires_at=expires_at,
        )
    )


async def revoke_key(connection: AsyncConnection, key_id: str, now: int) -> bool:
    """Revoke a key at once; False when there is no such key in force."""
    done = await connection.execute(
        update(api_key)
        .where(api_key.c.key_id == key_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return bool(done.rowcount)


async def use_link(connection: AsyncConnection, nonce: bytes, expires_at: int, now: int) -> bool:
    """Use a link up; False when it was used before. Links that are over anyway are forgotten on the way."""
    await connection.execute(delete(used_link).where(used_link.c.expires_at <= now))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = await connection.execute(
        dialect.insert(used_link)
        .values(nonce=nonce, expires_at=expires_at)
        .on_conflict_do_nothing()
        .returning(used_link.c.nonce)
    )
    return first.first() is not None


async def link_was_used(connection: AsyncConnection, nonce: bytes) -> bool:
    """Tell whether a link was used up."""
    found = await connection.execute(select(used_link.c.nonce).where(used_link.c.nonce == nonce))
    return found.first() is not None


@dataclass(frozen=True)
class Kept:
    """An answer given before under an idempotency key."""

    request_hash: bytes
    status: int
    body: bytes


SPENT = 0
"""The status of an answer that was forgotten with the person whom it concerned."""


async def claim_answer(connection: AsyncConnection, app_id: str, key_hash: bytes) -> bool:
    """Claim a key until the transaction ends; False when a transaction of another process has it.

    On SQLite there is one transaction at a time that writes, so whoever asks has it.
    """
    if connection.dialect.name != "postgresql":
        return True
    number = int.from_bytes(hashlib.sha256(app_id.encode() + key_hash).digest()[:8], signed=True)
    return bool((await connection.execute(select(func.pg_try_advisory_xact_lock(number)))).scalar_one())


async def find_answer(connection: AsyncConnection, app_id: str, key_hash: bytes) -> Kept | None:
    """Return the answer kept under a key of the app, or None."""
    columns = idempotent_answer.c
    row = (
        await connection.execute(
            select(columns.request_hash, columns.status, columns.body).where(
                columns.app_id == app_id, columns.key_hash == key_hash
            )
        )
    ).one_or_none()
    return None if row is None else Kept(row.request_hash, row.status, row.body)


async def keep_answer(
    connection: AsyncConnection, app_id: str, key_hash: bytes, answer: Kept, user_hash: bytes | None, now: int
) -> None:
    """Keep an answer under a key that was claimed."""
    await connection.execute(
        insert(idempotent_answer).values(
            app_id=app_id,
            key_hash=key_hash,
            request_hash=answer.request_hash,
            status=answer.status,
            body=answer.body,
            created_at=now,
            user_hash=user_hash,
        )
    )


async def prune_answers(connection: AsyncConnection, app_id: str, before: int, most: int) -> int:
    """Forget answers from before a moment, `most` at a time; return how many."""
    mine = idempotent_answer.c.app_id == app_id
    old = (
        select(idempotent_answer.c.key_hash).where(mine, idempotent_answer.c.created_at < before).limit(most)
    )
    gone = await connection.execute(
        delete(idempotent_answer).where(mine, idempotent_answer.c.key_hash.in_(old))
    )
    return gone.rowcount


class KeptAnswers:
    """The kept answers as a store of personal data; found by the pseudonym, since a person may have no row yet."""

    name = "kept_answers"
    tables = ("idempotent_answer",)

    async def erase(self, connection: AsyncConnection, who: Person) -> int:
        """Forget the answers that concerned a person; that their keys were used stays for its day, and says nothing of anybody.

        Otherwise a retry that comes late would be taken for a new choice, and bring back who left.
        """
        spent = {"user_hash": None, "request_hash": b"", "body": b"", "status": SPENT}
        return (
            await connection.execute(update(idempotent_answer).where(_answers_of(who)).values(**spent))
        ).rowcount

    async def count(self, connection: AsyncConnection, who: Person) -> int:
        """Count the answers that concern a person."""
        held = select(func.count()).select_from(idempotent_answer).where(_answers_of(who))
        return (await connection.execute(held)).scalar_one()

    def export(self, connection: AsyncConnection, who: Person) -> Sequence[Section]:
        """Return every answer that was kept."""
        held = select(idempotent_answer).where(_answers_of(who)).order_by(idempotent_answer.c.created_at)
        rows = stored(connection, held, times={"created_at"}, withheld=_WITHHELD)
        return [Section("kept_answers", "idempotent_answer", _readable(rows), _WITHHELD)]


_WITHHELD = WHOSE | {"user_hash", "key_hash", "request_hash"}


def _answers_of(who: Person) -> Any:
    columns = idempotent_answer.c
    return (columns.app_id == who.app_id) & (columns.user_hash == who.user_hash)


async def _readable(rows: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
    async for row in rows:
        yield {**row, "body": json.loads(bytes.fromhex(row["body"]))}
