"""Numbers that say nothing: mixed from what they stand for, so that an order by them depends on that alone."""

import numpy as np
from numpy.typing import NDArray


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    A random number that depends on its counter alone, so that one person's leaving moves no one else's.
    """
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def content(
    signal: NDArray[np.int8],
    resource: NDArray[np.int32],
    topic: NDArray[np.int32],
    value: NDArray[np.float32],
) -> NDArray[np.uint64]:
    """(n,) a mix of what events hold, by which those of one moment are ordered.

    It is an order that says nothing, lest that of the catalogue be taken for the order in which things were used.
    """
    about = resource.astype(np.uint64) << np.uint64(32) | topic.astype(np.uint32).astype(np.uint64)
    rest = value.view(np.uint32).astype(np.uint64) << np.uint64(8) | signal.astype(np.uint64)
    return mix(mix(about) ^ rest)
