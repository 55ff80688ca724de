"""Matrix factorisation by the library `implicit`: one thread, seeded. It comes with the extra `evaluation`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.recommender_base import ModelFitError
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from evaluation.errors import ScoreError
from evaluation.interactions import Indices, Interactions


def _older(matrix: csr_array) -> csr_matrix:
    """`implicit` takes the older matrices of SciPy, with 32-bit indices."""
    parts = matrix.data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return csr_matrix(parts, shape=matrix.shape)


def _fit(model: Any, matrix: csr_matrix, name: str) -> None:
    """Learn on from where the model is."""
    try:
        model.fit(matrix, show_progress=False)
    except ModelFitError as error:
        raise ScoreError(f"{name}: {error}") from error


@dataclass(eq=False)
class ImplicitAls:
    """iALS: least squares on all cells, those taken up weighing 1 + `weight`; score = <person, item>.

    A person's factors are solved from what is known of them now, so people who were never fitted are scored as well.

    Sources: Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; Rendle,
    Krichene, Zhang and Koren, "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022.
    """

    components: int = 64
    penalty: float = 0.01
    weight: float = 1.0
    epochs: int = 15
    seed: int = 0
    _model: Any = field(default=None, repr=False)

    PAUSES = (5, 10, 15)

    def fit(self, train: Interactions) -> Self:
        """Alternate `epochs` times."""
        for _ in self.rounds(train):
            pass
        return self

    def rounds(self, train: Interactions) -> Iterator[int]:
        """See `evaluation.ranking.Iterative`."""
        with threadpool_limits(limits=1):
            self._model = AlternatingLeastSquares(
                factors=self.components,
                regularization=self.penalty,
                alpha=1.0 + self.weight,  # what the library multiplies a cell that was taken up with
                num_threads=1,
                random_state=self.seed,
            )
        matrix, done = _older(train.matrix), 0
        for pause in pauses(self.PAUSES, self.epochs):
            self._model.iterations = pause - done
            with threadpool_limits(limits=1):
                _fit(self._model, matrix, "iALS")
            done = pause
            yield done

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float32]:
        """(len(users), I)."""
        with threadpool_limits(limits=1):
            people = self._model.recalculate_user(np.arange(len(users)), _older(known.matrix[users]))
        return np.asarray(people @ self._model.item_factors.T)


@dataclass(eq=False)
class Bpr:
    """Bayesian personalised ranking with an embedding for each person: score = <person, item> + bias of the item.

    Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit
    feedback", UAI 2009.
    """

    components: int = 64
    penalty: float = 0.01
    learning_rate: float = 0.05
    epochs: int = 100
    seed: int = 0
    _users: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    _items: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    _names: tuple[str, ...] = field(default=(), repr=False)

    PAUSES = (10, 25, 50, 100)

    def fit(self, train: Interactions) -> Self:
        """Go `epochs` times over as many pairs as there are uptakes."""
        for _ in self.rounds(train):
            pass
        return self

    def rounds(self, train: Interactions) -> Iterator[int]:
        """See `evaluation.ranking.Iterative`."""
        model = BayesianPersonalizedRanking(
            factors=self.components,
            learning_rate=self.learning_rate,
            regularization=self.penalty,
            num_threads=1,
        )
        matrix, done = _older(train.matrix), 0
        self._names = train.users
        for pause in pauses(self.PAUSES, self.epochs):
            model.iterations = pause - done
            model.random_state = np.random.default_rng([self.seed, pause])  # other draws in every round
            _fit(model, matrix, "BPR")
            self._users, self._items = model.user_factors, model.item_factors
            done = pause
            yield done

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float32]:
        """(len(users), I); who was never fitted gets the average person's scores."""
        return np.asarray(embedded(self._users, self._names, known, users) @ self._items.T)


def pauses(usual: tuple[int, ...], epochs: int) -> list[int]:
    """The numbers of epochs after which a model that learns `epochs` times can be asked."""
    return [*(pause for pause in usual if pause < epochs), epochs]


def embedded(
    embeddings: NDArray[np.float32], names: tuple[str, ...], known: Interactions, users: Indices
) -> NDArray[np.float32]:
    """(len(users), d) people's embeddings, by their names; the mean embedding for who has none."""
    places = {name: place for place, name in enumerate(names)}
    rows = np.array([places.get(known.users[user], -1) for user in users], dtype=np.intp)
    own = embeddings[np.maximum(rows, 0)]
    return np.where(rows[:, None] >= 0, own, embeddings.mean(axis=0))
