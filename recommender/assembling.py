"""The task that reads and trains one shard, and what puts shards together as a release."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from recommender.errors import NotEnoughData
from recommender.fitting import Fitted, Rows, fit
from recommender.history import History
from recommender.parts import Part
from recommender.progress import Progress
from recommender.release import (
    Check,
    Manifest,
    Recipe,
    Release,
    features_digest,
    release_digest,
)

Source = Callable[[Part], History]
"""Reads the consented events of a part of the people. Picklable, when shards are trained in other processes."""


@dataclass(frozen=True, eq=False)
class Given:
    """Events that are at hand, as a source."""

    history: History

    def __call__(self, part: Part) -> History:
        """Return the events of these people."""
        return self.history.of(part.holds(self.history.seeds))


@dataclass(frozen=True)
class ShardTask:
    """Train one shard; None when its rows are still those of `unless` (a root), so that there is nothing to do."""

    source: Source
    part: Part
    recipe: Recipe
    before: int | None = None
    unless: str | None = None

    def __call__(self, progress: Progress) -> Fitted | None:
        """Read and train."""
        history = self.source(self.part)
        if self.before is not None:
            history = history.before(self.before)
        rows = Rows.of(history, self.recipe)
        root = rows.commitments(self.recipe.key).root
        return None if root.hex() == self.unless else fit(rows, self.recipe, root, progress)


def present(made: Fitted | None) -> Fitted:
    """Return a shard that has to be there.

    Raises:
        ValueError: it was left as it is.
    """
    if made is None:
        raise ValueError("a shard was left as it is, and there is none")
    return made


def assembled(shards: Sequence[Fitted], recipe: Recipe, now: datetime, check: Check | None = None) -> Release:
    """Put a release together.

    Raises:
        NotEnoughData: no shard learned anything.
    """
    if all(each.shard.is_empty for each in shards):
        raise NotEnoughData("nobody took up one resource after another, or all took up the same one")
    records, names = (
        tuple(each.record for each in shards),
        features_digest(recipe.features, recipe.resource_topics),
    )
    manifest = Manifest(
        digest=release_digest(recipe.config, names, [record.digest for record in records]),
        config=recipe.config,
        features_digest=names,
        shards=records,
        check=check,
        libraries=libraries(),
        created_at=now,
    )
    return Release(tuple(each.shard for each in shards), recipe.features, recipe.resource_topics, manifest)


def libraries() -> dict[str, str]:
    """Return the versions of what computes the arrays: others may round otherwise."""
    return {name: version(name) for name in ("lightfm-next", "numpy", "scipy")}
