"""How alike resources are: the cosine between their topics and, where something is trained, between their embeddings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender import kernels
from recommender.query import Floats, Rows

_GRAIN = 2.0**20
"""Unit vectors are whole multiples of 1 / _GRAIN: single precision holds them, and their products are exact in float64,
whatever the order of sums."""


class Similarity:
    """The mean, over both descriptions of R resources, of their cosines, 0 where those are negative.

    Args:
        resource_topics: (R, T) not zero where a resource has a topic.
        embeddings: (R, D) of a release; None where there is none.
    """

    def __init__(self, resource_topics: sparse.csr_array, embeddings: NDArray[np.float32] | None) -> None:
        self._embeddings, self._catalogue = None, None
        if embeddings is not None:
            exact = embeddings.astype(np.float64)
            self._embeddings = _units(exact, np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
            self._catalogue = kernels.Catalogue(self._embeddings, np.zeros(len(exact)))
        norms = np.sqrt(np.asarray(resource_topics.multiply(resource_topics).sum(axis=1), dtype=np.float64))
        topics = sparse.csr_array(resource_topics, dtype=np.float64)
        values = _units(topics.data, np.repeat(norms, np.diff(topics.indptr)))
        # Looked up by hand: scipy takes a tenth of a millisecond to pick a row.
        self._of_row = sparse.csr_array((values, topics.indices, topics.indptr), shape=topics.shape)
        self._of_topic = self._of_row.tocsc()

    def among(self, rows: Rows) -> Floats:
        """(n, n) between n rows."""
        of_row = self._of_row
        counts = of_row.indptr[rows + 1] - of_row.indptr[rows]
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        entries = np.repeat(of_row.indptr[rows], counts) + within
        named, topic = np.unique(of_row.indices[entries], return_inverse=True)
        topics = np.zeros((len(rows), len(named)))
        topics[np.repeat(np.arange(len(rows)), counts), topic] = of_row.data[entries]
        if self._embeddings is None:
            return _mean(topics @ topics.T, None)
        embeddings = self._embeddings[rows].astype(np.float64)
        return _mean(topics @ topics.T, embeddings @ embeddings.T)

    def to_all(self, rows: Sequence[int]) -> Floats:
        """(n, R) between n rows and every row."""
        of_row, of_topic = self._of_row, self._of_topic
        by_topics = np.zeros((len(rows), of_row.shape[0]))
        for own, row in zip(by_topics, rows, strict=True):
            for entry in range(of_row.indptr[row], of_row.indptr[row + 1]):
                topic = of_row.indices[entry]
                those = slice(of_topic.indptr[topic], of_topic.indptr[topic + 1])
                own[of_topic.indices[those]] += of_row.data[entry] * of_topic.data[those]
        if self._catalogue is None or self._embeddings is None:
            return _mean(by_topics, None)
        by_embeddings = np.empty_like(by_topics)
        everything = np.ones(by_topics.shape[1], dtype=np.uint8)
        self._catalogue.score(self._embeddings[rows].astype(np.float64), everything, by_embeddings)
        return _mean(by_topics, by_embeddings)


def _mean(by_topics: Floats, by_embeddings: Floats | None) -> Floats:
    """The mean of cosines in steps of 1 / _GRAIN**2; cut off at 0 and, lest the rounding of units show, at 1."""
    np.minimum(by_topics, _GRAIN**2, out=by_topics)
    if by_embeddings is not None:
        by_topics += np.clip(by_embeddings, 0.0, _GRAIN**2, out=by_embeddings)
    by_topics /= _GRAIN**2 if by_embeddings is None else 2.0 * _GRAIN**2
    return by_topics


def _units(numbers: Floats, lengths: Floats) -> Floats:
    """Whole numbers: what vectors are divided by their lengths, in steps of 1 / _GRAIN."""
    return np.rint(numbers / np.where(lengths > 0, lengths, 1.0) * _GRAIN)
