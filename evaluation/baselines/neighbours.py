"""Item-kNN: what people with the same items took up as well."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from evaluation.interactions import Indices, Interactions

_BLOCK = 1_024


@dataclass(eq=False)
class ItemNeighbours:
    """Item-kNN with cosine similarity and shrinkage: score(i) = sum of sim(i, j) over what the person took up.

    sim(i, j) = together(i, j) / (sqrt(people(i) * people(j)) + shrinkage); of each item j only its `neighbours`
    most similar ones count.

    Sources: Sarwar, Karypis, Konstan and Riedl, "Item-based collaborative filtering", WWW 2001; shrinkage as in
    Ferrari Dacrema et al., "A troubling analysis of reproducibility and progress in recommender systems research",
    ACM TOIS 39(2), 2021.
    """

    neighbours: int
    shrinkage: float
    _near: csr_array = field(default=None, repr=False)

    def fit(self, train: Interactions) -> Self:
        """Find each item's neighbours, a block of items at a time."""
        matrix = train.matrix
        people = np.asarray(matrix.sum(axis=0), dtype=np.float64)
        blocks = [
            self._nearest(matrix, people, range(start, min(start + _BLOCK, len(people))))
            for start in range(0, len(people), _BLOCK)
        ]
        rows, columns, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        self._near = csr_array((values, (rows, columns)), shape=(len(people), len(people)))
        return self

    def _nearest(
        self, matrix: csr_array, people: np.ndarray, block: range
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and similarities of the neighbours of a block of items."""
        chosen = slice(block.start, block.stop)
        together = (matrix[:, chosen].T @ matrix).toarray().astype(np.float64)
        size = np.sqrt(people[chosen, None] * people)
        similar = together / (size + self.shrinkage + (size + self.shrinkage == 0))
        similar[np.arange(len(block)), np.arange(block.start, block.stop)] = 0.0
        count = min(self.neighbours, similar.shape[1])
        # A stable order, so that of equally near items the same ones count on every machine.
        columns = np.argsort(-similar, axis=1, kind="stable")[:, :count]
        values = np.take_along_axis(similar, columns, axis=1)
        rows = np.repeat(np.arange(block.start, block.stop), count)
        near = values.ravel() > 0
        return rows[near], columns.ravel()[near], values.ravel()[near].astype(np.float32)

    def scores(self, known: Interactions, users: Indices) -> np.ndarray:
        """(len(users), I)."""
        return np.asarray((known.matrix[users] @ self._near).toarray())
