"""A release over today's catalogue in fixed point: sums that are exact in any order.

Floating-point sums depend on their order, and a matrix product chooses its own. Two resources with the same
embedding could then differ in the last bit, a counterfactual could disagree with the list that it speaks of, and an
explanation could miss its score. So embeddings, biases and profile vectors are whole multiples of powers of two,
as fine as lets every score stay below 2**53: products and sums of such numbers in float64 have no rounding at all.
The steps are about 2**-23 of the greatest value, which is the precision of the float32 arrays of a release.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender import kernels
from recommender.lines import Weighing
from recommender.profile import Features
from recommender.release import Release

_EXACT_BITS: Final = 52
_FINEST_BITS: Final = 24

Whole = NDArray[np.float64]
"""float64 arrays whose entries are whole numbers."""


class Scorer:
    """Scores of today's R resources, in whole multiples of `unit`, from a release.

    Args:
        release: the trained model.
        features: today's columns, F of them; the first R are the resources.
        resource_topics: (R, T) not zero where a resource has a topic.

    Raises:
        ValueError: the release holds a number that is not finite.
    """

    def __init__(self, release: Release, features: Features, resource_topics: sparse.csr_array) -> None:
        config = release.manifest.config.profile
        self.weighing = Weighing(config)
        inputs = release.inputs(features, resource_topics).astype(np.float64)
        outputs, biases = (side.astype(np.float64) for side in release.outputs(features, resource_topics))
        if not (np.isfinite(inputs).all() and np.isfinite(outputs).all() and np.isfinite(biases).all()):
            raise ValueError("the release holds numbers that are not finite")
        reach = sum(config.family_weights) + self.weighing.context
        into, out = _power_above(inputs, reach), _power_above(outputs, 1.0)
        bias_span = _power_above(biases, 1.0)
        room = _EXACT_BITS - math.ceil(math.log2(max(inputs.shape[1], 1) + bias_span / (into * out)))
        bits = min(_FINEST_BITS, room // 2)
        in_step, out_step = into * 2.0**-bits, out * 2.0**-bits
        self.unit: float = in_step * out_step
        self._known = np.asarray(inputs.any(axis=1), dtype=np.uint8)
        self._inputs = (inputs / in_step).astype(np.float32)
        self.outputs: NDArray[np.float32] = np.rint(outputs / out_step).astype(np.float32)
        """(R, D) whole numbers, too."""
        self.biases: Whole = np.rint(biases / self.unit)
        """(R,)"""
        self._catalogue = kernels.Catalogue(self.outputs, self.biases)

    def vectors(
        self, weights: NDArray[np.float64], columns: NDArray[np.int64]
    ) -> tuple[Whole, Whole, list[bool]]:
        """Make the vectors of profiles from the features of their lines.

        Args:
            weights: (profiles, lines) weight of each line in each profile.
            columns: (lines,) the feature of each line.

        Returns:
            (profiles, D) the vectors, (lines, D) what each line adds to the first of them, and of each whether the
            release knows anything in it.
        """
        size = self._inputs.shape[1]
        vectors, parts = np.empty((len(weights), size)), np.empty((len(columns), size))
        personal = kernels.add_up(weights, columns, self._known, self._inputs, vectors, parts)
        return vectors, parts, personal

    def scores(self, vectors: Whole, listed: NDArray[np.bool_]) -> Whole:
        """(profiles, R) the score of every resource that may be `listed` for every vector (profiles, D)."""
        scores = np.empty((len(vectors), len(self.biases)))
        self._catalogue.score(vectors, listed.view(np.uint8), scores)
        return scores

    def standings(
        self,
        vectors: Whole,
        listed: NDArray[np.bool_],
        hidden: dict[int, list[int]],
        without: NDArray[np.int64],
        rows: NDArray[np.int64],
        count: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How n resources stand in lists, and what heads these; it takes less than to score every resource for each.

        Args:
            vectors: (lists, D) the profile behind each list.
            listed: (R,) what may be listed.
            hidden: the rows that each signal keeps out of a list.
            without: (lists,) the signal that each list is made without.
            rows: (n,) different resources.
            count: how many heads of each list are wanted.

        Returns:
            (lists, n) the place of each, 0 where it is not in the list, and (lists, count) the best of each list,
            -1 where it has ended.
        """
        places = np.empty((len(without), len(rows)), dtype=np.int64)
        heads = np.empty((len(without), count), dtype=np.int64)
        self._catalogue.stand(vectors, listed.view(np.uint8), hidden, without, rows, places, heads)
        return places, heads

    def scores_of(self, vector: Whole, rows: NDArray[np.int64]) -> Whole:
        """(n,) the scores of n resources for one vector (D,)."""
        scores: Whole = self.outputs[rows] @ vector + self.biases[rows]
        return scores

    def reasons(self, parts: Whole, rows: NDArray[np.int64]) -> tuple[Whole, Whole]:
        """(n,) what each of n resources starts from, and (n, lines) what each line adds to it."""
        return self.biases[rows], self.outputs[rows] @ parts.T


def _power_above(array: NDArray[np.float64], factor: float) -> float:
    """The least power of two that is not below `factor` times the greatest magnitude; 1 for zeros."""
    greatest = float(np.abs(array).max(initial=0.0)) * factor
    return 2.0 ** math.ceil(math.log2(greatest)) if greatest > 0 else 1.0
