"""What is drawn: rows with intervals on one scale, and curves. Values stay numbers here; `drawings.html` makes SVG of them.

Written here and not by a charting library: places in percent let the drawing fit a phone without shrinking its text, and colours
are the page's own, so that one drawing serves light, dark and print; drawings of fixed size and colour do neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from evaluation.report.plots import Scale, digits_for, scale


@dataclass(frozen=True)
class Row:
    """A value with its interval. `mark` is the colour: of the reference, of a verdict, or none."""

    title: str
    value: float
    low: float
    high: float
    verdict: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Group:
    """Rows under a heading; without one if empty."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Intervals:
    """A table whose last column is a drawing: a dot for each value, and a line for its interval.

    Attributes:
        title: of the value's column.
        caption: what is shown, and how to read it.
        first: title of the rows' column.
        verdict: title of the column of verdicts; without one if empty.
        groups: the rows.
        beside: a value that a dashed line stands at, with its name.
    """

    title: str
    caption: str
    first: str
    groups: tuple[Group, ...]
    verdict: str = ""
    beside: tuple[float, str] | None = None

    @cached_property
    def _ends(self) -> list[float]:
        rows = [row for group in self.groups for row in group.rows]
        found = [end for row in rows for end in (row.low, row.value, row.high)]
        return found + ([self.beside[0]] if self.beside else [])

    @cached_property
    def scale(self) -> Scale:
        """The scale of all rows."""
        return scale(self._ends)

    @cached_property
    def digits(self) -> int:
        """How many digits tell the rows apart."""
        return digits_for(self._ends)


@dataclass(frozen=True)
class Point:
    """A point of a curve, with the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of a curve. `mark` is its colour and dashes."""

    label: str
    mark: str
    points: tuple[Point, ...]


_TOP, _BOTTOM = 10.0, 210.0
"""Pixels from the top of a drawing to the highest and the lowest tick."""
_APART = 16.0
"""Pixels between labels."""
_SIDE = 3.0
"""Percent of the width left free on both sides."""


@dataclass(frozen=True)
class Curve:
    """Lines over a common axis, each with its name at its end.

    Attributes:
        title: what this drawing is of.
        about: what it shows, for those who do not see it.
        x_title: of the axis below.
        y_title: of the axis at the side.
        ticks: places on the axis below, with their names.
        lines: in the order of their importance.
    """

    title: str
    about: str
    x_title: str
    y_title: str
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]

    @cached_property
    def scale(self) -> Scale:
        """The scale at the side."""
        points = [point for line in self.lines for point in line.points]
        ends = [end for point in points for end in (point.low, point.y, point.high) if end is not None]
        return scale(ends)

    def left(self, x: float) -> float:
        """Place of a value below, in percent of the width."""
        first, last = self.ticks[0][0], self.ticks[-1][0]
        return _SIDE + (100 - 2 * _SIDE) * ((x - first) / (last - first) if last > first else 0.5)

    def top(self, y: float) -> float:
        """Place of a value at the side, in pixels from the top."""
        return _BOTTOM - (_BOTTOM - _TOP) * (y - self.scale.low) / (self.scale.high - self.scale.low)

    def path(self, line: Line) -> str:
        """A line's points, in a box 100 wide."""
        return " ".join(f"{self.left(point.x):.2f},{self.top(point.y):.1f}" for point in line.points)

    @cached_property
    def labels(self) -> tuple[tuple[Line, float], ...]:
        """Each line with the place of its name, in pixels: at its end, or as near as the others' names allow."""
        ends = sorted(self.lines, key=lambda line: self.top(line.points[-1].y))
        return tuple(zip(ends, apart([self.top(line.points[-1].y) for line in ends]), strict=True))


def apart(places: Sequence[float]) -> list[float]:
    """Ascending places, moved as little as needed to be `_APART` apart, the last not below the drawing."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + _APART) if moved else place)
    most = _BOTTOM
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], most)
        most = moved[index] - _APART
    return moved
