"""Does a release hold what it says? Its training rows are made again from the consented events, and compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from recommender.commitments import Proof, tag_of
from recommender.fitting import Rows, fit
from recommender.parts import bucket_of, shard_of, shard_part
from recommender.release import Recipe, Release
from recommender.training import Source


@dataclass(frozen=True)
class ShardVerdict:
    """What came out for one shard. `arrays` is None when it was not trained again."""

    number: int
    rows: bool
    arrays: bool | None


def verify(source: Source, release: Release, key: bytes, *, train: bool) -> Sequence[ShardVerdict]:
    """Compare every shard with the events: its rows' root, and, when asked, its arrays after training again."""
    recipe = _recipe(release, key)
    verdicts = []
    for number, record in enumerate(release.manifest.shards):
        rows = Rows.of(source(shard_part(number, len(release.shards))), recipe)
        root = rows.commitments(key).root
        arrays = fit(rows, recipe, root).record.digest == record.digest if train else None
        verdicts.append(ShardVerdict(number, root.hex() == record.rows_root, arrays))
    return verdicts


class NotTheRows(ValueError):
    """The consented events no longer give the rows that a shard learned from, so nothing can be proved of it."""


def prove(source: Source, release: Release, key: bytes, pseudonym: bytes) -> tuple[int, Proof]:
    """Prove that a shard learned from a person, or that it did not; return its number and the proof.

    Raises:
        NotTheRows: events of somebody in that shard came, went or changed since it was trained.
    """
    shards = len(release.shards)
    number = shard_of(bucket_of(pseudonym), shards)
    made = Rows.of(source(shard_part(number, shards)), _recipe(release, key)).commitments(key)
    if made.root.hex() != release.manifest.shards[number].rows_root:
        raise NotTheRows(f"shard {number} was trained on other events than are there now")
    return number, made.prove(tag_of(int.from_bytes(pseudonym[:8]), key))


def _recipe(release: Release, key: bytes) -> Recipe:
    return Recipe(release.features, release.resource_topics, release.manifest.config, key)
