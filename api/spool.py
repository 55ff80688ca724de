"""Bytes that wait for whoever takes them: few of them in memory, more in a file that nobody else can read."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import IO

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

IN_MEMORY = 1024 * 1024
"""Bytes that stay in memory."""
CHUNK = 64 * 1024
"""Bytes that are taken at a time, at most."""


class Spool:
    """Takes bytes as fast as they come, and hands them out in the same order as slowly as somebody likes.

    What is more than `IN_MEMORY` lies in a file without a name. It is enciphered under a key that is only in this
    object: the disk keeps what was in a file after the file is gone, also when the process is killed.
    """

    def __init__(self) -> None:
        self.size = 0
        self._first = bytearray()
        self._rest: IO[bytes] | None = None
        self._cipher = Cipher(AES256(secrets.token_bytes(32)), CTR(bytes(16)))  # each key is used once
        self._encipher = self._cipher.encryptor().update

    async def fill(self, chunks: AsyncIterator[bytes]) -> None:
        """Take all chunks of a generator, and see that it ends."""
        async with aclosing(chunks):  # type: ignore[type-var]  # they come from generators
            async for chunk in chunks:
                await self._put(chunk)

    async def _put(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._rest is None and self.size <= IN_MEMORY:
            self._first += chunk
            return
        if self._rest is None:
            self._rest = tempfile.TemporaryFile()  # noqa: SIM115  closed with the spool
        await asyncio.to_thread(self._rest.write, self._encipher(chunk))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Hand out what was taken, once it is all here."""
        for start in range(0, len(self._first), CHUNK):
            yield bytes(self._first[start : start + CHUNK])
        if self._rest is not None:
            decipher = self._cipher.decryptor().update
            await asyncio.to_thread(self._rest.seek, 0)
            while enciphered := await asyncio.to_thread(self._rest.read, CHUNK):
                yield decipher(enciphered)

    def close(self) -> None:
        """Forget everything."""
        self._first.clear()
        if self._rest is not None:
            self._rest.close()
