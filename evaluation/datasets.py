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
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from evaluation.columns import TimeUnit, ids_of, require, signals_of, times_of, values_of
from evaluation.errors import DatasetError, Where

SCHEMA = {
    "user": pl.String(),
    "item": pl.String(),
    "signal": pl.String(),
    "at": pl.Int64(),
    "value": pl.Float64(),
    "topic": pl.String(),
}

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
    """The names of a table's columns. Where no signal column is named, one called `signal` is read if it is there."""

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

    Attributes:
        name: what reports call it.
        events: as at the top of this module.
        duplicates: how many rows were left out because another row was equal in every column.
        item_topics: the topics of each item, where they are known.
    """

    name: str
    events: pl.DataFrame
    duplicates: int = 0
    item_topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
        signals: from the file's words for signals to ours; without it the file uses ours. A file without a signal
            column is one of views.
        name: what reports call it; the file's name without endings otherwise.

    Raises:
        DatasetError: naming the file, the column and the first row that is wrong.
    """
    columns = columns or Columns()
    raw = _read(path)
    if columns.signal is None and "signal" in raw.columns:
        columns = columns.model_copy(update={"signal": "signal"})
    source = str(path)
    named = (columns.user, columns.item, columns.at, columns.signal, columns.value, columns.topic)
    require(raw, [column for column in named if column], source)
    if raw.is_empty():
        raise DatasetError(f"{path}: has a header and no events")
    no_topics = pl.Series([None] * len(raw), dtype=pl.String)
    events = pl.DataFrame(
        {
            "user": ids_of(raw, columns.user, source),
            "item": ids_of(raw, columns.item, source),
            "signal": signals_of(raw, columns.signal, signals, source),
            "at": times_of(raw, columns.at, columns.time_unit, source),
            "value": values_of(raw, columns.value, source),
            "topic": raw[columns.topic].cast(pl.String) if columns.topic else no_topics,
        },
        schema=SCHEMA,
    )
    return _tidy(events, name or path.name.split(".")[0])


def consented(
    events: pl.DataFrame,
    item_topics: Mapping[str, tuple[str, ...]] | None = None,
    name: str = "consented events",
) -> Dataset:
    """Take over what the store read through the gate for purpose `measure`.

    Args:
        events: as `recommender.store.granted_events` returns it: `pseudonym` (Binary), `signal`, `resource_id`,
            `topic` (String), `value` (Float64), `occurred_at` (Int64 microseconds).
        item_topics: the topics of each resource of the catalogue.
        name: what reports call it.

    Raises:
        DatasetError: when a column is missing, or nobody has granted anything.
    """
    require(events, ["pseudonym", "signal", "resource_id", "topic", "value", "occurred_at"], name)
    if events.is_empty():
        raise DatasetError(
            f"{name}: there are none; nobody has granted a signal for `measure`, or no event has come in"
        )
    ours = events.select(
        user=pl.col("pseudonym").bin.encode("hex"),
        item=pl.col("resource_id").cast(pl.String),
        signal=signals_of(events, "signal", None, name),
        at=pl.col("occurred_at").cast(pl.Int64),
        value=pl.col("value").cast(pl.Float64),
        topic=pl.col("topic").cast(pl.String),
    )
    return replace(_tidy(ours, name), item_topics=dict(item_topics or {}))


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
