"""Checkpoints: the C2SP formats to the letter, signed with a key that names no app, and nothing else accepted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import CheckpointError, NotVerified
from consent.log.checkpoints import Checkpoint, LogKey, LogSigner, LogSigners, bytes_of
from consent.log.merkle import EMPTY_ROOT

SIGNERS = LogSigners(bytes(32), "logs.example")
SIGNER = SIGNERS.of("harbour")
ROOT = bytes(range(32))

NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
NEUMANN_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
"""The example of Go's `sumdb/note`, where the format comes from."""


def test_the_published_example_verifies() -> None:
    """The key of the format's own example is read as it is written, has its key id, and verifies its signature."""
    key = LogKey.parse(NEUMANN)
    assert key.text == NEUMANN
    signature = bytes_of(NEUMANN_SIGNATURE)
    assert signature[:4] == key.key_id == bytes.fromhex("c74f20a3")
    key.verify(NEUMANN_TEXT.encode(), signature[4:])
    with pytest.raises(CheckpointError):
        key.verify(NEUMANN_TEXT.encode() + b" ", signature[4:])


def test_a_checkpoint_has_the_lines_of_the_format() -> None:
    """Origin, size, root, an empty line, and one signature under the origin's name."""
    origin = SIGNER.key.name
    note = SIGNER.checkpoint(20852163, ROOT)
    lines = note.split("\n")
    assert lines[:4] == [origin, "20852163", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ""]
    assert lines[4].startswith(f"— {origin} ")
    assert lines[5:] == [""]
    assert SIGNER.key.open(note) == Checkpoint(origin, 20852163, ROOT)
    assert SIGNER.checkpoint(20852163, ROOT) == note


def test_logs_are_named_without_naming_the_app() -> None:
    """Each app's log has a name and a key of its own, the same again for the same secret; neither tells the app."""
    others = [SIGNERS.of("meadow"), LogSigners(b"\1" * 32, "logs.example").of("harbour")]
    for other in others:
        assert other.key.name != SIGNER.key.name
        assert other.key.public != SIGNER.key.public
        with pytest.raises(CheckpointError):
            other.key.open(SIGNER.checkpoint(1, ROOT))
    assert LogSigners(bytes(32), "logs.example").of("harbour").key == SIGNER.key
    assert SIGNER.key.name.startswith("logs.example/")
    assert "harbour" not in SIGNER.checkpoint(1, ROOT)


def test_witnesses_may_sign_too() -> None:
    """A note with signatures of others beside the log's is accepted; with those of others alone it is not."""
    note = SIGNER.checkpoint(5, ROOT)
    text, _, own = note.partition("\n\n")
    witness = f"— witness.example {NEUMANN_SIGNATURE}\n"
    assert SIGNER.key.open(note + witness).size == 5
    assert SIGNER.key.open(f"{text}\n\n{witness}{own}").size == 5
    with pytest.raises(CheckpointError, match="not signed with this key"):
        SIGNER.key.open(f"{text}\n\n{witness}")


def test_a_key_signs_for_its_own_log_only() -> None:
    """A checkpoint that names another origin is refused, even when the signature holds."""
    impostor = LogSigner(SIGNER._private, "logs.example/other")
    note = impostor.checkpoint(5, ROOT)
    text, _, _ = note.partition("\n\n")
    renamed = LogSigner(SIGNER._private, SIGNER.key.name)
    signature = renamed.checkpoint(5, ROOT).rpartition(" ")[2]
    with pytest.raises(CheckpointError):
        SIGNER.key.open(f"{text}\n\n— {SIGNER.key.name} {signature}")


def test_no_flipped_bit_is_accepted() -> None:
    """Every single bit of a checkpoint matters: with any one of them flipped it is refused."""
    note = SIGNER.checkpoint(1234567, ROOT).encode()
    for place in range(len(note) * 8):
        flipped = bytearray(note)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(CheckpointError):
            SIGNER.key.open(flipped.decode("utf-8", errors="replace"))


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a\n1\n", "a\n01\nR\n", "a\n-1\nR\n", "a\n+1\nR\n", "a\n1 \nR\n", "a\n٣\nR\n", "a\n1\nAA==\n", "a\n1\nR", "\n1\nR\n",
        "a\n1\nR\n\n", "a\n10000000000000000000000\nR\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Missing lines, sizes that are not plain numbers, roots of another length."""
    root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert Checkpoint.parse(f"a\n1\n{root}\nmore\n") == Checkpoint("a", 1, EMPTY_ROOT)
    with pytest.raises(CheckpointError):
        Checkpoint.parse(text.replace("R", root))


@settings(max_examples=400)
@given(st.text() | st.text("\n— +/=aA01").map(lambda tail: SIGNER.checkpoint(3, ROOT) + tail))
def test_nonsense_is_refused(text: str) -> None:
    """Whatever is read as a note, a checkpoint or a key: it is one, or it is refused as none; nothing else happens."""
    for read in (SIGNER.key.open, Checkpoint.parse, LogKey.parse, bytes_of):
        try:
            read(text)
        except NotVerified:
            continue
