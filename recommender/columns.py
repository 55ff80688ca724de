"""What is known of each resource of a catalogue, by row; made for the resources that are new, taken over for the others.

Of fifty thousand resources one changes at a time. What a function says of a resource depends on nothing else, so the
next catalogue takes it from the one before wherever both hold the very same object, whatever row it is in.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.catalog import Resource

T = TypeVar("T")
Rows = NDArray[np.int64]

_NO_ROWS: Rows = np.zeros(0, dtype=np.int64)


class Columns:
    """Columns over R resources, each made by a function of one resource, the same object for every catalogue.

    Args:
        resources: the resources, in the order of their rows.
        former: the columns of the catalogue before; held until `let_go`.
    """

    def __init__(self, resources: Sequence[Resource], former: "Columns | None" = None) -> None:
        self.resources = resources
        self._made: dict[tuple[type, Callable[[Resource], Any]], Any] = {}
        self._former = former._made if former else {}  # noqa: SLF001  another of its own kind
        held = former.resources if former else ()
        row_of = {id(each): row for row, each in enumerate(held)}
        before = np.array([row_of.get(id(each), -1) for each in resources], dtype=np.int64)
        kept, new = np.flatnonzero(before >= 0), np.flatnonzero(before < 0)
        self._new: list[int] = new.tolist()
        self._moved = np.full(len(held), -1, dtype=np.int64)
        """Of each resource of the former catalogue its row in this one; -1 where it is gone."""
        self._moved[before[kept]] = kept
        self._source = before
        """(R,) where the value of each stands, when those of the new ones follow all of the former."""
        self._source[new] = len(held) + np.arange(len(new))

    def each(self, of: Callable[[Resource], T]) -> list[T]:
        """What a function says of each resource."""
        values = [*self._former.get((list, of), ()), *self._of_new(of)]
        made = self._made[list, of] = [values[place] for place in self._source.tolist()]
        return made

    def array(self, of: Callable[[Resource], float], kind: type[np.generic]) -> NDArray[Any]:
        """(R,) what a function says of each resource, as numbers of a kind."""
        new = np.array(self._of_new(of), dtype=kind)
        made: NDArray[Any] = np.concatenate([self._former.get((kind, of), new[:0]), new])[self._source]
        self._made[kind, of] = made
        return made

    def rows_by(self, of: Callable[[Resource], Iterable[str]]) -> dict[str, Rows]:
        """By each word that a function names, the rows of the resources of which it does, in ascending order."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, names in zip(self._new, self._of_new(of), strict=True):
            for name in names:
                rows[name].append(row)
        made = {name: np.array(new, dtype=np.int64) for name, new in rows.items()}
        for name, former in self._former.get((dict, of), {}).items():
            moved = self._moved[former]
            both = np.sort(np.concatenate([moved[moved >= 0], made.get(name, _NO_ROWS)]))
            if len(both):
                made[name] = both
        self._made[dict, of] = made
        return made

    def let_go(self) -> None:
        """Forget the former catalogue, once every column of this one is made."""
        self._former = {}

    def _of_new(self, of: Callable[[Resource], T]) -> list[T]:
        return [of(self.resources[row]) for row in self._new]
