"""How alike resources are: the cosine between their embeddings, or between their topics where nothing is trained."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_GRAIN = (
    2.0**20
)  # unit vectors in steps of 1/_GRAIN: their products are exact in float64, whatever the order of sums


class Similarity:
    """Cosines, 0 where they are negative, between R resources described by (R, D) numbers, dense or sparse."""

    def __init__(self, described: Any) -> None:
        if sparse.issparse(described):
            norms = np.sqrt(np.asarray(described.multiply(described).sum(axis=1), dtype=np.float64))
            units = sparse.csr_array(described.multiply(1.0 / np.where(norms > 0, norms, 1.0)[:, None]))
            units.data = np.rint(units.data.astype(np.float64) * _GRAIN) / _GRAIN
            self._units: Any = units  # sparse or dense, which scipy's missing types cannot tell apart
        else:
            norms = np.linalg.norm(described, axis=1, keepdims=True)
            self._units = np.rint(described / np.where(norms > 0, norms, 1.0) * _GRAIN) / _GRAIN

    def among(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, n) between n rows."""
        units = self._units[rows]
        products = units @ units.T
        if sparse.issparse(products):
            products = products.toarray()
        return np.clip(np.asarray(products, dtype=np.float64), 0.0, 1.0)

    def to_all(self, row: int) -> NDArray[np.float64]:
        """(R,) between one row and every row."""
        own = self._units[[row]].toarray()[0] if sparse.issparse(self._units) else self._units[row]
        return np.clip(np.asarray(self._units @ own, dtype=np.float64), 0.0, 1.0)
