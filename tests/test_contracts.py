"""What keeps the code in shape: imports point down, and nobody gets round the gate."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender import tables
from recommender.tables import events

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "consent", "evaluation", "recommender")
GATE = ROOT / "consent" / "gate.py"

TABLE = r"\s+\"?event\"?(?![\w-])"
RAW = (
    re.compile(rf"\bselect\b.*\b(from|join){TABLE}", re.IGNORECASE | re.DOTALL),
    re.compile(rf"^\s*(delete from|insert into|update){TABLE}", re.IGNORECASE),
)
"""SQL text about the table of events itself."""


def modules() -> Iterator[Path]:
    """Every module of the project but the gate."""
    for package in PACKAGES:
        yield from (path for path in (ROOT / package).rglob("*.py") if path != GATE)


def ways_round(source: str) -> list[str]:
    """What in a module could reach the table of events without the gate."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(source)) if _is_a_way(node)]


def _is_a_way(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name):
            return "SignalTable__" in name
        case ast.Subscript(value=ast.Attribute(attr="tables")):
            return True
        case ast.Constant(value=str(text)):
            return "SignalTable__" in text or any(pattern.search(text) for pattern in RAW)
        case _:
            return False


def test_nobody_gets_round_the_gate() -> None:
    """No module names the raw table: not by its mangled attribute, not through the metadata, not in SQL text."""
    checked = 0
    for path in modules():
        assert ways_round(path.read_text("utf-8")) == [], path.relative_to(ROOT)
        checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    "source",
    [
        "events._SignalTable__events", "getattr(events, '_SignalTable__events')", "metadata.tables['event']",
        "text('SELECT * FROM event')", "text('select e.* from event e')", "text('DELETE FROM event')",
        "text('SELECT 1 FROM a JOIN event ON true')",
    ],
)  # fmt: skip
def test_a_way_round_is_noticed(source: str) -> None:
    """The check above finds each of the ways there are."""
    assert ways_round(source)


def test_the_table_is_not_on_offer() -> None:
    """Neither the module of the tables nor the gated one shows the table behind it."""
    shown = [name for name in dir(events) if not name.startswith("_")]
    assert shown == [
        "add",
        "count",
        "erase",
        "expire",
        "export",
        "name",
        "of_everyone",
        "of_person",
        "tables",
        "withdraw",
    ]
    assert "event" not in vars(tables)


def test_imports_keep_to_the_contracts() -> None:
    """import-linter: layers, only api knows the web, only training imports lightfm, tables belong to stores."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
