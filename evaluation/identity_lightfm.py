"""The baseline of LightFM as most people use it: an embedding for each person, and one for each item."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from lightfm import LightFM
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from evaluation.interactions import Indices, Interactions


@dataclass(eq=False)
class IdentityLightFM:
    """LightFM with user and item identities, WARP loss, one thread: score = <user, item> + bias of the item.

    Source: Kula, "Metadata embeddings for user and item cold-start recommendations", CBRecSys 2015;
    WARP: Weston, Bengio and Usunier, IJCAI 2011.
    """

    epochs: int
    components: int = 64
    learning_rate: float = 0.05
    seed: int = 0
    _users: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False
    )
    _items: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False
    )
    _biases: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32), repr=False)

    def fit(self, train: Interactions) -> Self:
        """Train from a random start; the same seed gives the same embeddings."""
        model = LightFM(
            no_components=self.components,
            loss="warp",
            learning_rate=self.learning_rate,
            random_state=self.seed,
        )
        rows, columns = (
            train.user.astype(np.int32),
            train.item.astype(np.int32),
        )  # LightFM reads 32-bit indices alone
        uptakes = coo_matrix(
            (np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=train.matrix.shape
        )
        model.fit(uptakes, epochs=self.epochs, num_threads=1)
        self._users, self._items, self._biases = (
            model.user_embeddings,
            model.item_embeddings,
            model.item_biases,
        )
        return self

    def scores(self, users: Indices) -> NDArray[np.float32]:
        """(len(users), I)."""
        return np.asarray(self._users[users] @ self._items.T + self._biases)
