import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import datasets
from evaluation.columns import times_of
from evaluation.datasets import Columns
from evaluation.errors import DatasetError

GOOD = "user,item,time,signal\na,x,1700000000,views\nb,y,1700000001,saves\n"
COLUMNS = Columns(signal="signal")
DATA = Path(__file__).parents[3] / "shared" / "data"


def written(folder: Path, text: str, name: str = "events.csv") -> Path:
    """Write a file into a folder."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path, columns: Columns = COLUMNS) -> str:
    """What is said when a table is refused."""
    with pytest.raises(DatasetError) as caught:
        datasets.table(path, columns)
    return str(caught.value)


class TestTable:
    def test_reads_csv(self, tmp_path: Path) -> None:
        """A CSV becomes events with whole microseconds, under the file's own ids."""
        found = datasets.table(written(tmp_path, GOOD), COLUMNS)
        assert found.name == "events"
        assert found.events.rows() == [
            ("a", "x", "views", 1_700_000_000_000_000, None, None),
            ("b", "y", "saves", 1_700_000_001_000_000, None, None),
        ]
        assert dict(found.events.schema) == datasets.SCHEMA

    def test_gzip_and_parquet_give_the_same(self, tmp_path: Path) -> None:
        """The same events come out of CSV, gzipped CSV and Parquet with typed columns."""
        plain = datasets.table(written(tmp_path, GOOD), COLUMNS).events
        packed = tmp_path / "events.csv.gz"
        packed.write_bytes(gzip.compress(GOOD.encode()))
        typed = tmp_path / "events.parquet"
        times = [datetime(2023, 11, 14, 22, 13, second, tzinfo=UTC) for second in (20, 21)]
        frame = pl.DataFrame(
            {"user": ["a", "b"], "item": ["x", "y"], "time": times, "signal": ["views", "saves"]}
        )
        frame.write_parquet(typed)
        assert datasets.table(packed, COLUMNS).events.equals(plain)
        assert datasets.table(typed, COLUMNS).events.equals(plain)

    def test_the_order_of_lines_changes_nothing(self, tmp_path: Path) -> None:
        """Two files with the same lines in another order give equal frames."""
        head, *lines = GOOD.splitlines()
        turned = "\n".join([head, *reversed(lines)])
        assert datasets.table(written(tmp_path, turned), COLUMNS).events.equals(
            datasets.table(written(tmp_path, GOOD, "other.csv"), COLUMNS).events
        )

    def test_rows_that_repeat_another_are_counted(self, tmp_path: Path) -> None:
        """A row equal to another in every column is left out and counted."""
        found = datasets.table(written(tmp_path, GOOD + "a,x,1700000000,views\n"), COLUMNS)
        assert (len(found.events), found.duplicates) == (2, 1)

    def test_without_a_signal_column_all_are_views(self, tmp_path: Path) -> None:
        """A table without a column of signals is a table of views."""
        found = datasets.table(written(tmp_path, GOOD.replace("signal", "device")), Columns())
        assert found.events["signal"].unique().to_list() == ["views"]

    def test_a_column_called_signal_is_read_unasked(self, tmp_path: Path) -> None:
        """Where the configuration names no column, the one called `signal` is taken."""
        found = datasets.table(written(tmp_path, GOOD))
        assert found.events["signal"].to_list() == ["views", "saves"]

    def test_translates_signals(self, tmp_path: Path) -> None:
        """A file's own words for signals are translated."""
        path = written(tmp_path, "user,item,time,signal\na,x,1700000000,click\n")
        found = datasets.table(path, COLUMNS, signals={"click": "views"})
        assert found.events["signal"].to_list() == ["views"]


class TestRefusals:
    def test_no_file(self, tmp_path: Path) -> None:
        """A path with no file says so."""
        assert refusal(tmp_path / "none.csv") == f"{tmp_path / 'none.csv'}: there is no such file"

    @pytest.mark.parametrize("name", ["empty.csv", "empty.csv.gz", "empty.parquet"])
    def test_empty_file(self, tmp_path: Path, name: str) -> None:
        """A file of 0 bytes says so, whatever its kind."""
        assert refusal(written(tmp_path, "", name)).endswith(f"{name}: is empty (0 bytes)")

    def test_header_alone(self, tmp_path: Path) -> None:
        """A file with a header and nothing else says so."""
        assert "has a header and no events" in refusal(written(tmp_path, "user,item,time,signal\n"))

    def test_missing_column(self, tmp_path: Path) -> None:
        """A missing column is named beside those that are there."""
        message = refusal(written(tmp_path, "user,thing,time,signal\na,x,1,views\n"))
        assert "events.csv, column 'item': is missing" in message
        assert "'thing'" in message

    @pytest.mark.parametrize("bad", ["yesterday", "", "2026-13-01", "2026-01-01T25:00:00Z", "1.5", "9" * 18])
    def test_unparsable_time(self, tmp_path: Path, bad: str) -> None:
        """A time that cannot be read is refused by file, column and row."""
        rows = "".join(f"a,x{n},170000000{n},views\n" for n in range(5))
        path = written(tmp_path, f"user,item,time,signal\n{rows}a,x,{bad},views\n")
        assert "events.csv, column 'time', row 6: " in refusal(path, Columns(signal="signal", time_unit="s"))

    def test_unparsable_iso_time(self, tmp_path: Path) -> None:
        """In a file of ISO times the one that is none is named."""
        path = written(tmp_path, "user,item,time\na,x,2026-01-01\na,y,2026-02-30\n")
        assert "column 'time', row 2: '2026-02-30' is not a time" in refusal(path, Columns())

    def test_empty_ids(self, tmp_path: Path) -> None:
        """A row without a user or an item is refused by its number."""
        assert "column 'user', row 2" in refusal(
            written(tmp_path, "user,item,time\na,x,1\n,x,2\n"), Columns()
        )
        assert "column 'item', row 1" in refusal(
            written(tmp_path, "user,item,time\na,,1\na,x,2\n"), Columns()
        )

    def test_unknown_signal(self, tmp_path: Path) -> None:
        """A signal outside the catalogue is refused with those that there are."""
        message = refusal(written(tmp_path, GOOD + "c,z,1700000002,clicks\n"))
        assert "column 'signal', row 3: 'clicks' is not one of views, completions" in message

    @pytest.mark.parametrize("bad", ["five", "nan", "inf"])
    def test_value_that_is_no_number(self, tmp_path: Path, bad: str) -> None:
        """A value has to be a finite number or nothing."""
        path = written(tmp_path, f"user,item,time,stars\na,x,1,\na,y,2,{bad}\n")
        assert f"column 'stars', row 2: '{bad}' is not a number" in refusal(path, Columns(value="stars"))

    def test_ragged_row(self, tmp_path: Path) -> None:
        """A row with more fields than the header is named."""
        assert "events.csv, row 3: has 5 fields; the header has 4" in refusal(
            written(tmp_path, GOOD + "a,x,1,views,9\n")
        )

    @pytest.mark.parametrize(
        ("name", "kind"), [("e.csv", "CSV"), ("e.csv.gz", "CSV"), ("e.parquet", "Parquet")]
    )
    def test_bytes_of_no_such_format(self, tmp_path: Path, name: str, kind: str) -> None:
        """A file that is not what its name says is refused with its name."""
        (tmp_path / name).write_bytes(b"user,item,time\n\xff\xfe\x00,x,1\n")
        said = refusal(tmp_path / name, Columns())
        assert f"{name}: cannot be read as {kind}" in said
        assert ("row 1 has byte 0xff" in said) == (name == "e.csv")

    def test_movielens_folder_without_ratings(self, tmp_path: Path) -> None:
        """A folder that holds no ratings is refused with the names looked for."""
        with pytest.raises(DatasetError, match=r"has neither ratings.csv nor ratings.csv.gz"):
            datasets.movielens(tmp_path)

    def test_unknown_deskdrop_event(self, tmp_path: Path) -> None:
        """An event type that Deskdrop does not have is refused by row."""
        path = written(tmp_path, "timestamp,eventType,contentId,personId,sessionId\n1465413032,SHARE,1,2,3\n")
        with pytest.raises(DatasetError, match=r"column 'eventType', row 1: 'SHARE' is not one of VIEW"):
            datasets.deskdrop(path)


class TestTimes:
    @given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001  Hypothesis wants naive bounds
    def test_iso_times_are_exact(self, moment: datetime) -> None:
        """Reading back what Python writes gives the same microsecond."""
        expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution
        assert times_of(pl.DataFrame({"t": [moment.isoformat()]}), "t", "auto", "f").to_list() == [expected]

    @given(st.integers(-253_402_300_799, 253_402_300_799))
    def test_whole_seconds_are_exact(self, seconds: int) -> None:
        """Whole seconds become microseconds without passing through floats."""
        frame = pl.DataFrame({"t": [str(seconds)]})
        assert times_of(frame, "t", "s", "f").to_list() == [seconds * 1_000_000]

    @pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
    def test_units_are_told_apart_by_size(self, factor: int) -> None:
        """Seconds, milliseconds, microseconds and nanoseconds of one moment are the same moment."""
        frame = pl.DataFrame({"t": [1_700_000_000 * factor]})
        assert times_of(frame, "t", "auto", "f").to_list() == [1_700_000_000_000_000]

    def test_offsets_and_naive_times(self) -> None:
        """An offset is applied; a time without one is UTC."""
        frame = pl.DataFrame(
            {"t": ["1970-01-01T02:00:00+02:00", "1970-01-01 00:00", "1969-12-31T23:30:00-0030"]}
        )
        assert times_of(frame, "t", "auto", "f").to_list() == [0, 0, 0]


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the project")
class TestRealFiles:
    @pytest.mark.deskdrop
    def test_deskdrop(self) -> None:
        """Deskdrop's 72,312 rows are all accounted for, and each event type becomes its own signal."""
        found = datasets.deskdrop(DATA / "deskdrop" / "users_interactions.csv.gz")
        assert len(found.events) + found.duplicates == 72_312
        counts = dict(found.events["signal"].value_counts().rows())
        assert counts["ratings"] == 5_745
        assert set(counts) == {"views", "ratings", "saves", "completions", "groups"}
        assert found.events.filter(pl.col("signal") == "ratings")["value"].unique().to_list() == [5.0]

    def test_movielens(self) -> None:
        """All ratings of ml-latest-small are read with their stars."""
        found = datasets.movielens(DATA / "ml-latest-small")
        assert (len(found.events), found.events["user"].n_unique()) == (100_004, 671)
        assert found.events["value"].min() == 0.5
