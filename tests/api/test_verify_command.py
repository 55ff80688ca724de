"""`assent verify`: needs nothing but the files, names the entry, and says what it cannot read."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app as assent
from api.service import Service
from consent.log.checkpoints import LogSigners, base64_of
from consent.log.commitments import canonical, commitment
from consent.log.merkle import leaf_hash
from consent.verification.bundles import checkpoint_line, header
from tests.api.verifying import exported, live
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller


def run(*arguments: str | Path) -> Result:
    """Run `assent`, with nothing set in the environment."""
    return CliRunner().invoke(assent, [str(each) for each in arguments])


@pytest.fixture
async def files(client: Caller, service: Service, tmp_path: Path) -> Path:
    """A folder with a ledger, somebody's export, a receipt's proof, a checkpoint and the keys."""
    await live(client)
    receipt_id = (await client.get("/v1/users/stays/consents/history")).json()["events"][0]["receipt_id"]
    for name, path in {
        "export.json": "/v1/users/stays/export", "keys.json": "/v1/log/keys", "checkpoint.txt": "/v1/log/checkpoint",
        "proof.json": f"/v1/users/stays/receipts/{receipt_id}?proof=true&since=2",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes((await client.get(path)).content)
    (tmp_path / "ledger.jsonl").write_bytes(b"".join(await exported(service)))
    return tmp_path


@ON_SQLITE
def test_the_command_verifies_and_says_so(files: Path) -> None:
    """Without database or settings: a ledger, an export, the proof of one receipt; what holds is said in plain words."""
    for name in ("ledger.jsonl", "export.json", "proof.json"):
        done = run("verify", files / name, "--key", files / "keys.json", "--kept", files / "checkpoint.txt")
        assert done.exit_code == 0, done.output
        assert "Verified." in done.output
        assert "in order and unchanged" in " ".join(done.output.split())
        assert ("the consent history has these entries" in done.output) == (name == "export.json")
    told = " ".join(run("verify", files / "ledger.jsonl", "--key", files / "keys.json").output.split())
    assert "8 entries stand in the log" in told
    assert "2 were closed by an erasure" in told


@ON_SQLITE
def test_the_command_names_the_entry(files: Path) -> None:
    """Status 1, the index, and the reason, for a ledger that was edited; and nothing is said to be verified."""
    text = (files / "ledger.jsonl").read_bytes()
    (files / "edited.jsonl").write_bytes(text.replace(b'"state":"withdrawn"', b'"state":"given"'))
    done = run("verify", files / "edited.jsonl", "--key", files / "keys.json")
    assert done.exit_code == 1
    assert "NOT VERIFIED" in done.output
    assert "number 4" in done.output
    assert "it was edited" in done.output
    assert "Verified." not in done.output


@ON_SQLITE
def test_the_command_says_what_it_cannot_read(files: Path) -> None:
    """Status 2: no such file, not a bundle, not a key; in plain words, with no traceback."""
    (files / "nothing.json").write_text("[1, 2]")
    (files / "noise").write_bytes(bytes(range(256)))
    for arguments in (
        (files / "absent", "--key", files / "keys.json"), (files / "nothing.json", "--key", files / "keys.json"),
        (files / "noise", "--key", files / "keys.json"), (files / "ledger.jsonl", "--key", "no key"),
        (files / "ledger.jsonl", "--key", files / "noise"), (files / "ledger.jsonl", "--key", files / "nothing.json"),
        (files / "ledger.jsonl", "--key", files / "keys.json", "--kept", files / "noise"),
    ):  # fmt: skip
        done = run("verify", *arguments)
        assert done.exit_code == 2, (arguments, done.output, done.exception)
        assert isinstance(done.exception, SystemExit)


def test_a_bundle_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """What a forged ledger says in the place of a number, or in a note, is neither printed nor a crash: the refusal is in our own words."""
    log = LogSigners(bytes(32), "logs.example").of("harbour")
    entry = {"seq": "\x1b[2J\x1b[H\x1b[32mVerified.\x1b[0m"}
    leaf = commitment(bytes(32), entry)
    told = {"index": 0, "leaf": leaf, "hash": leaf_hash(leaf), "leaf_key": bytes(32)}
    line = {name: base64_of(value) if isinstance(value, bytes) else value for name, value in told.items()}
    note = f"\ud800\n1\nAAAA\n\n— {log.key.name} {base64_of(log.key.key_id + bytes(64))}\n"
    for said, begins in (
        (canonical({**line, "entry": entry}) + b"\n", "the entry has no place"),
        (checkpoint_line(note), "this is not a signed note"),
    ):
        path = tmp_path / "forged.jsonl"
        path.write_bytes(header(log.key.name, 1, opened=True) + said)
        done = run("verify", path, "--key", log.key.text)
        assert done.exit_code == 1, done.exception
        assert begins in done.output
        assert "\x1b" not in done.output
        assert "Verified." not in done.output
