"""Events as numbers: what baselines are fitted on. Outside ids stay here; inside there are only indices."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evaluation.splits import uptakes

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Uptakes of U users with I items as n rows, ordered by user, then time.

    Attributes:
        users: (U,) ids; the index of a user is the place here.
        items: (I,) ids of the whole catalogue, sorted, also of items that nobody took up.
        events: the events behind the uptakes, with every signal, as in `evaluation.datasets`.
        user: (n,) index of the user.
        item: (n,) index of the item.
        at: (n,) microseconds since 1970 UTC.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    events: pl.DataFrame
    user: Indices
    item: Indices
    at: NDArray[np.int64]

    @classmethod
    def of(cls, events: pl.DataFrame, users: tuple[str, ...], items: tuple[str, ...]) -> "Interactions":
        """Number the users and items of events; events of others are left out."""
        user_index = {name: index for index, name in enumerate(users)}
        item_index = {name: index for index, name in enumerate(items)}
        known = events.filter(
            pl.col("user").is_in(list(users)), pl.col("item").is_null() | pl.col("item").is_in(list(items))
        )
        taken = uptakes(known).select(
            user=pl.col("user").replace_strict(user_index, return_dtype=pl.Int64),
            item=pl.col("item").replace_strict(item_index, return_dtype=pl.Int64),
            at="at",
        )
        taken = taken.sort("user", "at", maintain_order=True)
        user, item = (taken[name].to_numpy().astype(np.intp) for name in ("user", "item"))
        return cls(users, items, known, user, item, taken["at"].to_numpy().astype(np.int64))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that a model can see; equal contents have equal digests, whatever file they came from."""
        columns = pl.DataFrame(self.events.select("user", "item", "signal", "at", "value", "topic"))
        ordered = columns.sort(columns.columns).write_csv().encode()
        return hashlib.sha256("\n".join((*self.users, "", *self.items, "")).encode() + ordered).hexdigest()

    @cached_property
    def matrix(self) -> csr_array:
        """(U, I) ones where a user has taken up an item."""
        return self._matrix(np.ones(len(self.user), dtype=np.bool_))

    def latest(self, count: int) -> csr_array:
        """(U, I) ones at each user's latest `count` uptakes."""
        ends = np.searchsorted(self.user, np.arange(len(self.users)), side="right")
        return self._matrix(np.arange(len(self.user)) >= ends[self.user] - count)

    def _matrix(self, mask: NDArray[np.bool_]) -> csr_array:
        ones = np.ones(int(mask.sum()), dtype=np.float32)
        return csr_array((ones, (self.user[mask], self.item[mask])), shape=(len(self.users), len(self.items)))
