"""Checkpoints: what a log vouches for, its size and its root, signed in the formats that witnesses and auditors read.

C2SP tlog-checkpoint inside a C2SP signed note, with Ed25519. A log has a name (its origin) and a key of its own, both
derived from the service's secret: the name tells nobody which app it belongs to.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent.errors import CheckpointError
from consent.log.merkle import HASH_BYTES
from consent.pseudonyms import derived_key

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_LONGEST_NOTE = 1 << 20
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NEVER_IN_A_NOTE = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Control characters, and halves of characters, which are no UTF-8."""
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: with this many leaves, its tree has this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64_of(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the lines that were signed; CheckpointError when they are none."""
        lines = text.split("\n")
        if len(lines) < 4 or "" in lines[:-1] or lines[-1] != "":
            raise CheckpointError("the checkpoint has not the lines origin, size and root")
        origin, size, root = lines[:3]
        if not _SIZE.fullmatch(size):
            raise CheckpointError("the checkpoint's size is not a number")
        return cls(origin, int(size), bytes_of(root, HASH_BYTES))


@dataclass(frozen=True)
class LogKey:
    """The public key of a log, under the log's name; `public` is 32 bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signatures name the key."""
        told = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(told).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The verifier key as it is handed around: name, key id, algorithm and key."""
        return f"{self.name}+{self.key_id.hex()}+{base64_of(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "LogKey":
        """Read a verifier key; CheckpointError when it is none."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = bytes_of(encoded, 1 + HASH_BYTES)
        key = cls(name, raw[1:])
        if not _NAME.fullmatch(name) or _NEVER_IN_A_NOTE.search(name) or raw[:1] != _ED25519:
            raise CheckpointError("this is not the verifier key of a log")
        if key.key_id.hex() != key_id:
            raise CheckpointError("this is not the verifier key of a log")
        return key

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when this key signed the message; raise CheckpointError otherwise."""
        try:
            self._verifier.verify(signature, message)
        except InvalidSignature:
            raise CheckpointError("the signature is not of this key, or of another text") from None

    @cached_property
    def _verifier(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.public)

    def open(self, note: str) -> Checkpoint:
        """Return the checkpoint in a signed note.

        Signatures of others, such as witnesses, are passed over.

        Raises:
            CheckpointError: it is not a note, not a checkpoint of this log, or not signed with this key.
        """
        text, gap, lines = note.rpartition("\n\n")
        if len(note) > _LONGEST_NOTE or not gap or not lines.endswith("\n") or _NEVER_IN_A_NOTE.search(note):
            raise CheckpointError("this is not a signed note")
        signed = False
        for line in lines[:-1].split("\n"):
            found = _SIGNATURE.fullmatch(line)
            if found is None:
                raise CheckpointError("this is not a signed note")
            signature = bytes_of(found[2])
            if found[1] == self.name and signature[:_KEY_ID_BYTES] == self.key_id:
                self.verify(f"{text}\n".encode(), signature[_KEY_ID_BYTES:])
                signed = True
        if not signed:
            raise CheckpointError("the checkpoint is not signed with this key")
        checkpoint = Checkpoint.parse(f"{text}\n")
        if checkpoint.origin != self.name:
            raise CheckpointError("the checkpoint is of another log")
        return checkpoint


class LogSigner:
    """Signs for one app's log."""

    def __init__(self, private: Ed25519PrivateKey, name: str) -> None:
        self._private = private
        self.key = LogKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def checkpoint(self, size: int, root: bytes) -> str:
        """Return the signed note over a size and a root; the same for the same."""
        text = Checkpoint(self.key.name, size, root).text
        signature = base64_of(self.key.key_id + self.sign(text.encode()))
        return f"{text}\n— {self.key.name} {signature}\n"

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of an Ed25519 signature."""
        return self._private.sign(message)


class LogSigners:
    """The signers of all apps' logs, from the service's secret.

    Args:
        secret: the service's secret.
        place: what the names of the logs begin with.
    """

    def __init__(self, secret: bytes, place: str) -> None:
        self._secret = secret
        self._place = place
        self._made: dict[str, LogSigner] = {}

    def of(self, app_id: str) -> LogSigner:
        """Return the signer of an app's log."""
        if app_id not in self._made:
            seed = derived_key(self._secret, f"log-key/{app_id}")
            name = hmac.digest(derived_key(self._secret, "log-names"), app_id.encode(), hashlib.sha256)[:16]
            self._made[app_id] = LogSigner(
                Ed25519PrivateKey.from_private_bytes(seed), f"{self._place}/{name.hex()}"
            )
        return self._made[app_id]


def base64_of(data: bytes) -> str:
    """Write bytes as base64 (RFC 4648, section 4)."""
    return base64.b64encode(data).decode()


def bytes_of(text: str, length: int | None = None) -> bytes:
    """Read base64, of so many bytes where it matters; CheckpointError unless it is written as `base64_of` writes it."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointError("this is not base64") from None
    # The last letter may hold bits that nobody reads: another letter would then say the same.
    if base64_of(data) != text or (length is not None and len(data) != length):
        raise CheckpointError("this is not base64, or of another length")
    return data
