"""A finding as people read it: a heading, what it means, drawings, and the figures as a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from evaluation.report.drawings import Curve, Intervals
from evaluation.report.plots import number

_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Panel:
    """A finding. All cells are text as people read it; columns from `numbers_from` on hold numbers. `short` is its title in a list."""

    name: str
    short: str
    title: str
    about: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers_from: int = 1
    intervals: tuple[Intervals, ...] = ()
    curves: tuple[Curve, ...] = ()


def shown(panel: Panel) -> Table:
    """A panel for the terminal."""
    made = Table(
        title=panel.title,
        caption="\n".join(panel.about),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for place, column in enumerate(panel.columns):
        made.add_column(column, justify="right" if place >= panel.numbers_from else "left")
    for row in panel.rows:
        made.add_row(*row)
    return made


def span(row: Mapping[str, Any], low: str, high: str, digits: int) -> str:
    """An interval as written, or a dash where there is none."""
    if row[low] is None:
        return _NONE
    return f"{number(row[low], digits)} to {number(row[high], digits)}"


def cell(value: float | None, digits: int = 4) -> str:
    """A number as written, or a dash where there is none."""
    return _NONE if value is None else number(value, digits)
