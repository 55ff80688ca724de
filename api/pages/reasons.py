"""An explanation as bars that one can look at: what each signal adds to the score, and what each thing it was about does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

BarKind = Literal["base", "signal", "thing", "adjustment", "smaller"]
AboutKind = Literal["title", "topic", "band", ""]

_AT_FIRST = 5
_ABOUT: Mapping[str, AboutKind] = {"resource_id": "title", "topic": "topic", "band": "band"}

_Line = Mapping[str, Any]
"""A contribution as the API gives it."""


@dataclass(frozen=True)
class Bar:
    """One reason and what it adds.

    Attributes:
        kind: all that the person did of one kind (`signal`), or with one thing (`thing`), what the item has from the
            start (`base`), a named rule (`adjustment`), or the things that are not shown at first together (`smaller`).
        value: what it adds to the score.
        name: the signal or the rule.
        about_is: what `about` is: the title of a resource, the id of a topic, the band of a check-in.
        about: what the reason is about.
        share: of a signal: its part, in percent, in all that signals add or take away.
        parts: what it is the sum of, the strongest first; none when it is one line.
    """

    kind: BarKind
    value: float
    name: str = ""
    about_is: AboutKind = ""
    about: str = ""
    share: int | None = None
    parts: Sequence["Bar"] = ()


@dataclass(frozen=True)
class Reasons:
    """The reasons of one item.

    Attributes:
        by_signal: what its score is the sum of.
        by_thing: what signals add to it, thing by thing.
        longest: the largest value among all bars, so that they can be drawn on one scale; above zero.
        signed: whether any bar takes something away, so that all are drawn from the middle.
    """

    by_signal: Sequence[Bar]
    by_thing: Sequence[Bar]
    longest: float
    signed: bool


def reasons(explanation: Mapping[str, Any], titles: Mapping[str, str]) -> Reasons:
    """Return the reasons of one item.

    Args:
        explanation: as the API gives it, strongest contributions first.
        titles: titles of resources by their ids.
    """
    signals = _grouped(explanation["contributions"], lambda line: line["signal"])
    things = _grouped(explanation["contributions"], lambda line: [line.get(key) for key in _ABOUT])
    moved = sum(abs(_sum(lines)) for lines in signals) or 1.0
    by_signal = [
        Bar("base", explanation["base"]),
        *(_signal(lines, titles, moved) for lines in signals),
        *(Bar("adjustment", each["value"], each["name"]) for each in explanation["adjustments"]),
    ]
    by_thing = _few([_thing(lines, titles) for lines in things])
    values = [value for bar in (*by_signal, *by_thing) for value in _values(bar)]
    return Reasons(by_signal, by_thing, max(map(abs, values)) or 1.0, min(values) < 0)


def _grouped(lines: Sequence[_Line], key: Callable[[_Line], object]) -> list[list[_Line]]:
    """The lines that have a key in common together, the groups that add or take away most first."""
    groups: dict[str, list[_Line]] = {}
    for line in lines:
        groups.setdefault(repr(key(line)), []).append(line)
    return sorted(groups.values(), key=lambda group: -abs(_sum(group)))


def _sum(lines: Sequence[_Line]) -> float:
    return float(sum(line["value"] for line in lines))


def _signal(lines: Sequence[_Line], titles: Mapping[str, str], moved: float) -> Bar:
    """All that the person did of one kind; `moved` is what all kinds add or take away."""
    bar = Bar("signal", _sum(lines), lines[0]["signal"])
    bar = replace(bar, share=round(100 * abs(bar.value) / moved))
    if len(lines) == 1:
        return replace(bar, **_about(lines[0], titles))
    return replace(bar, parts=[Bar("thing", line["value"], **_about(line, titles)) for line in lines])


def _thing(lines: Sequence[_Line], titles: Mapping[str, str]) -> Bar:
    """All that the person did with one thing."""
    bar = Bar("thing", _sum(lines), **_about(lines[0], titles))
    if len(lines) == 1:
        return replace(bar, name=lines[0]["signal"])
    return replace(bar, parts=[Bar("signal", line["value"], line["signal"]) for line in lines])


def _about(line: _Line, titles: Mapping[str, str]) -> dict[str, Any]:
    """What a line is about, as the fields of a bar."""
    for key, kind in _ABOUT.items():
        if line.get(key):
            about = str(line[key])
            return {"about_is": kind, "about": titles.get(about, about) if kind == "title" else about}
    return {}


def _few(bars: Sequence[Bar]) -> Sequence[Bar]:
    """The first bars, and one for all others together."""
    if len(bars) <= _AT_FIRST + 1:
        return bars
    later = bars[_AT_FIRST:]
    return [*bars[:_AT_FIRST], Bar("smaller", sum(bar.value for bar in later), parts=later)]


def _values(bar: Bar) -> Iterator[float]:
    """The values of a bar and of all that it is made of."""
    yield bar.value
    for part in bar.parts:
        yield from _values(part)
