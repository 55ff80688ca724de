"""What is shown, and how often: whether lists dwell on the few items that everyone knows anyway."""

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.metric import (
    Background,
    Cuts,
    MeanOverPeople,
    Measured,
    OfAllLists,
    batches,
    listed,
    running,
)
from evaluation.ranking import NOTHING, Lists


def coverage(lists: Lists, _background: Background, k: int) -> Measured:
    """Share of the catalogue that is in at least one person's list.

    Formula: |union of lists@k| / |catalogue|. From 0 to 1.
    Edge: it grows with the number of people, so compare it only among models measured on the same people. A bootstrap
    sample holds fewer different people and would be too low throughout; so a person's share is the jackknife's,
    (U - 1) * (items that no one else was shown) / |catalogue|, which has the right spread around the value.
    Source: Ge, Delgado-Battenfeld and Jannach, RecSys 2010 (catalogue coverage); Efron and Stein, Annals of Statistics
    9(3), 1981 (jackknife).
    """
    shown = lists.items[:, :k]
    there = shown != NOTHING
    times = np.bincount(shown[there], minlength=lists.catalogue)
    alone = (there & (times[np.maximum(shown, 0)] == 1)).sum(axis=1)
    shares = (len(shown) - 1) * alone / lists.catalogue
    return Measured(float((times > 0).sum() / lists.catalogue), shares, len(shown))


def gini(lists: Lists, _background: Background, k: int) -> Measured:
    """How unequally the catalogue's items share the places in people's lists.

    Formula: with x_1 <= ... <= x_I the times that each item is listed, sum over i of (2i - I - 1) x_i / (I * sum of x).
    0 where all are listed equally often, (I - 1) / I where all places go to one item.
    Edge: not defined where nothing is listed. Items listed equally often share the mean of their places. A person's
    share is the infinitesimal jackknife's: how the value changes as this person counts more.
    Source: Gini, 1912; as a measure of sales diversity: Fleder and Hosanagar, Management Science 55(5), 2009.
    """
    shown = lists.items[:, :k]
    there = shown != NOTHING
    times = np.bincount(shown[there], minlength=lists.catalogue).astype(np.float64)
    total = times.sum()
    if not total:
        return Measured(None, np.zeros(len(shown)), 0)
    _, group, sizes = np.unique(times, return_inverse=True, return_counts=True)
    place = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    slope = (2 * place - lists.catalogue - 1) / (lists.catalogue * total)
    value = float(slope @ times)
    moves = np.where(there, (slope - value / total)[np.maximum(shown, 0)], 0.0).sum(axis=1)
    return Measured(value, value + len(shown) * moves, len(shown))


def novelty(lists: Lists, background: Background, cuts: Cuts) -> NDArray[np.float64]:
    """How little known the listed items are: mean self-information.

    Formula: mean over the list of -log2(people who took up the item / people). 0 where everyone knows everything.
    Edge: an item that nobody took up counts as if one person had; an empty list has no value.
    Source: Zhou et al., PNAS 107(10), 2010; Vargas and Castells, RecSys 2011.
    """
    information = -np.log2(np.maximum(background.counts, 1) / max(1, background.people))
    there = lists.items != NOTHING
    total = running(np.where(there, information[np.maximum(lists.items, 0)], 0.0), cuts)
    return _mean_of_listed(total, listed(lists, cuts))


def popularity_lift(lists: Lists, background: Background, k: int) -> Measured:
    """How much more popular the lists are than what the same people chose for themselves.

    Formula: mean over people of (mean popularity of the list), divided by mean over people of (mean popularity of
    what they are known to have taken up), minus 1; an item's popularity is the share of people who took it up.
    0 where lists are as popular as people's own choices; above 0 popularity is amplified.
    Edge: people with an empty list, or of whom nothing is known, do not count; not defined where nobody counts, or
    where nothing that people know was ever learned from. A person's share is the delta method's, of a ratio of means.
    Source: Abdollahpouri, Mansoury, Burke and Mobasher, "The unfairness of popularity bias in recommendation", RMSE
    2019 (there in percent).
    """
    popular = background.popularity
    shown, own = np.zeros(len(lists.items)), np.zeros(len(lists.items))
    for part in batches(len(shown)):
        known = background.known[part]
        items = lists.items[part, :k]
        there = items != NOTHING
        listed_popularity = np.where(there, popular[np.maximum(items, 0)], 0.0).sum(axis=1)
        shown[part] = _mean_of_listed(listed_popularity, there.sum(axis=1))
        own[part] = _mean_of_listed(known @ popular, np.diff(known.indptr))
    counts = ~(np.isnan(shown) | np.isnan(own))
    people = int(counts.sum())
    usual = float(own[counts].mean()) if people else 0.0
    if usual == 0:
        return Measured(None, np.zeros(len(shown)), 0)
    ratio = float(shown[counts].mean()) / usual
    moves = np.where(counts, shown - ratio * own, 0.0) / usual * (len(shown) / people)
    return Measured(ratio - 1, ratio - 1 + moves, people)


def _mean_of_listed(total: NDArray[np.float64], count: NDArray[np.generic]) -> NDArray[np.float64]:
    """Divide, with NaN (not defined) where there is nothing."""
    return np.asarray(
        np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0)
    )


COVERAGE = OfAllLists(
    "Coverage",
    "the share of the catalogue that anyone is shown; higher gives more items a chance, and says nothing of accuracy",
    "higher",
    of=coverage,
)
GINI = OfAllLists(
    "Gini",
    "how unequally items share the places in people's lists; 0 is equal, 1 is one item for all",
    "lower",
    of=gini,
)
NOVELTY = MeanOverPeople(
    "Novelty",
    "how little known the listed items are, in bits; one bit more is half as many people",
    "neither",
    values=novelty,
)
POPULARITY_LIFT = OfAllLists(
    "Popularity lift",
    "how much more popular the lists are than what the same people chose themselves; 0 is as popular, 1 is twice",
    "neither",
    of=popularity_lift,
)
