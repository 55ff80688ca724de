"""Whatever is handed to the verifier, it verifies, or is refused in words: nothing crashes, and nothing made up is accepted."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import CheckpointError, HistoryChanged, NotVerified
from consent.log import merkle
from consent.log.checkpoints import LogKey, LogSigners, base64_of
from consent.log.commitments import Leaf, canonical, closing, commitment, digest
from consent.receipts.signing import Signer, key_set
from consent.verification import bundles
from consent.verification.bundles import Keys
from consent.verification.evidence import Kept
from consent.verification.ledger import keep, verify_ledger
from consent.verification.receipts import verify_receipts

LOG = LogSigners(bytes(32), "logs.example").of("harbour")
SIGNER = Signer(bytes(range(32)))
KEYS_TEXT = json.dumps({"log": LOG.key.text, "receipts": key_set([SIGNER.public_key])})
KEYS = Keys.parse(KEYS_TEXT)


def made() -> tuple[list[bytes], dict[str, Any]]:
    """A ledger of two entries, the first closed; and the receipt of the second with its proof."""
    body = {
        "receipt_id": "r",
        "purposes": [
            {"purpose": "improve", "pii_information": {"pii_type": "views"}, "event": {"seq": 1, "event_state": "given"}}
        ],
    }  # fmt: skip
    text = canonical(body).decode()
    entry: dict[str, str | int] = {
        "seq": 1,
        "signal": "views",
        "purpose": "improve",
        "state": "given",
        "receipt_id": "r",
    }
    leaf = Leaf(1, {**entry, "receipt_sha256": digest(text)}, bytes(32))
    gone = bytes(range(32))
    tree = merkle.Tree()
    for data in (gone, leaf.data):
        tree.append(merkle.leaf_hash(data))
    note, jws = LOG.checkpoint(2, tree.root), SIGNER.sign_text(text)
    lines = [
        bundles.header(LOG.key.name, 2, opened=True),
        bundles.entry_line(0, gone, None, LOG.sign(closing(LOG.key.name, 0, gone))),
        bundles.receipt_line(jws),
        bundles.entry_line(1, leaf.data, leaf, None),
        bundles.checkpoint_line(note),
    ]
    row = json.loads(lines[3])
    proof = {name: row[name] for name in ("index", "leaf", "leaf_key", "entry")}
    proof["proof"] = [base64_of(merkle.leaf_hash(gone))]
    receipts = [{"receipt_id": "r", "body": body, "jws": jws}]
    return lines, {"receipts": receipts, "log": [{"checkpoint": note, "entries": [proof]}]}


LINES, DOCUMENT = made()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_what_was_made_verifies() -> None:
    """The bundles that are torn apart below hold as they are."""
    assert verify_ledger(LINES, KEYS).entries == 2
    assert verify_receipts(DOCUMENT, KEYS).entries == 1


@settings(max_examples=400)
@given(
    st.lists(st.binary(max_size=60), max_size=6)
    | st.lists(JSON.map(lambda value: canonical(value) + b"\n"), max_size=6)
)
def test_noise_is_no_ledger(lines: list[bytes]) -> None:
    """Bytes and JSON of any kind, alone or after a true beginning, are refused."""
    for beginning in ([], LINES[:1], LINES[:2], LINES[:3], LINES[:4]):
        with pytest.raises(NotVerified):
            verify_ledger([*beginning, *lines], KEYS)
    with pytest.raises(NotVerified):
        keep(Kept(), b"".join(lines), KEYS)


@settings(max_examples=400)
@given(JSON)
def test_noise_is_no_receipt(value: Any) -> None:
    """JSON of any kind is refused."""
    with pytest.raises(NotVerified):
        verify_receipts({"receipts": [value], "log": [value]}, KEYS)
    with pytest.raises(NotVerified):
        verify_receipts(value, KEYS)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place within JSON, as (container, name)."""
    found = []
    names = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        found += [(value, name), *places(value[name])]
    return found


@settings(max_examples=600)
@given(st.data(), JSON)
def test_anything_in_the_place_of_anything_is_refused(data: st.DataObject, value: Any) -> None:
    """One value of a receipt, a proof or a line replaced by another, or left out: never verified, never a crash."""
    document = json.loads(json.dumps(DOCUMENT))
    _put(data, document, value)
    if document != DOCUMENT:
        with pytest.raises(NotVerified):
            verify_receipts(document, KEYS)
    number = data.draw(st.integers(0, len(LINES) - 1))
    told = json.loads(LINES[number])
    _put(data, told, value)
    line = canonical(told) + b"\n"
    if line != LINES[number]:
        with pytest.raises(NotVerified):
            verify_ledger([*LINES[:number], line, *LINES[number + 1 :]], KEYS)


@settings(max_examples=300)
@given(st.data(), JSON)
def test_anything_in_a_history_is_refused(data: st.DataObject, value: Any) -> None:
    """An export whose history says anything else than its entry does: never verified, never a crash."""
    line = {name: told for name, told in DOCUMENT["log"][0]["entries"][0]["entry"].items() if name != "receipt_sha256"}  # fmt: skip
    export = {**DOCUMENT, "consent_history": [line]}
    assert verify_receipts(export, KEYS).history == 1
    torn = json.loads(json.dumps(export["consent_history"]))
    _put(data, torn, value)
    if torn != export["consent_history"]:
        with pytest.raises(NotVerified):
            verify_receipts({**export, "consent_history": torn}, KEYS)
    with pytest.raises(NotVerified):
        verify_receipts({**export, "consent_history": [value]}, KEYS)


def _put(data: st.DataObject, document: Any, value: Any) -> None:
    container, name = data.draw(st.sampled_from(places(document)))
    if data.draw(st.booleans()):
        container[name] = value
    else:
        del container[name]


@settings(max_examples=400)
@given(st.text() | JSON.map(json.dumps) | st.text("{}[]\"':,logkeysxid+/=AB01").map(lambda text: "{" + text))
def test_noise_is_no_key(text: str) -> None:
    """Whatever is read as a key: there is no key of a log in it."""
    with pytest.raises(NotVerified):
        Keys.parse(text)
    with contextlib.suppress(NotVerified):
        Keys.parse(KEYS_TEXT, text)


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000, b'"\\ud800"', b"NaN", b"\xff"]
)
def test_json_that_breaks_parsers_is_refused(text: bytes) -> None:
    """Nested without end, numbers without end, halves of characters, bytes that are no text."""
    for beginning in ([], LINES[:1]):
        with pytest.raises(NotVerified):
            verify_ledger([*beginning, text + b"\n"], KEYS)
    with pytest.raises(NotVerified):
        verify_receipts(bundles.parse(text), KEYS)


def test_half_a_character_in_a_checkpoint_is_refused() -> None:
    """JSON can carry what UTF-8 cannot: a note with it, in its text, in the name of who signed, or a key of such a name, is none."""
    ours = base64_of(LOG.key.key_id + bytes(64))
    for note in (
        f"\ud800\n1\nAAAA\n\n— {LOG.key.name} {ours}\n",
        f"{LOG.key.name}\n1\nAAAA\n\n— \udfff {ours}\n",
    ):
        with pytest.raises(CheckpointError, match="not a signed note"):
            LOG.key.open(note)
        with pytest.raises(HistoryChanged, match="not a signed note"):
            verify_ledger([*LINES[:4], bundles.checkpoint_line(note)], KEYS)
        with pytest.raises(HistoryChanged, match="not a signed note"):
            verify_receipts({"receipts": [], "log": [{"checkpoint": note, "entries": []}]}, KEYS)
    public = base64_of(b"\x01" + bytes(32))
    with pytest.raises(CheckpointError, match="not the verifier key"):
        LogKey.parse(f"\ud800+00000000+{public}")


@pytest.mark.parametrize("place", [None, "1", True, "\x1b[2J\x1b[32mVerified.", "\ud800"])
def test_an_entry_without_a_place_is_refused_and_not_repeated(place: str | bool | None) -> None:
    """Whatever else stands where an entry should say its place, logged so and rightly committed to, is no part of the message."""
    entry = {} if place is None else {"seq": place}
    leaf = commitment(bytes(32), entry)
    told = {"index": 0, "leaf": base64_of(leaf), "leaf_key": base64_of(bytes(32)), "entry": entry}
    line = canonical({**told, "hash": base64_of(merkle.leaf_hash(leaf))}) + b"\n"
    with pytest.raises(HistoryChanged) as refused:
        verify_ledger([bundles.header(LOG.key.name, 1, opened=True), line], KEYS)
    assert refused.value.reason == "the entry has no place"
    note = LOG.checkpoint(1, merkle.leaf_hash(leaf))
    with pytest.raises(HistoryChanged) as refused:
        verify_receipts(
            {"receipts": [], "log": [{"checkpoint": note, "entries": [{**told, "proof": []}]}]}, KEYS
        )
    assert refused.value.reason == "the entry has no place"
