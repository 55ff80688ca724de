"""Is a model worth more than the same list for everyone, and than the release before it? Asked of what people took up after a moment.

The later part is what people took up for the first time in the last fifth of all such events, by one cut in time for
everybody. It is asked of those who had a profile by then. The whole catalogue is ranked, without what each had already
taken up. It says nothing on data of one moment.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender import kernels
from recommender.errors import NotEnoughData
from recommender.history import History
from recommender.profile import Features, ProfileConfig
from recommender.release import Release
from recommender.snapshots import first_taken_up, present_profiles

_CELLS = 10_000_000
"""Scores that are in memory at once."""


_CLEARLY = 2.0
"""Standard errors by which a mean difference over people is more than chance."""


@dataclass(frozen=True)
class HoldoutResult:
    """NDCG@10 on held-out events of the model, of popularity, and of the release before: means over `people`.

    `former_ndcg` is None where there is no release to compare with. `former_error` is the standard error of the
    difference between the two, person by person.
    """

    ndcg: float
    popularity_ndcg: float
    people: int
    former_ndcg: float | None = None
    former_error: float = math.inf

    @property
    def fell_behind(self) -> bool:
        """Whether the release before is better by more than chance."""
        return self.former_ndcg is not None and self.ndcg < self.former_ndcg - _CLEARLY * self.former_error

    @property
    def passed(self) -> bool:
        """Whether the model is worth more than the same list for everyone, and has not fallen behind."""
        return self.ndcg > self.popularity_ndcg and not self.fell_behind


@dataclass(frozen=True, eq=False)
class Trial:
    """What is asked of a model.

    Attributes:
        moment: microseconds, UTC; the model may know what is strictly before it.
        people: (n,) who is asked, as indices into the people of the history.
        profiles: (n, F) the people then.
        seen: (n, R) ones where a person had taken up a resource by then.
        later: (n, R) ones where they took it up for the first time from then on; no row is empty.
    """

    moment: int
    people: NDArray[np.intp]
    profiles: sparse.csr_array
    seen: sparse.csr_array
    later: sparse.csr_array

    @classmethod
    def of(
        cls, history: History, features: Features, config: ProfileConfig, moment: int | None = None
    ) -> "Trial":
        """Make a trial of people's events, at a moment or at the one that suits them.

        Raises:
            NotEnoughData: nobody with a profile took up something new from the moment on.
        """
        new = first_taken_up(history, config)
        if len(new) == 0:
            raise NotEnoughData("nobody has taken up a resource")
        if moment is None:
            moment = _moment(history.at[new])
        profiles = present_profiles(history.before(moment), features, config)
        before = history.at[new] < moment
        seen, later = (_pairs(history, new[mask], features) for mask in (before, ~before))
        people = np.flatnonzero((np.diff(later.indptr) > 0) & (np.diff(profiles.indptr) > 0))
        if len(people) == 0:
            raise NotEnoughData("nobody with a profile took up something new in the last fifth of the events")
        return cls(moment, people, profiles[people], seen[people], later[people])

    def judge(
        self, model: Release, uptakes: NDArray[np.float32], former: "Contender | None" = None
    ) -> HoldoutResult:
        """Compare a model of the events before the moment with the popularity (R,) of then, and with a former one."""
        everyone = self._ndcg(lambda block: np.tile(uptakes, (len(self.people[block]), 1)), len(uptakes))
        own = self._asked(Contender(model, self.profiles), model)
        result = HoldoutResult(float(own.mean()), float(everyone.mean()), len(self.people))
        if former is None:
            return result
        theirs = self._asked(former, model)
        error = float((own - theirs).std(ddof=1) / math.sqrt(len(own))) if len(own) > 1 else math.inf
        return replace(result, former_ndcg=float(theirs.mean()), former_error=error)

    def _asked(self, contender: "Contender", today: Release) -> NDArray[np.float64]:
        """(n,) each person's NDCG by a model, over the catalogue that another knows."""
        inputs = contender.model.inputs(today.features, today.resource_topics)
        outputs, biases = contender.model.outputs(today.features, today.resource_topics)
        queries = contender.profiles @ inputs
        return self._ndcg(lambda block: queries[block] @ outputs.T + biases, len(biases))

    def _ndcg(self, scores: Callable[[slice], NDArray[np.float32]], resources: int) -> NDArray[np.float64]:
        """(n,) each person's NDCG by the scores that a block of people gets."""
        size = max(1, _CELLS // resources)
        blocks = [slice(start, start + size) for start in range(0, len(self.people), size)]
        return np.concatenate([_ndcg(scores(block), self.seen[block], self.later[block]) for block in blocks])


@dataclass(frozen=True, eq=False)
class Contender:
    """A model with the profiles (n, F) that its own settings make of the people who are asked."""

    model: Release
    profiles: sparse.csr_array

    @classmethod
    def of(cls, model: Release, trial: Trial, history: History, features: Features) -> "Contender":
        """Make their profiles for a model of other settings, in the columns of today's features."""
        config = model.manifest.config.profile
        profiles = present_profiles(history.before(trial.moment), features, config)
        return cls(model, profiles[trial.people])


def _moment(at: NDArray[np.int64]) -> int:
    """The moment after which a fifth of these times lies, about: one person's leaving seldom moves it.

    It is rounded to a whole number of the largest power of two microseconds that divides their span into 64 parts at
    least, and lies after the first and no later than the last.
    """
    first, last = int(at.min()), int(at.max())
    unit = 1 << max(0, ((last - first) // 64).bit_length() - 1)
    moment = int(np.quantile(at, 0.8, method="higher"))
    return min(max(moment // unit * unit, first + 1), max(last, first + 1))


def _pairs(history: History, places: NDArray[np.int64], features: Features) -> sparse.csr_array:
    """(P, R) ones at the people and resources of some events, no pair of which occurs twice."""
    shape = (len(history.seeds), len(features.resources))
    ones = np.ones(len(places), dtype=np.float32)
    return sparse.coo_array((ones, (history.person[places], history.resource[places])), shape=shape).tocsr()


def _ndcg(
    scores: NDArray[np.float32], seen: sparse.csr_array, later: sparse.csr_array, depth: int = 10
) -> NDArray[np.float64]:
    """(rows,) NDCG of the best `depth` unseen resources; every row of `later` holds one at least."""
    unseen = scores.astype(np.float64)
    unseen[np.repeat(np.arange(len(scores)), np.diff(seen.indptr)), seen.indices] = -np.inf
    depth = min(depth, scores.shape[1])
    best = np.empty((len(scores), depth), dtype=np.int64)
    kernels.best(unseen, best)
    hits = np.where(best >= 0, np.take_along_axis(later.toarray(), best, axis=1), 0.0)
    discounts = 1.0 / np.log2(np.arange(2, depth + 2))
    ideal = np.cumsum(discounts)[np.minimum(np.diff(later.indptr), depth) - 1]
    return np.asarray(hits @ discounts / ideal)
