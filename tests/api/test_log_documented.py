"""The page on the log: its example is the tested file, runs with nothing but what it says, and refuses what was edited."""

import ast
import json
import subprocess
import sys
from pathlib import Path

from tests.api.witness import ON_SQLITE
from tests.conftest import Caller

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "verify_receipt.py"
PAGE = (ROOT / "docs" / "log.md").read_text("utf-8")


def run(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the example apart from this project."""
    return subprocess.run(
        [sys.executable, "-I", EXAMPLE, *paths], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_page_shows_the_example_as_it_is() -> None:
    """What is on the page is the file; it has twenty lines, and imports the standard library and `cryptography` alone."""
    source = EXAMPLE.read_text("utf-8")
    assert f"```python\n{source}```" in PAGE
    tree = ast.parse(source)
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
        )
    }
    assert imported - {"cryptography"} <= sys.stdlib_module_names
    assert sum(bool(line.strip()) for line in source.splitlines()) <= 20


@ON_SQLITE
async def test_the_example_verifies_a_receipt(client: Caller, tmp_path: Path) -> None:
    """It takes the two documents as the API answers them; with one value of either changed it fails."""
    for number in range(5):
        await client.consent(f"u{number}", "views", "saves", "topics")
    changed = await client.consent("u1", "views", state="withdrawn")
    await client.consent("u9", "views")
    receipt_id = changed["receipt"]["receipt_id"]
    proof = (await client.get(f"/v1/users/u1/receipts/{receipt_id}?proof=true")).json()
    keys = (await client.get("/v1/log/keys")).json()
    files = tmp_path / "proof.json", tmp_path / "keys.json"
    files[1].write_text(json.dumps(keys))
    files[0].write_text(json.dumps(proof))
    done = run(*files)
    assert done.returncode == 0, done.stderr
    assert "in the log:" in done.stdout
    assert "withdrawn" in done.stdout
    whole = json.dumps(proof)
    for told, edited in (
        ('"event_state": "withdrawn"', '"event_state": "given"'), ('"state": "withdrawn"', '"state": "given"'),
        ('"seq": 15, "signal"', '"seq": 3, "signal"'), ("\\n17\\n", "\\n18\\n"),
        (f'"pii_principal_id": "{proof["pii_principal_id"]}"', '"pii_principal_id": "somebody"'),
    ):  # fmt: skip
        assert told in whole, told
        files[0].write_text(whole.replace(told, edited))
        assert run(*files).returncode != 0, told
