"""What is known of items: an app's catalogue gives their topics, languages and kinds, and what they ask of people."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evaluation.datasets import Dataset
from evaluation.errors import DatasetError
from recommender.catalog import Resource
from recommender.exchange import read_csv, read_jsonl


def shelved(dataset: Dataset, resources: Sequence[Resource]) -> Dataset:
    """The data set with a catalogue: what is in it can be recommended, also what nobody used."""
    return replace(
        dataset,
        item_topics={each.id: each.topics for each in resources},
        item_traits={
            "language": {each.id: ", ".join(sorted(each.languages)) for each in resources if each.languages},
            "kind": {each.id: str(each.kind) for each in resources},
        },
        catalogue=tuple(each.id for each in resources),
        resources=tuple(resources),
    )


def resources_of(path: Path) -> tuple[Resource, ...]:
    """Read a catalogue as `assent catalog export` writes it: JSON Lines, or CSV where the name ends so.

    Raises:
        DatasetError: naming the file, and the line and the field that are wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            found = read_csv(lines) if path.suffix == ".csv" else read_jsonl(lines)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no text in UTF-8 (byte {error.object[error.start]:#04x})") from None
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from None
    if found.errors:
        wrong = found.errors[0]
        field = f", field {wrong.field!r}" if wrong.field else ""
        raise DatasetError(f"{path}, line {wrong.line:,}{field}: {wrong.message}")
    if not found.resources:
        raise DatasetError(f"{path}: has no resources")
    return found.resources
