"""The baseline of LightFM as most people use it: an embedding for each person, and one for each item."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from lightfm import LightFM
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from evaluation.baselines.factors import embedded, pauses
from evaluation.errors import ScoreError
from evaluation.interactions import Indices, Interactions


@dataclass(eq=False)
class IdentityLightFM:
    """LightFM with user and item identities, WARP loss, one thread: score = <user, item> + bias of the item.

    Source: Kula, "Metadata embeddings for user and item cold-start recommendations", CBRecSys 2015;
    WARP: Weston, Bengio and Usunier, IJCAI 2011.
    """

    components: int = 64
    learning_rate: float = 0.05
    penalty: float = 0.0
    epochs: int = 20
    seed: int = 0
    _users: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    _items: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    _biases: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    _names: tuple[str, ...] = field(default=(), repr=False)

    PAUSES = (2, 5, 10, 20)

    def fit(self, train: Interactions) -> Self:
        """Train from a random start; the same seed gives the same embeddings."""
        for _ in self.rounds(train):
            pass
        return self

    def rounds(self, train: Interactions) -> Iterator[int]:
        """See `evaluation.ranking.Iterative`."""
        model = LightFM(
            no_components=self.components,
            loss="warp",
            learning_rate=self.learning_rate,
            item_alpha=self.penalty,
            user_alpha=self.penalty,
            random_state=self.seed,
        )
        # LightFM reads 32-bit indices alone.
        place = train.user.astype(np.int32), train.item.astype(np.int32)
        uptakes = coo_matrix((np.ones(len(train.user), dtype=np.float32), place), shape=train.matrix.shape)
        self._names, done = train.users, 0
        for pause in pauses(self.PAUSES, self.epochs):
            try:
                with np.errstate(
                    over="ignore", invalid="ignore"
                ):  # LightFM looks for what overflowed by itself
                    model.fit_partial(uptakes, epochs=pause - done, num_threads=1)
            except ValueError as error:  # LightFM's word for a model that diverged
                raise ScoreError(f"LightFM with identities: {error}") from error
            self._users, self._items = model.user_embeddings, model.item_embeddings
            self._biases, done = model.item_biases, pause
            yield done

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float32]:
        """(len(users), I); who was never fitted gets the average person's scores."""
        return np.asarray(embedded(self._users, self._names, known, users) @ self._items.T + self._biases)
