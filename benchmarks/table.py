"""What was measured, as a plain table: ratios first, absolute numbers beside."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement: `ours` and `theirs` with their unit, the ratio between them, and what it should be."""

    what: str
    against: str
    ratio: float | None
    ours: str
    theirs: str
    target: str = ""
    met: bool | None = None


def show(rows: Iterable[Row]) -> str:
    """Lay rows out in columns."""
    head = ("what", "ratio", "target", "against", "ours", "theirs")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {True: " met", False: " MISSED", None: ""}[row.met]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.what, ratio, row.target + verdict, row.against, row.ours, row.theirs
