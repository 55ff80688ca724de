"""Where training begins: embeddings from a closed-form linear model.

A few epochs of WARP from here reach what they never reach from random numbers (docs/decisions/0003-training.md).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from recommender.release import TrainingConfig

_TOPIC_PENALTY = 10.0
"""About as many resources as a topic needs before its embedding is theirs."""


def closed_form_start(
    interests: sparse.csr_array,
    descriptions: sparse.csr_array,
    known: NDArray[np.intp],
    config: TrainingConfig,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings whose products are the coefficients of a ridge regression from features to resources.

    The regression of X = U S V' on itself has the coefficients V (S² / (S² + lambda)) V'. Within the first d singular
    vectors (randomised SVD: Halko, Martinsson and Tropp, SIAM Review 2011) each side is V times the root of the
    middle, and no matrix of features by features is ever made.

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
    _, size, right = randomized_svd(interests, components, n_iter=4, random_state=config.seed)
    side = np.zeros((interests.shape[1], config.components))
    side[:, :components] = right.T * (config.start_scale * np.sqrt(size**2 / (size**2 + config.start_lambda)))
    described = np.zeros((descriptions.shape[1], config.components))
    topics = descriptions[:, descriptions.shape[0] :][known]
    common = _common(side[known], topics)
    described[known] = side[known] - topics @ common
    described[descriptions.shape[0] :] = common
    return np.ascontiguousarray(side, dtype=np.float32), np.ascontiguousarray(described, dtype=np.float32)


def _common(resources: NDArray[np.float64], topics: sparse.csr_array) -> NDArray[np.float64]:
    """(T, d) what the embeddings (n, d) of resources have in common by topic (n, T): a ridge regression."""
    gram = (topics.T @ topics).toarray() + _TOPIC_PENALTY * np.eye(topics.shape[1])
    return np.asarray(np.linalg.solve(gram, topics.T @ resources))
