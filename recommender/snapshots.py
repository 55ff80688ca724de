"""Training rows: what a person's profile was at a past moment, and what they took up next.

Features come from before a cut and positives from after it; had both come from the same events, the model would
learn to repeat them. Cuts are drawn from counters mixed with the person's own seed, so one person's leaving changes
no one else's rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from consent.signals import SIGNALS, About
from recommender.history import SIGNAL_IDS, History
from recommender.mixing import mix
from recommender.profile import Family, Features, ProfileConfig, event_strengths, event_weights

_TAKEN_UP = frozenset(
    name for name, signal in SIGNALS.items() if signal.about is About.RESOURCE and name != "impressions"
)


class SnapshotConfig(BaseModel):
    """How many rows a person gives, and how long each is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cuts: int = Field(default=64, ge=1, description="The most training rows of one person.")
    positives: int = Field(default=10, ge=1, description="The most resources that one row has as its answer.")


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Training rows, ordered by person and then by time.

    Attributes:
        profiles: (rows, len(features)) float32.
        positives: (rows, R) float32, ones.
        person: (rows,) index of each row's person in the history.
    """

    profiles: sparse.csr_array
    positives: sparse.csr_array
    person: NDArray[np.int32]


def snapshots(
    history: History, features: Features, config: SnapshotConfig, profile_config: ProfileConfig
) -> Snapshots:
    """Cut every person's history at up to `config.cuts` random places.

    A cut lies just before a person takes up a resource for the first time, with something in the profile by then.
    The positives are that resource and those taken up for the first time after it. What the profile already holds is
    no positive: recommendations leave out what was seen.
    """
    counts = event_strengths(history.signal, history.value, SIGNAL_IDS, profile_config) > 0
    new = first_taken_up(history, profile_config)
    earlier = np.concatenate(([0], np.cumsum(counts)))
    candidates = new[earlier[new] > earlier[history.starts[history.person[new]]]]
    cuts = np.sort(_drawn(history, candidates, config.cuts))
    profiles = _profiles(history, features, profile_config, history.person[cuts], cuts)
    first = np.searchsorted(new, cuts)
    end = np.searchsorted(new, history.starts[1:])[history.person[cuts]]
    last = np.minimum(first + config.positives, end)
    taken = history.resource[new[_ranges(first, last)]]
    positives = sparse.csr_array(
        (np.ones(len(taken), dtype=np.float32), taken, np.concatenate(([0], np.cumsum(last - first)))),
        shape=(len(cuts), len(features.resources)),
    )
    positives.sort_indices()
    return Snapshots(profiles, positives, history.person[cuts])


def present_profiles(history: History, features: Features, profile_config: ProfileConfig) -> sparse.csr_array:
    """(P, len(features)) everyone's profile after their last event; an empty row for who has none."""
    people = np.arange(len(history.seeds), dtype=np.int32)
    return _profiles(history, features, profile_config, people, history.starts[1:])


def presence(history: History, features: Features, profile_config: ProfileConfig) -> sparse.csr_array:
    """(P, len(features)) float32 ones where a person has an event that counts through the feature."""
    counts = event_strengths(history.signal, history.value, SIGNAL_IDS, profile_config) > 0
    counts &= taken_back(history, profile_config) == len(history)
    place = history.person[counts], history.column(features)[counts]
    shape = (len(history.seeds), len(features))
    present = sparse.coo_array((np.ones(len(place[0]), dtype=np.float32), place), shape=shape).tocsr()
    present.data[:] = 1.0
    return present


def taken_up(history: History, profile_config: ProfileConfig) -> NDArray[np.bool_]:
    """(n,) whether an event is about using a resource; being shown one is not, nor is a low rating."""
    uses = np.array([name in _TAKEN_UP for name in SIGNAL_IDS])[history.signal]
    rated = history.signal == SIGNAL_IDS.index("ratings")
    disliked = rated & ~(history.value >= profile_config.liked_from)
    return np.asarray(uses & ~disliked & (history.resource >= 0))


def first_taken_up(history: History, profile_config: ProfileConfig) -> NDArray[np.int64]:
    """Places, ascending, of the events in which a person takes up a resource for the first time."""
    places = np.flatnonzero(taken_up(history, profile_config))
    pair = history.person[places].astype(np.int64) << 32 | history.resource[places]
    _, first = np.unique(pair, return_index=True)
    return np.sort(places[first])


def taken_back(history: History, profile_config: ProfileConfig) -> NDArray[np.int64]:
    """(n,) where the person's next low rating of the same resource stands, by which a good one is taken back; n for none."""
    n = len(history)
    until = np.full(n, n)
    rated = (history.signal == SIGNAL_IDS.index("ratings")) & (history.resource >= 0)
    low = rated & ~(history.value >= profile_config.liked_from)
    if not low.any() or low.sum() == rated.sum():
        return until
    places = np.flatnonzero(rated)
    pair = history.person[places].astype(np.int64) << 32 | history.resource[places]
    order = np.argsort(pair, kind="stable")
    places, pair = places[order], pair[order]
    here = np.where(low[places], np.arange(len(places)), len(places))
    following = np.minimum.accumulate(here[::-1])[::-1]
    found = np.flatnonzero(following < len(places))
    found = found[(pair[following[found]] == pair[found]) & ~low[places[found]]]
    until[places[found]] = places[following[found]]
    return until


def _drawn(history: History, candidates: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Up to `most` of each person's candidates: those to which the person's seed gives the smallest numbers."""
    person = history.person[candidates]
    start = np.searchsorted(person, np.arange(len(history.seeds)))
    number = (np.arange(len(candidates)) - start[person]).astype(np.uint64)
    order = np.lexsort((mix(history.seeds[person] ^ mix(number)), person))
    place = np.arange(len(candidates)) - start[person]
    return candidates[order[place < most]]


def _profiles(
    history: History,
    features: Features,
    config: ProfileConfig,
    person: NDArray[np.int32],
    cuts: NDArray[np.int64],
) -> sparse.csr_array:
    """(rows, len(features)) the profile of each row's person from their events before the place of the cut."""
    strength = event_strengths(history.signal, history.value, SIGNAL_IDS, config)
    until = taken_back(history, config)
    more = np.bincount(history.person[until < len(history)], minlength=len(history.seeds))
    column = history.column(features)
    family = np.full(len(history), Family.ENGAGEMENT)
    family[history.resource < 0] = Family.INTEREST
    family[(history.resource < 0) & (history.topic < 0)] = Family.MOOD
    total = sparse.csr_array((len(cuts), len(features)), dtype=np.float64)
    for kind in Family:
        events = np.flatnonzero((family == kind) & (strength > 0))
        end = np.searchsorted(events, cuts)
        begin = np.maximum(
            np.searchsorted(events, history.starts[person]), end - config.longest - more[person]
        )
        row = np.repeat(np.arange(len(cuts)), end - begin)
        used = events[_ranges(begin, end, newest_first=True)]
        if more.any():  # what was taken back by the cut leaves its place in the windows to older events
            stands = until[used] >= cuts[row]
            row, used = row[stands], used[stands]
        weights = event_weights(row * len(Family) + kind, strength[used], config)
        total += sparse.csr_array((weights, (row, column[used])), shape=total.shape)
    total = total.astype(np.float32)
    total.sort_indices()
    return total


def _ranges(
    begin: NDArray[np.int64], end: NDArray[np.int64], *, newest_first: bool = False
) -> NDArray[np.int64]:
    """The numbers from each `begin` up to its `end`, one range after another, each descending if newest first."""
    sizes = end - begin
    offset = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    if newest_first:
        return np.asarray(np.repeat(end - 1, sizes) - offset)
    return np.asarray(np.repeat(begin, sizes) + offset)
