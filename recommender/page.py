"""JSON of several objects that are alike, written at once: text that they share is made once, and numbers are made text all at once."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from recommender import kernels

Codes = NDArray[np.int64]
"""What is written: texts and numbers by the codes that a `Page` gave them."""

NOTHING: Final = 0
"""The code of an empty text."""


class Page:
    """n pieces of JSON, filled column by column: each of `all`, `each` and `place` says what comes next in every piece.

    A text has a code from 0 on, a number a code below 0: `kernels.weave` writes them.
    """

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self._texts: list[bytes] = [b""]
        self._numbers: list[NDArray[Any]] = []
        self._counted = 0
        self._alike: list[int] = []
        self._own: list[tuple[int, Codes]] = []

    def text(self, text: bytes) -> int:
        """Take a text; its code."""
        self._texts.append(text)
        return len(self._texts) - 1

    def among(self, texts: Sequence[bytes]) -> Codes:
        """Take texts; the code of each, which grow by one."""
        first = len(self._texts)
        self._texts += texts
        return np.arange(first, len(self._texts))

    def numbers(self, values: NDArray[Any]) -> Codes:
        """Take numbers; the code of each, in the same shape, which fall by one along the rows.

        The numbers are looked at when all is written, and not before.
        """
        first = -1 - self._counted
        self._counted += values.size
        if values.size:
            self._numbers.append(values)
        return np.arange(first, first - values.size, -1).reshape(values.shape)

    def all(self, text: bytes) -> None:
        """Write the same in each piece."""
        self._alike.append(self.text(text))

    def each(self, texts: Sequence[bytes]) -> None:
        """Write to each piece its own of n texts."""
        self.place(self.among(texts))

    def place(self, codes: Codes) -> None:
        """Write what codes stand for: to each of n pieces those in its row."""
        own = codes.reshape(self._pieces, math.prod(codes.shape[1:]))
        self._own.append((len(self._alike), own))
        self._alike += (NOTHING,) * own.shape[1]

    def written(self) -> bytes:
        """All pieces, one after the other."""
        codes = np.empty((self._pieces, len(self._alike)), dtype=np.int64)
        codes[:] = self._alike
        for begins, own in self._own:
            codes[:, begins : begins + own.shape[1]] = own
        numbers = b",".join([_array(values)[1:-1] for values in self._numbers])
        return kernels.weave(self._texts, codes.ravel(), b"[%b]" % numbers)


def _array(values: NDArray[Any]) -> bytes:
    return orjson.dumps(values.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)
