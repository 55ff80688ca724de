"""Bytes that wait for whoever takes them: all there, in order, and nowhere to be read."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api import spool
from api.spool import CHUNK, IN_MEMORY, Spool


async def of(chunks: list[bytes]) -> AsyncIterator[bytes]:
    """Bytes as they come from a generator."""
    for chunk in chunks:
        yield chunk


async def through(chunks: list[bytes]) -> list[bytes]:
    """What comes out of a spool that these were put in."""
    with closing(Spool()) as waiting:
        await waiting.fill(of(chunks))
        assert waiting.size == sum(map(len, chunks))
        return [chunk async for chunk in waiting.chunks()]


@given(some.lists(some.binary(max_size=40), max_size=12), some.integers(0, 200), some.integers(1, 50))
def test_what_was_put_in_comes_out(chunks: list[bytes], in_memory: int, chunk: int) -> None:
    """Whatever fits in memory and whatever not, the same bytes come out in the same order, none of them empty."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spool, "IN_MEMORY", in_memory)
        patched.setattr(spool, "CHUNK", chunk)
        out = asyncio.run(through(chunks))
    assert b"".join(out) == b"".join(chunks)
    assert all(0 < len(each) <= chunk for each in out)


async def test_little_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the bound, no file is made."""
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    assert len(await through([b"x" * CHUNK] * (IN_MEMORY // CHUNK))) == IN_MEMORY // CHUNK


async def test_what_is_beyond_lies_in_no_file_that_anybody_can_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file has no name, what is written to it tells nothing, and it is closed with the spool."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    needle = secrets.token_bytes(16)
    with closing(Spool()) as waiting:
        await waiting.fill(of([needle * 4096] * (IN_MEMORY // CHUNK + 3)))
        file = waiting._rest
        assert file is not None
        assert os.listdir(tmp_path) == []  # noqa: PTH208  a folder of a test
        file.seek(0)
        written = file.read()
        assert len(written) == 3 * CHUNK
        assert needle not in written
        assert len({written[start : start + 16] for start in range(0, len(written), 16)}) == 3 * 4096
    assert file.closed


async def test_what_fails_while_it_fills_is_ended() -> None:
    """A generator that raises, or is given up, is closed; the error goes on."""
    ended = list[str]()

    async def failing(how: str) -> AsyncIterator[bytes]:
        try:
            yield b"x"
            if how == "raises":
                raise LookupError
            await asyncio.sleep(600)
        finally:
            ended.append(how)

    with closing(Spool()) as waiting:
        with pytest.raises(LookupError):
            await waiting.fill(failing("raises"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await waiting.fill(failing("hangs"))
    assert ended == ["raises", "hangs"]


async def test_who_takes_a_part_holds_nothing_up() -> None:
    """A spool that was read in part can be closed."""
    with closing(Spool()) as waiting:
        await waiting.fill(of([b"x" * (2 * IN_MEMORY)]))
        async with aclosing(waiting.chunks()) as chunks:  # type: ignore[type-var]  # a generator
            assert await anext(chunks) == b"x" * CHUNK
