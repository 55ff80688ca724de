"""A person's permitted events as lines: each is one signal with one thing, and has one weight in the profile."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import gt
from typing import Any

import numpy as np

from consent.signals import SIGNALS
from recommender import kernels
from recommender.profile import MOOD_BANDS, Family, Features, ProfileConfig
from recommender.query import Floats, HistoryEvent, Rows

SIGNAL_IDS = tuple(SIGNALS)
SIGNAL_NUMBERS = {name: number for number, name in enumerate(SIGNAL_IDS)}

_KINDS = {"impressions": kernels.SHOWN, "ratings": kernels.RATED, "check_ins": kernels.FELT}


@dataclass(slots=True)
class Lines:
    """What the ranker knows of a person while it answers. Signals are told by their numbers in `SIGNAL_IDS`."""

    signals: Rows
    """(L + C,) the signal of each line; behind the person's own come the topics of the call itself, as `CONTEXT`."""
    columns: Rows
    """(L + C,) the feature of each line."""
    strengths: Floats
    """(L + C,) how much one event of each line counts; 0 for the call's."""
    groups: Rows
    """(L + C,) the signal of each line as a place in `grouped`."""
    grouped: list[int]
    """The signals that have lines, in the order of their first; the topics of the call last."""
    events: Rows
    """The line of every event that counts, family after family, newest first in each."""
    starts: Rows
    """Where each family starts in `events`, and where the last one ends."""
    own: int
    """L: how many lines are the person's own."""
    seen: dict[int, list[int]]
    """By signal, the rows of the resources that were used."""
    concerns: dict[int, list[str]]
    """By signal, the topics that were named."""
    shown: list[int]
    """The row of a resource for every time that one was shown."""
    disliked: list[int]
    """The rows of resources that were rated low."""

    def weights(self, removed: Rows, weighing: "Weighing") -> Floats:
        """(profiles, L + C) the weight of each line, in a profile for each signal that is left out."""
        weights: Floats = np.zeros((len(removed), len(self.columns)))
        kernels.weigh(
            self.events,
            self.starts,
            self.signals,
            self.strengths,
            removed,
            weighing.windows,
            weighing.shares,
            weights,
        )
        if self.own < len(self.columns):
            weights[:, self.own :] = weighing.context / (len(self.columns) - self.own)
        return weights


class Weighing:
    """How events weigh, as the loops take it; made once for a configuration.

    Args:
        config: that of a release; None where there is none: then nothing weighs, and only what was seen, shown and
            named is kept.
    """

    def __init__(self, config: ProfileConfig | None) -> None:
        told = config or ProfileConfig(strengths={})
        self.windows = np.array(told.windows)
        self.shares = np.array(told.family_weights) / len(told.windows)
        self.context = told.family_weights[Family.INTEREST]
        """What the topics of a call weigh together."""
        self.rules: Mapping[str, kernels.Rule] = {
            name: (
                number,
                told.strengths.get(name, 0.0),
                _KINDS.get(name, kernels.COUNTS),
                told.liked_from,
            )
            for name, number in SIGNAL_NUMBERS.items()
        }


def read_lines(
    history: Iterable[HistoryEvent | tuple[Any, ...]],
    signals: Iterable[str],
    features: Features,
    weighing: Weighing,
    context: Sequence[int] = (),
) -> Lines:
    """Read a person's events, newest first, keeping those of the signals given and no other.

    Events of the same moment are taken in the order of their content, so that the order of the rows never matters.
    `context` are the features of the topics of the call itself.
    """
    rules = {name: weighing.rules[name] for name in signals}
    first_band = len(features) - MOOD_BANDS
    rows = _in_order(history, features)
    return Lines(
        *kernels.read(
            rows, rules, features.resource_index, features.topic_index, first_band, MOOD_BANDS, [*context]
        )
    )


def _in_order(history: Iterable[Any], features: Features) -> list[Any]:
    """Newest first, and those of one moment as training has them."""
    rows = list(history)
    times = [row[4] for row in rows]
    if all(map(gt, times, islice(times, 1, None))):
        return rows
    mixed = kernels.mixed(rows, SIGNAL_NUMBERS, features.resource_index, features.topic_index)
    # Rows that are alike in both may go either way: what they say is the same.
    newest_first = sorted(zip(times, mixed, range(len(rows)), strict=True), reverse=True)
    return [rows[place] for _, _, place in newest_first]
