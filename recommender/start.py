"""Where training begins: embeddings from a closed-form linear model.

A few epochs of WARP from here reach what they never reach from random numbers (docs/decisions/0003-training.md).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from sklearn.utils.extmath import randomized_svd

from recommender.release import TrainingConfig

_TOPIC_PENALTY = 10.0
"""About as many resources as a topic needs before its embedding is theirs."""


def closed_form_start(
    interests: sparse.csr_array, descriptions: sparse.csr_array, config: TrainingConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings (F, d) and (R + T, d) whose products are close to a linear model of who shares which features.

    Args:
        interests: (P, F) ones where a person has a feature.
        descriptions: (R, R + T) what a resource's embedding is the sum of.
        config: penalty, scale and length.
    """
    size = descriptions.shape[0]
    known = np.flatnonzero(interests.sum(axis=0) > 0)
    factorise = _ease if len(known) <= config.dense_limit else _ridge_in_subspace
    left, right = factorise(interests[:, known], known < size, config)
    feature_side = np.zeros((interests.shape[1], config.components))
    resource_side = np.zeros((size, config.components))
    feature_side[known, : left.shape[1]] = left * config.start_scale
    resource_side[known[known < size], : right.shape[1]] = right * config.start_scale
    return _single(feature_side), _single(_described(resource_side, descriptions))


def _ease(
    interests: sparse.csr_array, resources: NDArray[np.bool_], config: TrainingConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The item-item model of Steck (Embarrassingly Shallow Autoencoders, WWW 2019), cut to d components.

    Its column for a resource predicts from every other feature; the product of the two sides is the closest of its
    rank (randomised SVD), each side with the square roots of the singular values.
    """
    gram = (interests.T @ interests).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += config.start_lambda
    inverse = linalg.cho_solve(linalg.cho_factor(gram, overwrite_a=True), np.eye(len(gram)), overwrite_b=True)
    inverse /= -np.diag(inverse)
    np.fill_diagonal(inverse, 0.0)
    coefficients = inverse[:, resources]
    components = min(config.components, *coefficients.shape)
    left, size, right = randomized_svd(coefficients, components, n_iter=4, random_state=config.seed)
    return left * np.sqrt(size), right.T * np.sqrt(size)


def _ridge_in_subspace(
    interests: sparse.csr_array, resources: NDArray[np.bool_], config: TrainingConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same regression, within the first d singular vectors: no matrix of features by features is made."""
    components = min(config.components, *interests.shape)
    _, size, right = randomized_svd(interests, components, n_iter=4, random_state=config.seed)
    side = right.T * np.sqrt(size**2 / (size**2 + config.start_lambda))
    return side, side[resources]


def _described(resources: NDArray[np.float64], descriptions: sparse.csr_array) -> NDArray[np.float64]:
    """(R + T, d) embeddings of identities and topics that add up to given embeddings (R, d) of resources.

    Topics get what their resources have in common (a ridge regression), identities the rest.
    """
    topics = descriptions[:, len(resources) :]
    gram = (topics.T @ topics).toarray() + _TOPIC_PENALTY * np.eye(topics.shape[1])
    common = np.linalg.solve(gram, topics.T @ resources)
    return np.concatenate([resources - topics @ common, common])


def _single(embeddings: NDArray[np.float64]) -> NDArray[np.float32]:
    """LightFM computes with single precision, row after row in memory."""
    return np.ascontiguousarray(embeddings, dtype=np.float32)
