"""The catalogue in and out: JSON Lines, CSV, and the folder that is shipped with the project.

Readers give everything that is good and every row that is not, each by line, field and reason; what to do with the
good rows of a file that has bad ones is the caller's to decide (the API and the CLI import nothing of it).
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from recommender.catalog import Resource
from recommender.errors import RecommenderError

SHIPPED: Final = Path(__file__).parent / "shipped"
MOST_ERRORS: Final = 1000
"""How much may be wrong before reading stops."""
LONGEST_LINE: Final = 1_000_000
"""Characters of one row; the longest resource takes some 200,000, escapes included."""

_LISTS: Final = ("topics", "languages", "regions", "content_warnings", "contraindications")
_NUMBERS: Final = ("minutes", "editorial_rank")
_SOURCE: Final = ("source_name", "source_url", "source_kind")
COLUMNS: Final = (
    *(name for name in Resource.model_fields if name != "source"),
    *_SOURCE,
)
"""The columns of a CSV file; lists are joined by `|`, an empty cell is a missing value."""


@dataclass(frozen=True, slots=True)
class RowError:
    """One thing that is wrong with one row; `line` counts from 1, `field` is empty for the row as a whole."""

    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file gave."""

    resources: tuple[Resource, ...]
    errors: tuple[RowError, ...]


class BadCatalog(RecommenderError):
    """A catalogue on disk has errors; they are in `errors`, each file's by its path."""

    def __init__(self, errors: dict[str, tuple[RowError, ...]]) -> None:
        self.errors = errors
        told = (
            f"{path}: {each.field or 'row'}: {each.message}"
            for path, each_of in errors.items()
            for each in each_of
        )
        super().__init__("; ".join(told))


def read_jsonl(lines: Iterable[str]) -> Reading:
    """Read one resource per line, until too much is wrong; empty lines are skipped, an id that comes twice is an error."""
    return _read((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def read_csv(lines: Iterable[str]) -> Reading:
    """Read CSV with a header (RFC 4180); columns may be in any order, and optional ones may be missing.

    Args:
        lines: a file opened with `newline=""`, or `io.StringIO(text, newline="")`.
    """
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        return Reading((), (RowError(1, "", str(error)),))
    header = [name.removeprefix("\ufeff").strip() for name in header]
    wrong = [
        RowError(1, name[:64], "is no column of the catalogue") for name in header if name not in COLUMNS
    ]
    wrong += [
        RowError(1, name, "comes twice")
        for name in sorted({each for each in header if header.count(each) > 1})
    ]
    if wrong or not header:
        return Reading((), tuple(wrong[:MOST_ERRORS]) or (RowError(1, "", "the header is missing"),))
    broken: list[RowError] = []
    good = _read(_csv_rows(reader, header, broken))
    return Reading(good.resources, tuple(sorted((*good.errors, *broken), key=lambda each: each.line)))


def write_jsonl(resources: Iterable[Resource]) -> Iterator[str]:
    """One line per resource, with its line end."""
    for resource in resources:
        yield resource.model_dump_json() + "\n"


def write_csv(resources: Iterable[Resource]) -> Iterator[str]:
    """The header and one row per resource, with their line ends; `read_csv` gives the same resources back."""
    line: list[str] = []
    writer = csv.writer(_Into(line))
    writer.writerow(COLUMNS)
    yield line.pop()
    for resource in resources:
        row = resource.model_dump(mode="json")
        row |= {name: "|".join(row[name]) for name in _LISTS}
        source = row.pop("source") or {}
        row |= {f"source_{name}": value for name, value in source.items()}
        writer.writerow(["" if row.get(name) is None else row[name] for name in COLUMNS])
        yield line.pop()


def shipped(folder: Path = SHIPPED) -> tuple[Resource, ...]:
    """The catalogue of a folder: Markdown files with YAML front matter in a folder per language, and pointers.yaml.

    Raises:
        BadCatalog: with every error of every file.
    """
    found: dict[str, Resource] = {}
    errors: dict[str, tuple[RowError, ...]] = {}
    for path, number, entry in _shipped_entries(folder):
        resource, wrong = _checked(number, json.dumps(entry, default=str))
        if resource is not None and resource.id in found:
            wrong = (RowError(number, "id", "is that of another resource"),)
        if wrong:
            errors[path] = (*errors.get(path, ()), *wrong)
        elif resource is not None:
            found[resource.id] = resource
    for resource in found.values():
        if resource.translation_of is not None and resource.translation_of not in found:
            errors[resource.id] = (RowError(1, "translation_of", "is the id of no resource"),)
    if errors:
        raise BadCatalog(errors)
    return tuple(sorted(found.values(), key=lambda each: each.id))


def _shipped_entries(folder: Path) -> Iterator[tuple[str, int, object]]:
    """Path, number within the file, and content of each entry; what cannot be read at all comes as its own text."""
    for path in sorted(folder.glob("*/*.md")):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        _, fence, rest = text.partition("---\n")
        front, closing, body = rest.partition("\n---\n")
        fields = _yaml(front) if fence and closing else None
        if isinstance(fields, dict) and fields.get("url") is None:
            fields = {**fields, "body": body.strip()}
        yield name, 1, fields
    pointers = folder / "pointers.yaml"
    if pointers.exists():
        entries = _yaml(pointers.read_text(encoding="utf-8"))
        for number, entry in enumerate(entries if isinstance(entries, list) else [None], start=1):
            yield pointers.name, number, entry


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _read(rows: Iterable[tuple[int, str]]) -> Reading:
    resources: dict[str, Resource] = {}
    errors: list[RowError] = []
    for number, text in rows:
        if len(errors) >= MOST_ERRORS:
            errors.append(_stopped(number))
            break
        resource, wrong = _checked(number, text)
        if resource is not None and resource.id in resources:
            wrong = (RowError(number, "id", "comes twice in this file"),)
        elif resource is not None:
            resources[resource.id] = resource
        errors += wrong
    return Reading(tuple(resources.values()), tuple(errors))


def _stopped(line: int) -> RowError:
    return RowError(line, "", "was not looked at any more: too much before it is wrong")


def _checked(line: int, text: str) -> tuple[Resource | None, tuple[RowError, ...]]:
    if len(text) > LONGEST_LINE:
        return None, (RowError(line, "", f"is longer than {LONGEST_LINE} characters"),)
    try:
        return Resource.model_validate_json(text), ()
    except ValidationError as error:
        return None, tuple(
            RowError(line, _field(each["loc"]), _message(each))
            for each in error.errors(include_url=False, include_input=False)
        )


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)[:64]


def _message(error: Any) -> str:
    """Pydantic's words, without the bits of the input that a JSON error repeats."""
    if error["type"] == "json_invalid":
        return "is not valid JSON"
    return str(error["msg"]).removeprefix("Value error, ")


def _csv_rows(reader: Any, header: list[str], broken: list[RowError]) -> Iterator[tuple[int, str]]:
    """Each good row with its first line, as JSON; rows that are no rows go to `broken`."""
    while len(broken) < MOST_ERRORS:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            broken.append(RowError(line, "", str(error)))
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(header):
            broken.append(RowError(line, "", f"has {len(cells)} cells and not {len(header)}"))
            continue
        yield line, json.dumps(_from_cells(dict(zip(header, cells, strict=True))))
    broken.append(_stopped(reader.line_num + 1))


def _from_cells(cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell != "" and name not in _SOURCE}
    for name in row.keys() & set(_LISTS):
        row[name] = row[name].split("|")
    for name in row.keys() & set(_NUMBERS):
        row[name] = (
            int(row[name])
            if row[name].isascii() and row[name].isdigit() and len(row[name]) < 10
            else row[name]
        )
    source = {name.removeprefix("source_"): cells[name] for name in _SOURCE if cells.get(name)}
    return row | ({"source": source} if source else {})


class _Into:
    """What csv.writer writes to: each row becomes one entry of a list."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def write(self, text: str) -> int:
        self._lines.append(text)
        return len(text)
