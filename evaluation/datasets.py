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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl
from pydantic import BaseModel, ConfigDict

from evaluation.columns import TimeUnit, ids_of, require, signals_of, times_of, values_of
from evaluation.errors import DatasetError, Where
from recommender.catalog import Resource
from recommender.query import HistoryEvent

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


_NO_GENRES = ("", "(no genres listed)")


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


class Answer(Protocol):
    """Asks the service what it would answer somebody now: the body of `POST /v1/recommendations`."""

    def __call__(
        self, history: Sequence[HistoryEvent], granted: Collection[str], *, limit: int, locale: str | None
    ) -> Mapping[str, Any]:
        """Answer from events, newest first, and the signals that are granted, both as far as they may be measured."""


@dataclass(frozen=True)
class Dataset:
    """Events with the name they go by in reports.

    Attributes:
        name: what reports call it.
        events: as at the top of this module.
        duplicates: how many rows were left out because another row was equal in every column.
        item_topics: the topics of each item, where they are known.
        item_traits: by `language` and `kind`, each item's own, where it is known; people are told apart by it.
        catalogue: items that can be recommended beside those with events.
        grants: the signals that each user granted for `measure`, used or not; None where the source does not say.
        resources: the app's catalogue, where it is known; whether lists are safe to show can then be told.
        answer: what the service would answer people now, where there is a service.
        personal: these are people's own data: no copy of it, nor of what was computed from it, may stay on a disk.
    """

    name: str
    events: pl.DataFrame
    duplicates: int = 0
    item_topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    item_traits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    catalogue: tuple[str, ...] = ()
    grants: Mapping[str, frozenset[str]] | None = None
    resources: tuple[Resource, ...] = ()
    answer: Answer | None = None
    personal: bool = False


def deskdrop(path: Path) -> Dataset:
    """Read Deskdrop's `users_interactions.csv(.gz)`; the event types become signals by `DESKDROP_SIGNALS`."""
    columns = Columns(user="personId", item="contentId", at="timestamp", signal="eventType", time_unit="s")
    kinds = {kind: signal for kind, (signal, _) in DESKDROP_SIGNALS.items()}
    found = table(path, columns, signals=kinds, name="Deskdrop")
    values = {signal: value for signal, value in DESKDROP_SIGNALS.values() if value is not None}
    valued = pl.col("signal").replace_strict(values, default=None, return_dtype=pl.Float64)
    return Dataset(found.name, found.events.with_columns(value=valued), found.duplicates)


def movielens(folder: Path) -> Dataset:
    """Read a MovieLens folder (`ratings.csv` or `ratings.csv.gz`); each rating is an event of `ratings` with its stars.

    Where `movies.csv` is beside it, the genres are the items' topics.
    """
    paths = [folder / name for name in ("ratings.csv", "ratings.csv.gz")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DatasetError(f"{folder}: has neither ratings.csv nor ratings.csv.gz")
    columns = Columns(user="userId", item="movieId", at="timestamp", value="rating", time_unit="s")
    found = table(path, columns, name=folder.resolve().name)
    rated = found.events.with_columns(signal=pl.lit("ratings"))
    return Dataset(found.name, rated, found.duplicates, _genres(folder / "movies.csv"))


def _genres(path: Path) -> dict[str, tuple[str, ...]]:
    """Each film's genres; nothing where there is no such file."""
    if not path.is_file():
        return {}
    raw = read(path)
    require(raw, ["movieId", "genres"], str(path))
    films = zip(ids_of(raw, "movieId", str(path)), raw["genres"].fill_null(""), strict=True)
    return {film: tuple(sorted(set(genres.split("|")))) for film, genres in films if genres not in _NO_GENRES}


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
    return frame(read(path), columns, signals=signals, name=name or path.name.split(".")[0], source=str(path))


def frame(
    raw: pl.DataFrame,
    columns: Columns | None = None,
    *,
    signals: Mapping[str, str] | None = None,
    name: str = "events",
    source: str = "the frame of events",
) -> Dataset:
    """Take over any polars frame that has a row for each event.

    Args:
        raw: the rows; ids are anything that can be text.
        columns: which column is what.
        signals: as in `table`.
        name: what reports call it.
        source: what messages call it.

    Raises:
        DatasetError: naming the source, the column and the first row that is wrong.
    """
    columns = columns or Columns()
    if columns.signal is None and "signal" in raw.columns:
        columns = columns.model_copy(update={"signal": "signal"})
    named = (columns.user, columns.item, columns.at, columns.signal, columns.value, columns.topic)
    require(raw, [column for column in named if column], source)
    if raw.is_empty():
        raise DatasetError(f"{source}: has a header and no events")
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
    return tidy(events, name)


def tidy(events: pl.DataFrame, name: str) -> Dataset:
    """Take over events in the columns of `SCHEMA`: rows that repeat another are left out and counted, the others ordered."""
    unique = events.unique().sort("at", "user", "item", "signal", "value", "topic")
    return Dataset(name, unique, len(events) - len(unique))


def read(path: Path, encoding: str = "utf-8") -> pl.DataFrame:
    """Read a CSV (also gzipped), all cells as text, or a Parquet file.

    Raises:
        DatasetError: naming the file, and the row where one can be told.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DatasetError(f"{path}: is empty (0 bytes)")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(_text(path, encoding), infer_schema=False, truncate_ragged_lines=False)
    except pl.exceptions.NoDataError:
        raise DatasetError(f"{path}: is empty") from None
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        if path.suffix != ".parquet" and (told := _undecodable(path, encoding) or _ragged(path, encoding)):
            raise DatasetError(told) from error
        kind = "Parquet" if path.suffix == ".parquet" else f"CSV in {encoding.upper()}"
        raise DatasetError(f"{path}: cannot be read as {kind}: {str(error).splitlines()[0]}") from error


def _undecodable(path: Path, encoding: str) -> str | None:
    """Say which row has bytes that are no text of this encoding."""
    try:
        content = _text(path, encoding)
        content.decode()
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start)
        where = f"row {row:,}" if row else "the header"
        return f"{path}: cannot be read as CSV in {encoding.upper()}: {where} has byte {content[error.start]:#04x}"
    except (OSError, EOFError):
        return None
    return None


def _text(path: Path, encoding: str) -> bytes:
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return content if encoding == "utf-8" else content.decode(encoding).encode()


def _ragged(path: Path, encoding: str) -> str | None:
    """Say which row of a CSV has more fields than its header, which polars refuses without telling the row."""
    try:
        rows = csv.reader(io.StringIO(_text(path, encoding).decode()))
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
