"""Impressions whose probability is known: what was shown, how likely that was, what came of it, how likely it would be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from evaluation import datasets
from evaluation.columns import ids_of, require, values_of
from evaluation.errors import DatasetError, Where

Floats = NDArray[np.float64]


class Columns(BaseModel):
    """The names of a table's columns; those that may be absent are read where a column has the field's own name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    propensity: str = "propensity"
    reward: str = "reward"
    target: str = "target"
    predicted: str | None = None
    expected: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class Impressions:
    """N things shown by a policy that left them to chance; every array has one finite number for each.

    Attributes:
        propensity: (N,) probability with which the policy that showed it chose it, above 0 and at most 1.
        reward: (N,) what came of it, in any unit; more is better.
        target: (N,) probability with which the policy in question would have chosen the same, from 0 to 1.
        predicted: (N,) what a model of rewards, learned from other impressions, expects of what was shown.
        expected: (N,) what it expects on average over what the policy in question would have shown instead.
        person: (N,) whose impression it is, as a number of any kind; each counts for itself when None.
        source: what messages call them.
        columns: what messages call the fields.

    Raises:
        DatasetError: naming the field and the row: nothing there, lengths that differ, a number that is missing, not
            finite or out of bounds; or only one of `predicted` and `expected`.
    """

    propensity: Floats
    reward: Floats
    target: Floats
    predicted: Floats | None = None
    expected: Floats | None = None
    person: NDArray[np.int64] | None = None
    source: str = "impressions"
    columns: Columns = field(default_factory=Columns)

    def __post_init__(self) -> None:
        for name in ("propensity", "reward", "target", "predicted", "expected"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, self._numbers(name, given))
        if (self.predicted is None) != (self.expected is None):
            absent = "predicted" if self.predicted is None else "expected"
            raise DatasetError(
                f"{Where(self.source, absent)}: is missing; a model of rewards needs what it predicts for what was "
                "shown (predicted) and for what would have been shown (expected)"
            )
        self._equally_long()
        self._within("propensity", lambda p: (p > 0) & (p <= 1), "a probability above 0 and at most 1")
        self._within("target", lambda p: (p >= 0) & (p <= 1), "a probability from 0 to 1")

    def __len__(self) -> int:
        return len(self.propensity)

    @property
    def weights(self) -> Floats:
        """(N,) how much likelier the policy in question would have shown it than the one that did."""
        return self.target / self.propensity

    def _named(self, name: str) -> str:
        return getattr(self.columns, name) or name

    def _numbers(self, name: str, given: Any) -> Floats:
        try:
            numbers = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise DatasetError(f"{Where(self.source, self._named(name))}: is not all numbers") from None
        if numbers.ndim != 1:
            raise DatasetError(
                f"{Where(self.source, self._named(name))}: is not one number for each impression"
            )
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            raise DatasetError(
                f"{Where(self.source, self._named(name), int(wrong[0]) + 1)}: {numbers[wrong[0]]} is not a finite number"
            )
        return numbers

    def _equally_long(self) -> None:
        lengths = {
            name: len(given)
            for name in ("propensity", "reward", "target", "predicted", "expected", "person")
            if (given := getattr(self, name)) is not None
        }
        count = lengths["propensity"]
        if not count:
            raise DatasetError(f"{self.source}: there are no impressions")
        other = next((name for name, length in lengths.items() if length != count), None)
        if other is not None:
            row = min(count, lengths[other]) + 1
            raise DatasetError(
                f"{Where(self.source, self._named(other), row)}: there are {lengths[other]:,} values of "
                f"{self._named(other)!r} and {count:,} of {self._named('propensity')!r}"
            )

    def _within(self, name: str, allowed: Callable[[Floats], NDArray[np.bool_]], wanted: str) -> None:
        numbers: Floats = getattr(self, name)
        wrong = np.flatnonzero(~allowed(numbers))
        if len(wrong):
            raise DatasetError(
                f"{Where(self.source, self._named(name), int(wrong[0]) + 1)}: {numbers[wrong[0]]:g} is not {wanted}"
            )


def read(path: Path, columns: Columns | None = None) -> Impressions:
    """Read impressions from a CSV (also gzipped) or Parquet file with a row for each.

    Raises:
        DatasetError: naming the file, the column and the first row that is wrong.
    """
    return of(datasets.read(path), columns, str(path))


def of(frame: pl.DataFrame, columns: Columns | None = None, source: str = "impressions") -> Impressions:
    """Take impressions from a frame with a row for each.

    Raises:
        DatasetError: naming the column and the first row that is wrong.
    """
    columns = columns or Columns()
    optional = ("predicted", "expected", "person")
    there: dict[str, str] = {
        name: name for name in optional if getattr(columns, name) is None and name in frame.columns
    }
    columns = columns.model_copy(update=there)
    named = columns.model_dump(exclude_none=True)
    require(frame, list(named.values()), source)
    if frame.is_empty():
        raise DatasetError(f"{source}: there are no impressions")
    person = named.pop("person", None)
    return Impressions(
        **{name: _complete(frame, column, source) for name, column in named.items()},
        person=None
        if person is None
        else ids_of(frame, person, source).rank("dense").cast(pl.Int64).to_numpy(),
        source=source,
        columns=columns,
    )


def _complete(frame: pl.DataFrame, column: str, source: str) -> Floats:
    numbers = values_of(frame, column, source)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0) + 1
        raise DatasetError(f"{Where(source, column, row)}: is empty")
    return numbers.to_numpy()
