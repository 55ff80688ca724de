"""An explanation as bars that one can look at: what each reason adds to the score, on one scale per item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

BarKind = Literal["base", "contribution", "adjustment", "smaller"]
AboutKind = Literal["title", "topic", "band", ""]

_AT_FIRST = 5


@dataclass(frozen=True)
class Bar:
    """One reason and what it adds.

    Attributes:
        kind: a thing the person did (`contribution`), what the item has from the start (`base`), a named rule
            (`adjustment`), or the sum of all that is not shown at first (`smaller`).
        name: the signal or the rule.
        about_is: what `about` is: the title of a resource, the id of a topic, the band of a check-in.
        about: what the reason is about.
        value: what it adds to the score.
        width: the bar's length in percent of the item's longest.
    """

    kind: BarKind
    name: str
    about_is: AboutKind
    about: str
    value: float
    width: float


@dataclass(frozen=True)
class Reasons:
    """The reasons of one item: `first` add up to its score; `smaller` are what one of them stands for."""

    first: Sequence[Bar]
    smaller: Sequence[Bar]


def reasons(explanation: Mapping[str, Any], titles: Mapping[str, str]) -> Reasons:
    """Return the reasons of one item.

    Args:
        explanation: as the API gives it, strongest contributions first.
        titles: titles of resources by their ids.
    """
    contributions = explanation["contributions"]
    few = len(contributions) <= _AT_FIRST + 1
    at_first, later = (contributions, []) if few else (contributions[:_AT_FIRST], contributions[_AT_FIRST:])
    together = sum(each["value"] for each in later)
    values = [each["value"] for each in (*contributions, *explanation["adjustments"])]
    longest = max(abs(value) for value in (*values, explanation["base"], together)) or 1.0

    def bar(kind: BarKind, name: str, value: float, about_is: AboutKind = "", about: str = "") -> Bar:
        return Bar(kind, name, about_is, about, value, round(100 * abs(value) / longest, 1))

    def contribution(each: Mapping[str, Any]) -> Bar:
        return bar("contribution", each["signal"], each["value"], *_about(each, titles))

    first = [bar("base", "", explanation["base"]), *map(contribution, at_first)]
    if later:
        first.append(bar("smaller", "", together))
    first += [bar("adjustment", each["name"], each["value"]) for each in explanation["adjustments"]]
    return Reasons(first, [contribution(each) for each in later])


def _about(contribution: Mapping[str, Any], titles: Mapping[str, str]) -> tuple[AboutKind, str]:
    if contribution.get("resource_id"):
        return "title", titles.get(contribution["resource_id"], contribution["resource_id"])
    if contribution.get("topic"):
        return "topic", str(contribution["topic"])
    if contribution.get("band"):
        return "band", str(contribution["band"])
    return "", ""
