"""Sources of events, all as one polars frame.

| column | type | is |
|---|---|---|
| `user` | String | who; a file's own id, or a pseudonym of the service |
| `item` | String, may be null | what it was done with; null for events about a topic alone, or about nothing |
| `signal` | String | one of `consent.signals.SIGNALS` |
| `at` | Int64 | microseconds since 1970-01-01 UTC; whole numbers from the file to the split, never rounded |
| `value` | Float64, may be null | stars, band |
| `topic` | String, may be null | the topic of the event |

Rows are ordered by `at`, then by the other columns, so that the order of a file's lines changes nothing.
"""

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from consent.signals import SIGNALS
from evaluation.errors import DatasetError, Where

SCHEMA = {
    "user": pl.String(),
    "item": pl.String(),
    "signal": pl.String(),
    "at": pl.Int64(),
    "value": pl.Float64(),
    "topic": pl.String(),
}
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
_MICROSECONDS = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_WHOLE = r"^[+-]?\d{1,18}$"
_ISO_TIME = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?$"

DESKDROP_SIGNALS: Mapping[str, tuple[str, float | None]] = {
    "VIEW": ("views", None),
    "LIKE": ("ratings", 5.0),
    "BOOKMARK": ("saves", None),
    "COMMENT CREATED": ("completions", None),
    "FOLLOW": ("groups", None),
}
"""Deskdrop's event types as our signals, one to one, so that each can be left out on its own.

A like says what five stars say; who comments has read to the end; who follows an article joins its conversation.
"""


class Columns(BaseModel):
    """The names of a table's columns. Without a `signal` column every event is a view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = "user"
    item: str = "item"
    at: str = "time"
    signal: str | None = None
    value: str | None = None
    topic: str | None = None
    time_unit: TimeUnit = "auto"
    """Unit of whole-number times; `auto` tells seconds, ms, µs and ns apart by the size of the largest."""


@dataclass(frozen=True)
class Dataset:
    """Events with the name they go by in reports.

    `duplicates` says how many rows were left out because another row was equal in every column.
    """

    name: str
    events: pl.DataFrame
    duplicates: int = 0


def deskdrop(path: Path) -> Dataset:
    """Read Deskdrop's `users_interactions.csv(.gz)`; the event types become signals by `DESKDROP_SIGNALS`."""
    columns = Columns(user="personId", item="contentId", at="timestamp", signal="eventType", time_unit="s")
    kinds = {kind: signal for kind, (signal, _) in DESKDROP_SIGNALS.items()}
    found = table(path, columns, signals=kinds, name="Deskdrop")
    values = {signal: value for signal, value in DESKDROP_SIGNALS.values() if value is not None}
    valued = pl.col("signal").replace_strict(values, default=None, return_dtype=pl.Float64)
    return Dataset(found.name, found.events.with_columns(value=valued), found.duplicates)


def movielens(folder: Path) -> Dataset:
    """Read a MovieLens folder (`ratings.csv` or `ratings.csv.gz`); each rating is an event of `ratings` with its stars."""
    paths = [folder / name for name in ("ratings.csv", "ratings.csv.gz")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DatasetError(f"{folder}: has neither ratings.csv nor ratings.csv.gz")
    columns = Columns(user="userId", item="movieId", at="timestamp", value="rating", time_unit="s")
    found = table(path, columns, name=folder.resolve().name)
    return Dataset(found.name, found.events.with_columns(signal=pl.lit("ratings")), found.duplicates)


def table(
    path: Path,
    columns: Columns | None = None,
    *,
    signals: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Dataset:
    """Read any CSV (also gzipped) or Parquet file that has a row for each event.

    Args:
        path: ends in `.parquet`, or is read as CSV with a header line.
        columns: which column is what.
        signals: from the file's words for signals to ours; without it the file uses ours.
        name: what reports call it; the file's name without endings otherwise.

    Raises:
        DatasetError: naming the file, the column and the first row that is wrong.
    """
    columns = columns or Columns()
    raw = _read(path)
    _require(
        raw,
        [
            c
            for c in (columns.user, columns.item, columns.at, columns.signal, columns.value, columns.topic)
            if c
        ],
        str(path),
    )
    if raw.is_empty():
        raise DatasetError(f"{path}: has a header and no events")
    source = str(path)
    signal = _signals(raw, columns.signal, signals, source)
    events = pl.DataFrame(
        {
            "user": _ids(raw, columns.user, source),
            "item": _ids(raw, columns.item, source),
            "signal": signal,
            "at": _times(raw, columns.at, columns.time_unit, source),
            "value": _values(raw, columns.value, source),
            "topic": raw[columns.topic].cast(pl.String)
            if columns.topic
            else pl.Series([None] * len(raw), dtype=pl.String),
        },
        schema=SCHEMA,
    )
    return _tidy(events, name or path.name.split(".")[0])


def consented(events: pl.DataFrame, name: str = "consented events") -> Dataset:
    """Take over what the store read through the gate for purpose `measure`.

    Args:
        events: columns `pseudonym` (Binary), `signal`, `resource_id`, `topic` (String), `value` (Float64) and `at`
            (Datetime in UTC, or Int64 microseconds). Pseudonyms differ from run to run and are never written out.
        name: what reports call it.

    Raises:
        DatasetError: when a column is missing, or nobody has granted anything.
    """
    source = name
    _require(events, ["pseudonym", "signal", "resource_id", "topic", "value", "at"], source)
    if events.is_empty():
        raise DatasetError(
            f"{source}: there are none; nobody has granted a signal for `measure`, or no event has come in yet"
        )
    at = events["at"]
    mine = events.select(
        user=pl.col("pseudonym").bin.encode("hex"),
        item=pl.col("resource_id").cast(pl.String),
        signal=_signals(events, "signal", None, source),
        at=at if at.dtype == pl.Int64 else _times(events, "at", "us", source),
        value=pl.col("value").cast(pl.Float64),
        topic=pl.col("topic").cast(pl.String),
    )
    return _tidy(mine, name)


def _tidy(events: pl.DataFrame, name: str) -> Dataset:
    unique = events.unique().sort("at", "user", "item", "signal", "value", "topic")
    return Dataset(name, unique, len(events) - len(unique))


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DatasetError(f"{path}: is empty (0 bytes)")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(_text(path), infer_schema=False, truncate_ragged_lines=False)
    except pl.exceptions.NoDataError:
        raise DatasetError(f"{path}: is empty") from None
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        if path.suffix != ".parquet" and (ragged := _ragged(path)):
            raise DatasetError(ragged) from error
        kind = "Parquet" if path.suffix == ".parquet" else "CSV in UTF-8"
        raise DatasetError(f"{path}: cannot be read as {kind}: {str(error).splitlines()[0]}") from error


def _text(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _ragged(path: Path) -> str | None:
    """Say which row of a CSV has more fields than its header, which polars refuses without telling the row."""
    try:
        rows = csv.reader(io.StringIO(_text(path).decode()))
        width = len(next(rows))
        found = next(
            ((row, len(fields)) for row, fields in enumerate(rows, start=1) if len(fields) > width), None
        )
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, StopIteration):
        return None
    return (
        None
        if found is None
        else f"{Where(str(path), row=found[0])}: has {found[1]} fields; the header has {width}"
    )


def _require(frame: pl.DataFrame, names: list[str], source: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DatasetError(
            f"{Where(source, missing[0])}: is missing; the columns are {', '.join(map(repr, frame.columns))}"
        )


def _refuse(bad: pl.Series, shown: pl.Series, column: str, source: str, wanted: str) -> None:
    """Raise for the first row where `bad` is true."""
    index = bad.arg_max() if bad.any() else None
    if index is not None:
        raise DatasetError(f"{Where(source, column, index + 1)}: {shown[index]!r} is not {wanted}")


def _ids(raw: pl.DataFrame, column: str, source: str) -> pl.Series:
    ids = raw[column].cast(pl.String)
    _refuse((ids.is_null() | (ids == "")).fill_null(value=True), ids, column, source, "an id")
    return ids


def _values(raw: pl.DataFrame, column: str | None, source: str) -> pl.Series:
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


def _signals(
    raw: pl.DataFrame, column: str | None, signals: Mapping[str, str] | None, source: str
) -> pl.Series:
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


def _times(raw: pl.DataFrame, column: str, unit: TimeUnit, source: str) -> pl.Series:
    found = raw[column]
    if isinstance(found.dtype, pl.Datetime):
        zoned = found.dt.convert_time_zone("UTC") if found.dtype.time_zone else found
        at = zoned.cast(pl.Datetime("us", zoned.dtype.time_zone)).cast(pl.Int64)  # type: ignore[attr-defined]  # a Datetime by the line before
    elif found.dtype == pl.Date:
        at = found.cast(pl.Datetime("us")).cast(pl.Int64)
    else:
        text = found.cast(pl.String)
        whole = text.str.contains(_WHOLE).fill_null(value=False)
        at = _from_numbers(text, unit) if whole.any() and whole[0] else _from_iso(text)
    _refuse(
        at.is_null(),
        found,
        column,
        source,
        "a time (a whole number, or ISO 8601 like 2026-01-31T08:00:00Z; one kind in a file)",
    )
    return at


def _from_numbers(text: pl.Series, unit: TimeUnit) -> pl.Series:
    number = text.set(~text.str.contains(_WHOLE).fill_null(value=False), None).cast(pl.Int64)
    largest = int(number.abs().max())  # type: ignore[arg-type]  # at least one is a number, so the largest is an int
    auto = "s" if largest < 10**11 else "ms" if largest < 10**14 else "us" if largest < 10**17 else "ns"
    times, per = _MICROSECONDS[auto if unit == "auto" else unit]
    return number * times // per


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
