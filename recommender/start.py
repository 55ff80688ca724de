"""Where training begins: embeddings from a closed-form linear model.

A few epochs of WARP from here reach what they never reach from random numbers (docs/decisions/0003-training.md).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.release import TrainingConfig
from recommender.ridge import ridge

_TOPIC_PENALTY = 10.0
"""About as many resources as a topic needs before its embedding is theirs."""

_OVERSAMPLING, _ITERATIONS = 10, 6
_BLOCK = 1 << 16
"""People that are multiplied at once: what is dense has this many rows, or those of the features."""


def closed_form_start(
    interests: sparse.csr_array,
    descriptions: sparse.csr_array,
    known: NDArray[np.intp],
    config: TrainingConfig,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings whose products are the coefficients of a ridge regression from features to resources.

    The regression of X = U S V' on itself has the coefficients V (S² / (S² + lambda)) V'. Within the first d singular
    vectors each side is V times the root of the middle. V and S² come from X'X by products with a few vectors, so no
    matrix of features by features is ever made, and none that has a row for each person either. What the embeddings
    of resources have in common by topic is a topic's, and the rest their own.

    Args:
        interests: (P, F) ones where a person has a feature.
        descriptions: (R, R + T) what a resource's embedding is the sum of.
        known: the resources that somebody has; the others' own embeddings are zero.
        config: penalty, scale and length d of the embeddings.

    Returns:
        (F, d) of features and (R + T, d) of resources and topics, contiguous as LightFM needs them; columns beyond
        the rank of X are zero.
    """
    components = min(config.components, *interests.shape)
    squares, right = _singular(interests, components, config.seed)
    side = np.zeros((interests.shape[1], config.components))
    side[:, :components] = right * (config.start_scale * np.sqrt(squares / (squares + config.start_lambda)))
    described = np.zeros((descriptions.shape[1], config.components))
    topics = descriptions[:, descriptions.shape[0] :][known]
    common = ridge(topics, side[known], _TOPIC_PENALTY)
    described[known] = side[known] - topics @ common
    described[descriptions.shape[0] :] = common
    return np.ascontiguousarray(side, dtype=np.float32), np.ascontiguousarray(described, dtype=np.float32)


def _singular(
    matrix: sparse.csr_array, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(count,) squares of the largest singular values of a (P, F) matrix, descending, and their right vectors (F, count).

    Subspace iteration on X'X from random vectors (Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4).
    """
    width = min(count + _OVERSAMPLING, matrix.shape[1])
    basis = np.random.default_rng(seed).normal(size=(matrix.shape[1], width))
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(_squared(matrix, basis))
    middle = basis.T @ _squared(matrix, basis)
    values, vectors = np.linalg.eigh((middle + middle.T) / 2)
    largest = slice(None, -count - 1, -1)
    right = basis @ vectors[:, largest]
    # Either direction of a vector is right; one is chosen, so that the same rows always give the same.
    right *= np.sign(right[np.abs(right).argmax(axis=0), np.arange(count)])
    return np.maximum(values[largest], 0.0), right


def _squared(matrix: sparse.csr_array, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, k) X'X times vectors (F, k)."""
    edges = [*range(0, matrix.shape[0], _BLOCK), matrix.shape[0]]
    blocks = (matrix[begin:end] for begin, end in pairwise(edges))
    return np.asarray(sum(block.T @ (block @ vectors) for block in blocks))
