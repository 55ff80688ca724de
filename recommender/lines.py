"""A person's permitted events as lines: each is one signal with one thing, and has one weight in the profile."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consent.signals import SIGNALS
from recommender import kernels
from recommender.history import content
from recommender.profile import MOOD_BANDS, Family, Features, ProfileConfig
from recommender.query import HistoryEvent

SIGNAL_IDS = tuple(SIGNALS)
SIGNAL_NUMBERS = {name: number for number, name in enumerate(SIGNAL_IDS)}

_JUDGED = frozenset({"ratings", "check_ins"})
_UNTRAINED = ProfileConfig()


@dataclass(slots=True)
class Lines:
    """What the ranker knows of a person while it answers. Signals are told by their numbers in `SIGNAL_IDS`.

    `signals`, `columns` and `strengths` have one entry per line: its signal, its feature, and how much one of its
    events counts. `events` has, per family, the line of every event that counts, newest first. `seen` and
    `concerns` name the rows of the resources used, and the topics named, by signal. `shown` and `disliked` are the
    rows of resources that were shown, and of those that were rated low.
    """

    signals: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    strengths: list[float] = field(default_factory=list)
    events: Sequence[list[int]] = field(default_factory=lambda: tuple([] for _ in Family))
    seen: dict[int, list[int]] = field(default_factory=dict)
    concerns: dict[int, list[str]] = field(default_factory=dict)
    shown: list[int] = field(default_factory=list)
    disliked: list[int] = field(default_factory=list)

    def weights(self, removed: NDArray[np.int64], config: ProfileConfig) -> NDArray[np.float64]:
        """(profiles, lines) the weight of each line, in a profile for each signal that is left out."""
        signals, strengths = np.array(self.signals, dtype=np.int64), np.array(self.strengths)
        windows = np.array(config.windows)
        weights: NDArray[np.float64] = np.zeros((len(removed), len(signals)))
        for events, family_weight in zip(self.events, config.family_weights, strict=True):
            if events:
                share = family_weight / len(windows)
                kernels.weigh(np.array(events), signals, strengths, removed, windows, share, weights)
        return weights


def read_lines(  # noqa: C901, PLR0912  one loop over a person's events, on every request: a call per event would double it
    history: Iterable[HistoryEvent | tuple[Any, ...]],
    signals: Collection[str],
    features: Features,
    config: ProfileConfig | None,
) -> Lines:
    """Read a person's events, newest first, keeping those of the signals given and no other.

    Events of the same moment are taken in the order of their content, so that the order of the rows never matters.
    Without a configuration (no release) nothing weighs, and only what was seen, shown and named is kept.
    """
    told = Lines()
    numbers = {name: SIGNAL_NUMBERS[name] for name in signals}
    strengths = {} if config is None else config.strengths
    liked_from = (config or _UNTRAINED).liked_from
    rows, width = features.resource_index, len(features)
    engaged = told.events[Family.ENGAGEMENT]
    places: dict[int, int] = {}
    liked: set[int] = set()
    taken_back: set[int] = set()
    for signal, resource_id, topic, value, _ in _in_order(history, features):
        number = numbers.get(signal)
        if number is None:
            continue
        if resource_id is not None:  # most events are about a resource: `Features.column` in short
            column, events = rows.get(resource_id), engaged
            if column is None:
                continue
            if signal == "impressions":  # what was merely shown may come back
                told.shown.append(column)
            else:
                told.seen.setdefault(number, []).append(column)
        else:
            if topic is not None:
                told.concerns.setdefault(number, []).append(topic)
            found = features.column(None, topic, value)
            if found is None:
                continue
            column, events = found[0], told.events[found[1]]
        strength = strengths.get(signal, 0.0)
        if signal in _JUDGED and not _speaks_for(signal, value, liked_from):
            if signal == "ratings" and resource_id is not None:
                taken_back.add(column)  # whatever was said before
                if column not in liked:
                    told.disliked.append(column)
            continue
        if signal == "ratings":
            if column in taken_back:
                continue
            liked.add(column)  # since it was rated low
        if strength <= 0.0:
            continue
        key = number * width + column
        line = places.get(key)
        if line is None:
            places[key] = line = len(told.columns)
            told.signals.append(number)
            told.columns.append(column)
            told.strengths.append(strength)
        events.append(line)
    return told


def _in_order(history: Iterable[Any], features: Features) -> list[Any]:
    """Newest first, and those of one moment as training has them."""
    rows = list(history)
    if all(newer[4] > older[4] for newer, older in pairwise(rows)):
        return rows
    resource, topic = features.resource_index, features.topic_index
    mixed = content(
        np.array([SIGNAL_NUMBERS.get(row[0], -1) for row in rows], dtype=np.int8),
        np.array([-1 if row[1] is None else resource.get(row[1], -1) for row in rows], dtype=np.int32),
        np.array([-1 if row[1] is not None else topic.get(row[2], -1) for row in rows], dtype=np.int32),
        np.array([np.nan if row[3] is None else row[3] for row in rows], dtype=np.float32),
    ).tolist()
    places = sorted(range(len(rows)), key=lambda place: (rows[place][4], mixed[place]), reverse=True)
    return [rows[place] for place in places]


def _speaks_for(signal: str, value: float | None, liked_from: float) -> bool:
    """Whether the value of an event lets it count, as in `profile.event_strengths`: liked enough, a band there is."""
    if value is None:
        return False
    return value >= liked_from if signal == "ratings" else 1 <= value <= MOOD_BANDS
