"""A person's granted events become one sparse vector; training and serving share this one function.

An event counts through the feature that it names: the resource, the topic, or the band of mood. Events fall into
three families (engagement with resources, interest in topics, mood), so that daily check-ins never crowd out what a
person used. Within a family, several windows of the newest events are averaged, each window normalised to a mean:

    weight(e) = strength(e) * family_weight * mean over windows n of [e is among the newest n] / sum of strengths of the newest n

so a profile has the same length whether a person shared five events or five hundred, and the newest count most.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

MOOD_BANDS = 5


class Family(IntEnum):
    """Which of the three windows an event belongs to."""

    ENGAGEMENT = 0
    INTEREST = 1
    MOOD = 2


class ProfileConfig(BaseModel):
    """How events weigh; part of a release's manifest, so that serving weighs as training did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: tuple[Annotated[int, Field(ge=1)], ...] = (5, 10, 30, 100)
    strengths: Mapping[str, float] = Field(
        default={
            "views": 1.0,
            "completions": 1.0,
            "saves": 1.0,
            "ratings": 1.0,
            "time_spent": 1.0,
            "groups": 1.0,
            "searches": 1.0,
            "topics": 1.0,
            "check_ins": 1.0,
        },
        description="How much one event of a signal counts. A signal that is not named does not count.",
    )
    family_weights: tuple[float, float, float] = (1.0, 0.5, 0.25)
    liked_from: float = Field(
        default=3.0, description="A rating below this says: not for me. It does not count."
    )

    @property
    def longest(self) -> int:
        """The most events of one family that can count."""
        return max(self.windows)


@dataclass(frozen=True)
class Features:
    """The columns of a profile: every resource, then every topic, then the bands of mood.

    `resources` and `topics` are sorted, so that equal catalogues give equal columns.
    """

    resources: tuple[str, ...]
    topics: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.resources) + len(self.topics) + MOOD_BANDS

    @cached_property
    def resource_index(self) -> dict[str, int]:
        """Column of a resource by its id."""
        return {name: column for column, name in enumerate(self.resources)}

    @cached_property
    def topic_index(self) -> dict[str, int]:
        """Column of a topic by its id."""
        return {name: column for column, name in enumerate(self.topics, start=len(self.resources))}


def event_strengths(
    signal: NDArray[np.int8], value: NDArray[np.float32], signals: tuple[str, ...], config: ProfileConfig
) -> NDArray[np.float64]:
    """How much each event counts before windows and families are considered.

    Args:
        signal: (n,) index into `signals`.
        value: (n,) the events' values, NaN where there is none.
        signals: the ids of signals.
        config: the signals' strengths, and the rating from which a resource is liked.

    Returns:
        (n,) strengths; zero for a signal that does not count, and for a rating that says: not for me.
    """
    strength = np.array([config.strengths.get(name, 0.0) for name in signals])[signal]
    rated = np.array([name == "ratings" for name in signals])[signal]
    return np.where(rated & ~(value >= config.liked_from), 0.0, strength)


def topic_shares(resource_topics: sparse.csr_array, share: float) -> sparse.csr_array:
    """(R, T) what a resource hands to each of its topics: `share` between them, in equal parts."""
    linked = sparse.csr_array(resource_topics != 0, dtype=np.float64)
    count = np.maximum(linked.sum(axis=1), 1.0)
    return sparse.csr_array(linked.multiply(share / count[:, None]), dtype=np.float64)


def event_weights(
    group: NDArray[np.int64], strength: NDArray[np.float64], config: ProfileConfig
) -> NDArray[np.float64]:
    """Weigh events that are ordered by group, and newest first within each group.

    Args:
        group: (n,) a number per (profile, family) as `profile * 3 + family`, ascending.
        strength: (n,) how much each event counts, all above 0.
        config: the windows and the families' weights.

    Returns:
        (n,) weights; those of one group sum to its family's weight. Zero for events older than every window.
    """
    n = len(group)
    if n == 0:
        return np.zeros(0)
    starts = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
    sizes = np.diff(np.append(starts, n))
    place = np.arange(n) - np.repeat(starts, sizes)
    segment = np.repeat(np.arange(len(starts)), sizes)
    weight = np.zeros(n)
    for window in config.windows:
        inside = place < window
        # Summed group by group, not as differences of one running sum: a group's weights must not depend, not even
        # in the last bit, on who stands before it.
        total = np.bincount(segment, weights=strength * inside, minlength=len(starts))
        weight += np.where(inside, 1.0 / total[segment], 0.0)
    families = np.asarray(config.family_weights)[group % len(Family)]
    return np.asarray(strength * families * weight / len(config.windows), dtype=np.float64)
