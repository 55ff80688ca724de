"""The columns of a table become what events are made of; the first cell that is wrong is named by file, column and row."""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from consent.signals import SIGNALS
from evaluation.errors import DatasetError, Where

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
_MICROSECONDS = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_LATEST = 253_402_300_800_000_000
"""The year 10000 in microseconds; what lies beyond is taken for a mistake."""
_WHOLE = r"^[+-]?\d{1,19}$"
_ISO_TIME = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?$"


def require(frame: pl.DataFrame, names: list[str], source: str) -> None:
    """Raise DatasetError unless the frame has these columns."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DatasetError(
            f"{Where(source, missing[0])}: is missing; the columns are {', '.join(map(repr, frame.columns))}"
        )


def _refuse(bad: pl.Series, shown: pl.Series, column: str, source: str, wanted: str) -> None:
    """Raise for the first row where `bad` is true."""
    index = bad.arg_max() if bad.any() else None
    if index is not None:
        where, found = Where(source, column, index + 1), shown[index]
        said = "is empty, and should be" if found in (None, "") else f"{found!r} is not"
        raise DatasetError(f"{where}: {said} {wanted}")


def ids_of(raw: pl.DataFrame, column: str, source: str) -> pl.Series:
    """Ids as text, none of them empty."""
    ids = raw[column].cast(pl.String)
    _refuse((ids.is_null() | (ids == "")).fill_null(value=True), ids, column, source, "an id")
    return ids


def values_of(raw: pl.DataFrame, column: str | None, source: str) -> pl.Series:
    """Finite numbers, or null where a cell is empty or there is no such column."""
    if column is None:
        return pl.Series([None] * len(raw), dtype=pl.Float64)
    found = raw[column]
    numbers = found.cast(pl.Float64, strict=False)
    _refuse(
        (found.is_not_null() & (numbers.is_null() | ~numbers.is_finite())).fill_null(value=True),
        found,
        column,
        source,
        "a number",
    )
    return numbers


def signals_of(
    raw: pl.DataFrame, column: str | None, signals: Mapping[str, str] | None, source: str
) -> pl.Series:
    """Ids of our signals, translated by `signals` where that is given; views where there is no such column."""
    if column is None:
        return pl.Series(["views"] * len(raw), dtype=pl.String)
    found = raw[column].cast(pl.String)
    words = dict(signals) if signals is not None else {signal: signal for signal in SIGNALS}
    unknown = sorted(set(words.values()) - set(SIGNALS))
    if unknown:
        raise DatasetError(f"{unknown[0]!r} is not a signal; the signals are {', '.join(SIGNALS)}")
    ours = found.replace_strict(words, default=None, return_dtype=pl.String)
    _refuse(ours.is_null(), found, column, source, f"one of {', '.join(words)}")
    return ours


def times_of(raw: pl.DataFrame, column: str, unit: TimeUnit, source: str) -> pl.Series:
    """Microseconds since 1970 UTC from whole numbers, ISO 8601 or a column of times; exact to the microsecond."""
    found = raw[column]
    if isinstance(found.dtype, pl.Datetime):
        zoned = found.dt.convert_time_zone("UTC") if found.dtype.time_zone else found
        at = zoned.cast(pl.Datetime("us", zoned.dtype.time_zone)).cast(pl.Int64)  # type: ignore[attr-defined]  # a Datetime by the line before
    elif found.dtype == pl.Date:
        at = found.cast(pl.Datetime("us")).cast(pl.Int64)
    else:
        text = found.cast(pl.String)
        whole = text.str.contains(_WHOLE).fill_null(value=False)
        at = _from_numbers(text, unit) if whole.sum() * 2 > len(whole) else _from_iso(text)
    _refuse(
        at.is_null(),
        found,
        column,
        source,
        "a time (a whole number, or ISO 8601 like 2026-01-31T08:00:00Z; one kind in a file)",
    )
    return at


def _from_numbers(text: pl.Series, unit: TimeUnit) -> pl.Series:
    number = text.set(~text.str.contains(_WHOLE).fill_null(value=False), None).cast(pl.Int64, strict=False)
    largest = int(number.abs().max())  # type: ignore[arg-type]  # at least one is a number, so the largest is an int
    auto = "s" if largest < 10**11 else "ms" if largest < 10**14 else "us" if largest < 10**17 else "ns"
    times, per = _MICROSECONDS[auto if unit == "auto" else unit]
    beyond = number.abs() > min(_LATEST // times * per, 2**63 - 1)
    return number.set(beyond, None) * times // per


def _from_iso(text: pl.Series) -> pl.Series:
    """Read ISO 8601; a time without an offset is UTC."""
    clean = text.set(~text.str.contains(_ISO_TIME).fill_null(value=False), None).str.replace(" ", "T")
    date = clean.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    parts = clean.str.extract_groups(
        r"^.{10}(?:T(\d\d):(\d\d)(?::(\d\d))?(?:\.(\d{1,6}))?(?:Z|([+-])(\d\d):?(\d\d))?)?$"
    ).struct.unnest()
    hour, minute, second = (parts[i].cast(pl.Int64).fill_null(0) for i in parts.columns[:3])
    fraction = parts[parts.columns[3]].fill_null("").str.pad_end(6, "0").cast(pl.Int64)
    sign = (parts[parts.columns[4]].fill_null("+") == "+").cast(pl.Int64) * 2 - 1
    off_hour, off_minute = (parts[i].cast(pl.Int64).fill_null(0) for i in parts.columns[5:])
    impossible = (hour > 23) | (minute > 59) | (second > 59) | (off_minute > 59)
    seconds = hour * 3600 + minute * 60 + second - sign * (off_hour * 3600 + off_minute * 60)
    at = date.cast(pl.Datetime("us")).cast(pl.Int64) + seconds * 1_000_000 + fraction
    return at.set(impossible, None)
