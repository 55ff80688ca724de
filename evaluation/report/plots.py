"""Numbers become places on a scale: what the report's template draws as SVG. Places are percent of the width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MARGIN = 6.0
"""Percent of the width left free on both sides, so that the outermost marks and labels are not cut off."""


@dataclass(frozen=True)
class Scale:
    """A linear scale with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int

    def at(self, value: float) -> str:
        """Place of a value, in percent of the width."""
        part = (value - self.low) / (self.high - self.low)
        return f"{_MARGIN + (100 - 2 * _MARGIN) * part:.2f}%"

    def label(self, tick: float) -> str:
        """Write a tick with as many digits as the ticks need."""
        return number(tick, self.digits)


def scale(values: Sequence[float], most: int = 5) -> Scale:
    """A scale that holds zero and all values, with at most `most` steps of 1, 2 or 5 times a power of ten."""
    low, high = min(0.0, *values), max(0.0, *values)
    if high == low:
        high = low + 1.0
    step = 10 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(place * step for place in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks, max(0, -math.floor(math.log10(step) + 1e-9)))


def number(value: float, digits: int) -> str:
    """Write a number with a true minus sign, and zero without one."""
    written = f"{value:.{digits}f}"
    if float(written) == 0:
        return f"{0:.{digits}f}"
    return written.replace("-", "\N{MINUS SIGN}")


def digits_for(values: Sequence[float]) -> int:
    """How many digits tell values of this size apart: four below a tenth, three otherwise."""
    return 4 if max((abs(value) for value in values), default=0.0) < 0.1 else 3
