"""Many people's events as columns: what training and evaluation read.

The store makes a `History` from consented rows, evaluation makes one from files. It depends on the content of the
events alone: the order in which rows arrive changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consent.signals import SIGNALS
from recommender.mixing import content
from recommender.profile import MOOD_BANDS, Features

SIGNAL_IDS = tuple(SIGNALS)
"""Signals by the number that stands for them in a history."""

_CHECK_INS = SIGNAL_IDS.index("check_ins")


@dataclass(frozen=True, eq=False)
class History:
    """Events of P people as n rows, ordered by person, then time, then content.

    Attributes:
        seeds: (P,) one number per person, the first eight bytes of their pseudonym, ascending.
        person: (n,) index into `seeds`, ascending.
        signal: (n,) index into `SIGNAL_IDS`.
        resource: (n,) column of the resource in the features, or -1.
        topic: (n,) column of the topic in the features, or -1.
        value: (n,) the event's value, NaN where it has none.
        at: (n,) microseconds since 1970 UTC.
    """

    seeds: NDArray[np.uint64]
    person: NDArray[np.int32]
    signal: NDArray[np.int8]
    resource: NDArray[np.int32]
    topic: NDArray[np.int32]
    value: NDArray[np.float32]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.person)

    @classmethod
    def from_columns(
        cls,
        people: Sequence[bytes] | pl.Series,
        signals: Sequence[str] | pl.Series,
        resources: Sequence[str | None] | pl.Series,
        topics: Sequence[str | None] | pl.Series,
        values: Sequence[float | None] | NDArray[np.floating],
        at: Sequence[int] | NDArray[np.int64],
        features: Features,
    ) -> "History":
        """Sort and encode events given as equally long columns, in any order.

        An event that names no feature (a resource or topic that is not in the catalogue, a check-in without a band)
        is left out, and a person without any event left as well.

        Args:
            people: (n,) the pseudonym of each event's person: a keyed hash, so any eight bytes of it are as good as
                random. A shorter one is followed by zeros.
            signals: (n,) ids of signals.
            resources: (n,) ids of resources, None where there is none.
            topics: (n,) ids of topics, None where there is none.
            values: (n,) numbers; None or NaN where there is none.
            at: (n,) microseconds since 1970 UTC.
            features: the columns that resources and topics become.

        Raises:
            ValueError: a signal is not in the catalogue of signals, or the columns differ in length.
        """
        person = pl.Series(people, dtype=pl.Binary)
        signal = _encode(signals, {name: number for number, name in enumerate(SIGNAL_IDS)}).astype(np.int8)
        resource, topic = _encode(resources, features.resource_index), _encode(topics, features.topic_index)
        value, moment = np.asarray(values, dtype=np.float32), np.asarray(at, dtype=np.int64)
        value = np.where(np.isnan(value), np.float32(np.nan), value)  # one NaN of the many that there are
        if len({len(column) for column in (person, signal, resource, topic, value, moment)}) > 1:
            raise ValueError("the columns differ in length")
        if np.any(signal < 0):
            raise ValueError("a signal is not in the catalogue of signals")
        names_resource = pl.Series(resources, dtype=pl.String).is_not_null().to_numpy()
        topic[
            names_resource
        ] = -1  # an event about a resource counts through it alone, as in `Features.column`
        mood = (signal == _CHECK_INS) & ~names_resource & (value >= 1) & (value <= MOOD_BANDS)
        keep = np.flatnonzero((resource >= 0) | (topic >= 0) | mood)
        return cls._sorted(
            _seeds(person.gather(keep)), signal[keep], resource[keep], topic[keep], value[keep], moment[keep]
        )

    @classmethod
    def _sorted(
        cls,
        people: NDArray[np.uint64],
        signal: NDArray[np.int8],
        resource: NDArray[np.int32],
        topic: NDArray[np.int32],
        value: NDArray[np.float32],
        at: NDArray[np.int64],
    ) -> "History":
        seeds, place = np.unique(people, return_inverse=True)
        person: NDArray[np.int32] = place.astype(np.int32)
        order = np.lexsort((content(signal, resource, topic, value), at, person))
        return cls(
            seeds=seeds,
            person=person[order],
            signal=signal[order],
            resource=resource[order],
            topic=topic[order],
            value=value[order],
            at=at[order],
        )

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(P + 1,) where each person's events begin, and the end."""
        return np.searchsorted(self.person, np.arange(len(self.seeds) + 1)).astype(np.int64)

    def column(self, features: Features) -> NDArray[np.int64]:
        """(n,) the feature column that each event counts through."""
        mood = (
            len(features.resources)
            + len(features.topics)
            - 1
            + np.nan_to_num(self.value, nan=1.0).astype(np.int64)
        )
        named = np.maximum(self.resource, self.topic).astype(np.int64)
        return np.where(named >= 0, named, mood)

    def where(self, mask: NDArray[np.bool_]) -> "History":
        """The events that a mask (n,) selects; the people stay as they are, though some may have no events left."""
        columns = ("person", "signal", "resource", "topic", "value", "at")
        return replace(self, **{name: getattr(self, name)[mask] for name in columns})

    def before(self, moment: int) -> "History":
        """The events strictly before a moment in microseconds; the people stay as they are."""
        return self.where(self.at < moment)

    def of(self, people: NDArray[np.bool_]) -> "History":
        """The events of the people that a mask (P,) selects, and of no one else."""
        chosen = self.where(people[self.person])
        renumbered = np.cumsum(people, dtype=np.int32) - np.int32(1)
        return replace(chosen, seeds=self.seeds[people], person=renumbered[chosen.person])


def _seeds(pseudonyms: pl.Series) -> NDArray[np.uint64]:
    """(n,) the first eight bytes of each pseudonym as a number."""
    head = pseudonyms.bin.head(8)
    if (head.bin.size() < 8).any():
        head = head.bin.encode("hex").str.pad_end(16, "0").str.decode("hex")
    return head.bin.reinterpret(dtype=pl.UInt64, endianness="big").to_numpy()


def _encode(names: Sequence[str | None] | pl.Series, index: Mapping[str, int]) -> NDArray[np.int32]:
    """(n,) the number of each name, -1 for none and for a name without a number."""
    column = pl.Series(names, dtype=pl.String)
    if not index:
        return np.full(len(column), -1, dtype=np.int32)
    numbers = column.replace_strict(dict(index), default=-1, return_dtype=pl.Int32).fill_null(-1)
    return numbers.to_numpy().astype(np.int32)
