"""How alike resources are: the cosine between their topics and, where something is trained, between their embeddings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_GRAIN = (
    2.0**20
)  # unit vectors in steps of 1/_GRAIN: their products are exact in float64, whatever the order of sums


class Similarity:
    """The mean, over several descriptions of R resources, of their cosines, 0 where those are negative.

    Args:
        descriptions: each (R, D) numbers, dense or sparse; at least one.
    """

    def __init__(self, *descriptions: Any) -> None:
        self._units = [_units(each) for each in descriptions]

    def among(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, n) between n rows."""
        return self._mean([units[rows] @ units[rows].T for units in self._units])

    def to_all(self, row: int) -> NDArray[np.float64]:
        """(R,) between one row and every row."""
        return self._mean([units @ _dense(units[[row]])[0] for units in self._units])

    def _mean(self, products: list[Any]) -> NDArray[np.float64]:
        clipped = [np.clip(_dense(each), 0.0, 1.0) for each in products]
        return np.asarray(np.mean(clipped, axis=0), dtype=np.float64)


def _units(described: Any) -> Any:
    """Rows of length one, as sparse or dense as they came; scipy's missing types cannot tell the two apart."""
    if not sparse.issparse(described):
        norms = np.linalg.norm(described, axis=1, keepdims=True)
        return np.rint(described / np.where(norms > 0, norms, 1.0) * _GRAIN) / _GRAIN
    norms = np.sqrt(np.asarray(described.multiply(described).sum(axis=1), dtype=np.float64))
    units = sparse.csr_array(described.multiply(1.0 / np.where(norms > 0, norms, 1.0)[:, None]))
    units.data = np.rint(units.data.astype(np.float64) * _GRAIN) / _GRAIN
    return units


def _dense(numbers: Any) -> Any:
    return numbers.toarray() if sparse.issparse(numbers) else numbers
