"""Every model's scores become ranked lists in the same way: the whole catalogue, without what the person already took up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evaluation.errors import ScoreError
from evaluation.interactions import Indices, Interactions

BATCH = 1_024
NOTHING = -1
"""Stands in a list where the catalogue has no further item for this person."""


class Model(Protocol):
    """What can be compared: fitted on some interactions, then asked about people, whom it may or may not have seen."""

    def fit(self, train: Interactions) -> Self:
        """Learn from `train`, forgetting whatever was learned before; return itself."""

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.floating]:
        """Score the whole catalogue: (len(users), I) finite numbers, more is better.

        Args:
            known: what is known of people now, over the same items as what was fitted; its users may be others.
            users: indices into the users of `known`.
        """


@runtime_checkable
class Iterative(Model, Protocol):
    """A model that learns in rounds and can be asked between them."""

    def rounds(self, train: Interactions) -> Iterator[int]:
        """Learn as `fit` does, pausing now and then; yields how many epochs are done at each pause, `fit` at the last."""


@dataclass(frozen=True, eq=False)
class Lists:
    """Ranked lists of U people with what came true of them.

    Attributes:
        items: (U, k) indices of items, the best first; `NOTHING` where there are fewer than k.
        hits: (U, k) whether the item was taken up in the test part.
        positives: (U,) how many items the person took up in the test part, at least 1.
        catalogue: how many items there are.
    """

    items: NDArray[np.intp]
    hits: NDArray[np.bool_]
    positives: NDArray[np.int64]
    catalogue: int

    def part(self, people: slice) -> "Lists":
        """The lists of some of the people."""
        return Lists(self.items[people], self.hits[people], self.positives[people], self.catalogue)


def lists(
    model: Model, known: Interactions, wanted: csr_array, users: Indices, k: int, seed: int, name: str
) -> Lists:
    """Rank the catalogue for `users` by a fitted model, without what each is known to have taken up.

    Args:
        model: a fitted model.
        known: what is known of people; the model sees it, and what they took up in it is left out of the lists.
        wanted: (known users, I) what was taken up in the test part.
        users: (U,) indices of the people, each with something wanted.
        k: length of the lists.
        seed: of the order among equal scores, the same for every model.
        name: of the model, for messages.

    Raises:
        ScoreError: scores of a wrong shape, or not finite.
    """
    order = np.random.default_rng(seed).permutation(wanted.shape[1])
    items = np.concatenate([_ranked(model, known, batch, k, order, name) for batch in _batches(users)])
    return judged(items, wanted[users])


def judged(items: NDArray[np.intp], wanted: csr_array) -> Lists:
    """Lists (U, k) of items beside what was wanted, (U, I)."""
    rows = np.repeat(np.arange(len(items)), items.shape[1])
    truth = np.asarray(wanted[rows, np.maximum(items, 0).ravel()]).reshape(items.shape) > 0
    return Lists(items, truth & (items != NOTHING), np.diff(wanted.indptr).astype(np.int64), wanted.shape[1])


def _batches(users: Indices) -> Iterator[Indices]:
    for start in range(0, len(users), BATCH):
        yield users[start : start + BATCH]


def _ranked(
    model: Model, known: Interactions, users: Indices, k: int, order: NDArray[np.intp], name: str
) -> NDArray[np.intp]:
    scores = np.asarray(model.scores(known, users))
    if scores.shape != (len(users), len(order)):
        raise ScoreError(
            f"{name}: scores have the shape {scores.shape}, not (users, items) = {(len(users), len(order))}"
        )
    if not np.isfinite(scores).all():
        raise ScoreError(f"{name}: {int((~np.isfinite(scores)).sum()):,} scores are not finite numbers")
    scores = np.array(scores, dtype=np.float64)
    past = known.matrix[users].tocoo()
    scores[past.row, past.col] = -np.inf
    return top(scores, k, order)


def top(scores: NDArray[np.float64], k: int, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find the k best items of each row.

    Args:
        scores: (rows, I); minus infinity is never listed.
        k: length of the lists.
        order: (I,) a permutation of the items; of equal scores the one that is earlier here comes first, so that no
            model gains from the order of ids.

    Returns:
        (rows, k) indices of items, `NOTHING` after the last.
    """
    shuffled = scores[:, order]
    rows, width = shuffled.shape
    length = min(k, width)
    best = np.argpartition(shuffled, width - length, axis=1)[:, width - length :]
    last = np.take_along_axis(shuffled, best, axis=1).min(axis=1, keepdims=True)
    tied = np.flatnonzero(
        (shuffled >= last).sum(axis=1) > length
    )  # there the partition chose among equals as it liked
    if len(tied):
        best[tied] = np.argsort(-shuffled[tied], axis=1, kind="stable")[:, :length]
    best.sort(axis=1)
    by_score = np.argsort(-np.take_along_axis(shuffled, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, by_score, axis=1)
    listed = np.take_along_axis(shuffled, best, axis=1) > -np.inf
    found = np.full((rows, k), NOTHING, dtype=np.intp)
    found[:, :length] = np.where(listed, order[best], NOTHING)
    return found
