"""`assent releases`, as it is typed."""

import json
from pathlib import Path

import pytest

from api import administration
from api.service import Service
from recommender.exchange import shipped
from tests.api import community
from tests.api.test_cli import Shell, said
from tests.conftest import APP


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """`assent` on an empty database."""
    made = Shell(tmp_path)
    assert made("migrate").exit_code == 0
    return made


def test_the_command_line_handles_releases(shell: Shell) -> None:
    """List, diff, roll back, promote, verify, prove and prune say what they did, and end with 1 when they could not."""
    assert shell("keys", "create", "--app", APP).exit_code == 0
    made: list[str] = []

    async def prepare(service: Service) -> None:
        await administration.import_catalog(service, APP, shipped())
        await community.settle_in(service)
        made.extend([await community.train(service), await community.train(service)])

    shell.in_service(prepare)
    first, second = made
    listed = said(shell("releases", "list", "--app", APP, COLUMNS="200"))
    assert first in listed
    assert "promoted" in listed
    assert "shards that differ: none" in said(shell("releases", "diff", first, second, "--app", APP))
    assert f"{first} is served again" in said(shell("releases", "roll-back", "--app", APP))
    assert shell("releases", "roll-back", "--app", APP).exit_code == 1
    assert f"{second} is served" in said(shell("releases", "promote", second, "--app", APP))
    verified = shell("releases", "verify", second, "--retrain", "--app", APP)
    assert (verified.exit_code, "trained again, it is the same" in said(verified)) == (0, True)
    assert said(shell("verify", "--release", second, "--app", APP)) == said(
        shell("releases", "verify", second, "--app", APP)
    )
    assert shell("verify", "--release", "none", "--app", APP).exit_code == 1
    proof = json.loads(shell("releases", "prove", second, "simulated-3", "--app", APP).stdout)
    assert proof["present"] is True
    assert f"{first} is destroyed" in said(shell("releases", "prune", "--keep", "0", "--app", APP))
    assert shell("releases", "promote", "none", "--app", APP).exit_code == 1


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "BUNDLE"),
        (("ledger.jsonl",), "--key"),
        (("ledger.jsonl", "--release", "r"), "--release"),
        (("--release", "r", "--key", "k"), "--release"),
    ],
)
def test_what_is_to_be_verified_has_to_be_said(tmp_path: Path, flags: tuple[str, ...], named: str) -> None:
    """A file with its keys, or a release: with neither, or with both, the command ends with 2 and names the field."""
    failed = Shell(tmp_path)("verify", *flags)
    assert (failed.exit_code, named in said(failed)) == (2, True)
