"""What models are asked: fit on this, then say what these people take up next.

A `Validation` may be asked as often as choosing needs. An `Exam` holds the test part and takes each name once; what
chooses is only ever handed a `Validation`, which was cut from train and knows nothing of the test.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evaluation.errors import EmptySplitError, ExamTakenError
from evaluation.interactions import Indices, Interactions
from evaluation.ranking import Lists, Model, judged, lists
from evaluation.splits import Split


@dataclass(frozen=True, eq=False)
class Problem:
    """Interactions to fit on, what is known of the people who ask, and what they took up after it.

    Attributes:
        train: what models are fitted on.
        known: what is known of people when they ask; the same object as `train` where these are the same.
        wanted: (known users, I) ones at what came after.
        people: (U,) indices into the users of `known`: those with something wanted.
    """

    train: Interactions
    known: Interactions
    wanted: csr_array
    people: Indices

    @classmethod
    def of(cls, split: Split, catalogue: tuple[str, ...]) -> Self:
        """Number users and items. People of whom nothing is known, or with nothing wanted, are not measured.

        Args:
            split: a division whose audit has passed.
            catalogue: (I,) every item that can be recommended, sorted.

        Raises:
            EmptySplitError: nobody can be measured.
        """
        train = Interactions.of(split.train, _users(split.train), catalogue)
        same = split.known is split.train
        known = train if same else Interactions.of(split.known, _users(split.known), catalogue)
        wanted = Interactions.of(split.test, known.users, catalogue).matrix
        people = np.flatnonzero(np.diff(wanted.indptr)).astype(np.intp)
        if not len(people):
            raise EmptySplitError(
                "nobody has events before the cut and something new after it, so nobody can be measured"
            )
        return cls(train, known, wanted, people)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is learned from, what is known, and what is wanted."""
        wanted = np.stack(self.wanted.tocoo().coords).astype("<i8").tobytes()
        parts = self.train.digest + self.known.digest
        return hashlib.sha256(parts.encode() + wanted).hexdigest()

    def _lists(self, model: Model, depth: int, seed: int, name: str) -> Lists:
        return lists(model, self.known, self.wanted, self.people, depth, seed, name)


class Validation(Problem):
    """Cut from train; may be asked again and again."""

    def ask(self, model: Model, depth: int, seed: int, name: str) -> Lists:
        """Rank the catalogue for the people by a fitted model; see `evaluation.ranking.lists`."""
        return self._lists(model, depth, seed, name)


@dataclass(frozen=True, eq=False)
class Exam(Problem):
    """The test part. Each name is taken once."""

    _taken: set[str] = field(default_factory=set)

    def sit(self, model: Model, depth: int, seed: int, name: str) -> Lists:
        """Rank the catalogue for the people by a fitted model.

        Raises:
            ExamTakenError: a model of this name was measured on this test before.
        """
        self._take(name)
        return self._lists(model, depth, seed, name)

    def recall(self, items: NDArray[np.intp], name: str) -> Lists:
        """Judge lists (U, k) that a model of this name made on this exam before, and that were kept.

        Raises:
            ExamTakenError: as `sit`.
        """
        self._take(name)
        return judged(items, self.wanted[self.people])

    def _take(self, name: str) -> None:
        if name in self._taken:
            raise ExamTakenError(
                f"{name} was measured on this test before; what is chosen is chosen on validation"
            )
        self._taken.add(name)


def _users(events: pl.DataFrame) -> tuple[str, ...]:
    return tuple(sorted(events["user"].unique()))
