"""Other ways to begin training and to learn, to compare with those that ship; each takes the place of one in `recommender.fitting`.

A start is made of a matrix of features by resources, cut to the length of the embeddings by a singular value
decomposition and brought to the size of the start that ships, so that only its directions differ.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from lightfm import LightFM
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from recommender.history import SIGNAL_IDS, History
from recommender.profile import Features, ProfileConfig, event_strengths
from recommender.release import TrainingConfig
from recommender.start import closed_form_start

Floats = NDArray[np.float64]
Sides = tuple[NDArray[np.float32], NDArray[np.float32]]
Start = Callable[[sparse.csr_array, sparse.csr_array, NDArray[np.intp], TrainingConfig], Sides]

_EASE_LAMBDA = 500.0
_SLIM_L1, _SLIM_L2, _SLIM_STEPS = 5.0, 200.0, 30
_ALS_PENALTY = 10.0
_HALVED_EVERY = 30
"""Events after which an older one counts half, in the start that fades."""


def random_numbers(
    interests: sparse.csr_array, descriptions: sparse.csr_array, _: NDArray[np.intp], config: TrainingConfig
) -> Sides:
    """Small random numbers, as LightFM begins by itself."""
    random = np.random.default_rng(config.seed)
    sizes = interests.shape[1], descriptions.shape[1]
    feature, resource = (
        ((random.random((size, config.components)) - 0.5) / config.components).astype(np.float32)
        for size in sizes
    )
    return feature, resource


def from_matrix(coefficients: Callable[[sparse.csr_array, TrainingConfig], Floats]) -> Start:
    """Return the start whose products are, as nearly as its length allows, these (F, F) coefficients."""

    def start(
        interests: sparse.csr_array,
        descriptions: sparse.csr_array,
        known: NDArray[np.intp],
        config: TrainingConfig,
    ) -> Sides:
        shipped, placed = closed_form_start(interests, descriptions, known, config)
        matrix = coefficients(interests, config)
        left, middle, right = randomized_svd(matrix, config.components, random_state=config.seed)
        inputs, outputs = left * np.sqrt(middle), right.T * np.sqrt(middle)
        inputs *= np.linalg.norm(shipped) / np.linalg.norm(inputs)
        resources = np.zeros_like(placed)
        resources[known] = outputs[known]
        resources *= np.linalg.norm(placed) / np.linalg.norm(resources)
        return np.ascontiguousarray(inputs, dtype=np.float32), np.ascontiguousarray(resources)

    return start


def ease(interests: sparse.csr_array, _: TrainingConfig) -> Floats:
    """EASE (Steck, WWW 2019): regression of each feature on all others."""
    gram = (interests.T @ interests).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += _EASE_LAMBDA
    inverse = np.linalg.inv(gram)
    found = -inverse / np.diag(inverse)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def slim(interests: sparse.csr_array, _: TrainingConfig) -> Floats:
    """SLIM (Ning and Karypis, ICDM 2011): the same, sparse and not negative; by accelerated proximal gradients."""
    gram = (interests.T @ interests).toarray().astype(np.float32)
    step = 1.0 / (float(np.linalg.norm(gram, 2)) + _SLIM_L2)
    found = np.zeros_like(gram)
    ahead, momentum = found, 1.0
    for _step in range(_SLIM_STEPS):
        gradient = gram @ ahead - gram + _SLIM_L2 * ahead
        after = np.maximum(ahead - step * (gradient + _SLIM_L1), 0.0)
        np.fill_diagonal(after, 0.0)
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = after + (momentum - 1) / faster * (after - found)
        found, momentum = after, faster
    return np.asarray(found, dtype=np.float64)


def co_occurrence(interests: sparse.csr_array, _: TrainingConfig) -> Floats:
    """Cosine of who has which feature."""
    gram = (interests.T @ interests).toarray().astype(np.float64)
    norm = np.sqrt(np.maximum(np.diag(gram), 1.0))
    gram /= norm[:, None] * norm
    np.fill_diagonal(gram, 0.0)
    return np.asarray(gram)


def ials(interests: sparse.csr_array, config: TrainingConfig) -> Floats:
    """What a profile would be worth to iALS (Hu, Koren and Volinsky, ICDM 2008) if all it does not hold counted alike."""
    model = AlternatingLeastSquares(
        config.components, regularization=_ALS_PENALTY, random_state=config.seed, num_threads=1
    )
    model.fit(sparse.csr_matrix(interests), show_progress=False)
    factors = model.item_factors.astype(np.float64)
    gram = factors.T @ factors + _ALS_PENALTY * np.eye(factors.shape[1])
    return np.asarray(factors @ np.linalg.solve(gram, factors.T))


def fading_presence(history: History, features: Features, config: ProfileConfig) -> sparse.csr_array:
    """In place of `presence`: an event counts half as much as the thirtieth after it."""
    counts = event_strengths(history.signal, history.value, SIGNAL_IDS, config) > 0
    places = np.flatnonzero(counts)
    after = history.starts[1:][history.person[places]] - 1 - places
    weights = (0.5 ** (after / _HALVED_EVERY)).astype(np.float32)
    shape = (len(history.seeds), len(features))
    rows, columns = history.person[places], history.column(features)[places]
    latest = np.lexsort((weights, columns, rows))
    last = np.append(np.diff(rows[latest].astype(np.int64) * shape[1] + columns[latest]) > 0, True)
    kept = latest[last]
    return sparse.coo_array((weights[kept], (rows[kept], columns[kept])), shape=shape).tocsr()


class KthOrderStatistic(LightFM):  # type: ignore[misc]  # LightFM leaves it untyped
    """Learns from the k-th best of several positives (Weston, Yee and Weiss, RecSys 2013)."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**(named | {"loss": "warp-kos", "k": 3, "n": 10}))


class Pairs(LightFM):  # type: ignore[misc]  # as above
    """Learns from one negative for each positive, whatever their order (Rendle and others, UAI 2009)."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**(named | {"loss": "bpr"}))


class RareFirst(LightFM):  # type: ignore[misc]  # as above
    """Takes smaller steps for positives that many took up: by the root of how many."""

    def fit_partial(self, interactions: sparse.coo_matrix, **named: Any) -> Any:
        """Learn with weights whose mean is 1."""
        counts = np.bincount(interactions.col, minlength=interactions.shape[1])
        weights = 1 / np.sqrt(counts[interactions.col])
        weighted = interactions.copy()
        weighted.data = (weights / weights.mean()).astype(np.float32)
        return super().fit_partial(interactions, sample_weight=weighted, **named)


class PopularityPrior(LightFM):  # type: ignore[misc]  # as above
    """Begins with biases that rise with how many took a resource up."""

    def fit_partial(self, interactions: sparse.coo_matrix, item_features: Any = None, **named: Any) -> Any:
        """Learn; the first call sets the biases."""
        done = super().fit_partial(interactions, item_features=item_features, **named)
        if named.get("epochs") == 0:
            counts = np.bincount(interactions.col, minlength=interactions.shape[1])
            own = item_features.indices[
                item_features.indptr[:-1]
            ]  # a resource's own part comes before its topics
            self.item_biases[own] = np.log1p(counts) - np.log1p(counts).mean()
        return done
