"""Ridge regression on sparse features, however many there are."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_PRECISION = 1e-12
"""Far below the float32 that embeddings end in."""
_MOST_STEPS = 1_000
"""Some twenty are enough for a hundred thousand resources with twenty topics each."""


def ridge(features: sparse.csr_array, targets: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """Coefficients B of least squares with an L2 penalty: (A'A + penalty) B = A'Y.

    Solved by conjugate gradients with the diagonal as preconditioner (Saad, Iterative Methods for Sparse Linear
    Systems, 2003, algorithm 9.1), every column of B by itself and all side by side. A'A is never made: with many
    features it has no room dense, and none once its factors have filled up. Memory is that of A, B and Y; no product
    here depends on the number of threads.

    Args:
        features: A (n, F).
        targets: Y (n, d).
        penalty: above 0.

    Returns:
        B (F, d); zero for a feature that no row has.
    """
    diagonal = features.power(2).sum(axis=0)[:, None] + penalty
    coefficients = np.zeros((features.shape[1], targets.shape[1]))
    residual = features.T @ targets
    nearer = residual / diagonal
    size = _products(residual, nearer)
    direction, enough = nearer, _PRECISION**2 * size
    for _ in range(_MOST_STEPS):
        if not (size > enough).any():
            break
        image = features.T @ (features @ direction) + penalty * direction
        length = _quotients(size, _products(direction, image))
        coefficients += length * direction
        residual -= length * image
        nearer = residual / diagonal
        before, size = size, _products(residual, nearer)
        direction = nearer + _quotients(size, before) * direction
    return coefficients


def _products(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,) the dot product of each column of one (F, d) with the same of another."""
    return np.asarray(np.einsum("fd,fd->d", one, other))


def _quotients(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,) one over the other; 0 where a column is done to the last bit."""
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)
