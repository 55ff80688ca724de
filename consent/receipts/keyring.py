"""The keys that sign, one generation after another: made at random, kept sealed, published for ever.

A key is published before it signs, so that whoever keeps a copy of the key set has it in time. Once a newer one has
taken over, its private half is destroyed and its public half stays: old receipts keep verifying, and nobody can
make a new one that looks old.
"""

import json
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.pseudonyms import derived_key
from consent.receipts.signing import PublicKey, Signer
from consent.tables import signing_key

_NONCE = 12


@dataclass(frozen=True)
class Generation:
    """One key as it stands: times are microseconds, UTC; `retired_at` is when its private half was destroyed."""

    kid: str
    public: PublicKey
    signs_from: int
    retired_at: int | None


class Keyring:
    """Seals and opens signing keys under the service's secret; without it, what the database holds signs nothing."""

    def __init__(self, secret: bytes) -> None:
        self._box = AESGCM(derived_key(secret, "signing keys"))
        self._opened: dict[str, Signer] = {}

    async def signer(self, connection: AsyncConnection, now: int) -> Signer:
        """Return the key that signs at a moment: the newest that has begun. The first one is made when none is there.

        A key sealed under another secret cannot sign; it is passed over, and stays published.
        """
        columns = signing_key.c
        begun = await connection.execute(
            select(columns.kid, columns.sealed)
            .where(columns.sealed.is_not(None), columns.signs_from <= now)
            .order_by(columns.signs_from.desc())
        )
        for row in begun:
            signer = self._opened.get(row.kid) or self._open(row.kid, row.sealed)
            if signer is not None:
                return signer
        return await self._make(connection, now, now)

    def _open(self, kid: str, sealed: bytes) -> Signer | None:
        try:
            private = self._box.decrypt(sealed[:_NONCE], sealed[_NONCE:], kid.encode())
        except InvalidTag:
            return None
        self._opened[kid] = Signer(private)
        return self._opened[kid]

    async def _make(self, connection: AsyncConnection, now: int, signs_from: int) -> Signer:
        private, nonce = secrets.token_bytes(32), secrets.token_bytes(_NONCE)
        signer = Signer(private)
        await connection.execute(
            insert(signing_key).values(
                kid=signer.kid,
                public=json.dumps(dict(signer.public_key)),
                sealed=nonce + self._box.encrypt(nonce, private, signer.kid.encode()),
                created_at=now,
                signs_from=signs_from,
            )
        )
        return signer

    async def rotate(self, connection: AsyncConnection, now: int, overlap: int) -> str:
        """Make the next key, published at once and signing `overlap` microseconds from now; return its name."""
        await self.signer(connection, now)  # whoever rotates first has something to rotate from
        return (await self._make(connection, now, now + max(overlap, 1))).kid

    async def retire(self, connection: AsyncConnection, now: int) -> int:
        """Destroy the private halves of keys that a newer one has taken over from; return how many."""
        current = (await self.signer(connection, now)).kid
        begins = (
            await connection.execute(select(signing_key.c.signs_from).where(signing_key.c.kid == current))
        ).scalar_one()
        done = await connection.execute(
            update(signing_key)
            .where(
                signing_key.c.sealed.is_not(None),
                signing_key.c.kid != current,
                signing_key.c.signs_from <= begins,
            )
            .values(sealed=None, retired_at=now)
        )
        self._opened = {kid: signer for kid, signer in self._opened.items() if kid == current}
        return done.rowcount


async def generations(connection: AsyncConnection) -> list[Generation]:
    """Return every key there ever was, newest first: what `/.well-known/jwks.json` publishes."""
    columns = signing_key.c
    rows = await connection.execute(select(signing_key).order_by(columns.signs_from.desc(), columns.kid))
    return [Generation(row.kid, json.loads(row.public), row.signs_from, row.retired_at) for row in rows]
