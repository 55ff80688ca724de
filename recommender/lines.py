"""A person's permitted events as lines: each is one signal with one thing, and has one weight in the profile."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consent.signals import SIGNALS
from recommender.profile import MOOD_BANDS, Family, Features, ProfileConfig, event_weights
from recommender.query import HistoryEvent, Line

SIGNAL_IDS = tuple(SIGNALS)
_NUMBER = {name: number for number, name in enumerate(SIGNAL_IDS)}

NEVER_SEEN = frozenset({"impressions"})
"""Signals about a resource that do not mean the person has used it: what was merely shown may come back."""

_UNKNOWN = -1
_JUDGED = frozenset({"ratings", "check_ins"})


@dataclass(slots=True)
class Lines:
    """What the ranker knows of a person while it answers.

    `lines` and `columns` belong together; the events point into them by `line`. Events are ordered by family, and
    newest first within it. `seen` and `concerns` name the resources used and the topics named, by signal.
    """

    lines: list[Line] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    signal: list[int] = field(default_factory=list)
    family: list[int] = field(default_factory=list)
    strength: list[float] = field(default_factory=list)
    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    concerns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def weights(self, without: Iterable[int], config: ProfileConfig) -> NDArray[np.float64]:
        """(profiles, lines) the weight of each line, in a profile for each signal number that is left out.

        A number that no signal has (-1) leaves nothing out.
        """
        removed = np.array(list(without), dtype=np.int64)
        count = len(self.lines)
        signal, family = np.array(self.signal, dtype=np.int64), np.array(self.family, dtype=np.int64)
        profile, event = np.nonzero(signal != removed[:, None])
        group = profile * len(Family) + family[event]
        weight = event_weights(group, np.array(self.strength, dtype=np.float64)[event], config)
        cell = profile * count + np.array(self.line, dtype=np.int64)[event]
        cells = np.bincount(cell, weight, len(removed) * count).astype(np.float64, copy=False)
        return cells.reshape(len(removed), count)


def read_lines(
    history: Iterable[HistoryEvent | tuple[Any, ...]],
    signals: Collection[str],
    features: Features,
    config: ProfileConfig | None,
) -> Lines:
    """Read a person's events, newest first, keeping those of the signals given and no other.

    Events of the same moment are taken in the order of their content, so that the order of the rows never matters.
    Without a configuration (no release) nothing weighs, and only what was seen and named is kept.
    """
    told = Lines()
    rows = [row for row in _in_order(history) if row[0] in signals]
    for signal, resource_id, topic, *_ in rows:
        if resource_id is None:
            if topic is not None:
                told.concerns[signal].add(topic)
        elif signal not in NEVER_SEEN:
            told.seen[signal].add(resource_id)
    if config is not None:
        _weigh(told, rows, features, config)
    return told


def _weigh(told: Lines, rows: Iterable[Any], features: Features, config: ProfileConfig) -> None:
    """Make lines of the events that count."""
    counted: tuple[list[tuple[int, int, float]], ...] = ([], [], [])
    place: dict[tuple[str, int], int] = {}
    strengths, resources = config.strengths, features.resource_index
    for signal, resource_id, topic, value, _, receipt_id in rows:
        strength = strengths.get(signal, 0.0)
        if strength <= 0.0 or (signal in _JUDGED and not _speaks_for(signal, value, config)):
            continue
        if resource_id is not None:  # most events are about a resource: `Features.column` in short
            column, family = resources.get(resource_id, _UNKNOWN), Family.ENGAGEMENT
        else:
            column, family = features.column(None, topic, value) or (_UNKNOWN, Family.MOOD)
        if column == _UNKNOWN:
            continue
        number = place.get((signal, column))
        if number is None:
            place[signal, column] = number = len(told.lines)
            band = int(value) if family is Family.MOOD and value is not None else None
            told.lines.append(Line(signal, resource_id, None if resource_id else topic, band, receipt_id))
            told.columns.append(column)
        counted[family].append((number, _NUMBER[signal], strength))
    for family, events in zip(Family, counted, strict=True):
        told.family += [family] * len(events)
        for number, signal_number, strength in events:
            told.line.append(number)
            told.signal.append(signal_number)
            told.strength.append(strength)


def _in_order(history: Iterable[Any]) -> list[Any]:
    rows = list(history)
    if all(newer[4] > older[4] for newer, older in pairwise(rows)):
        return rows
    rows.sort(
        key=lambda row: (row[0], row[1] or "", row[2] or "", -1.0 if row[3] is None else row[3], row[5] or "")
    )
    rows.sort(key=lambda row: row[4], reverse=True)  # stable: the order of content stays within a moment
    return rows


def _speaks_for(signal: str, value: float | None, config: ProfileConfig) -> bool:
    """Whether the value of an event lets it count, as in `profile.event_strengths`: liked enough, a band there is."""
    if value is None:
        return False
    return value >= config.liked_from if signal == "ratings" else 1 <= value <= MOOD_BANDS
