"""What metrics know beside the lists, made from a problem."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from evaluation.metrics.metric import Background
from evaluation.problem import Problem

_DIRECTIONS = 64
"""Directions in which items are compared by who took them up, where no topics are known."""


def background(problem: Problem, item_topics: Mapping[str, tuple[str, ...]]) -> Background:
    """Count, and place the items, from train alone."""
    items = problem.train.items
    names = sorted({topic for item in items for topic in item_topics.get(item, ())})
    column = {name: place for place, name in enumerate(names)}
    topics = np.zeros((len(items), len(names)), dtype=np.float32)
    for row, item in enumerate(items):
        topics[row, [column[topic] for topic in item_topics.get(item, ())]] = 1
    vectors = topics if names else _by_people(problem.train.matrix)
    return Background(
        people=len(problem.train.users),
        counts=np.bincount(problem.train.item, minlength=len(items)),
        known=problem.known.matrix[problem.people],
        topics=topics,
        vectors=_unit(vectors),
    )


def _by_people(matrix: csr_array) -> NDArray[np.float32]:
    """(I, 64 at most) items in the space of the first singular vectors of who took up what.

    Cosines there are latent semantic analysis' (Deerwester et al., JASIS 41(6), 1990); the seed is fixed, so equal
    interactions give equal places.
    """
    directions = min(_DIRECTIONS, *matrix.shape)
    _, sizes, items = randomized_svd(matrix, directions, random_state=0)
    # What is left of items that nobody took up is noise of the decomposition, and no direction.
    return np.asarray((items.T * sizes) * (np.asarray(matrix.sum(axis=0)) > 0)[:, None], dtype=np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(size > 0, size, 1), dtype=np.float32)
