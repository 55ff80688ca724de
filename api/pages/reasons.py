"""An explanation as bars that one can look at: what each reason adds to the score, on one scale per item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

BASE, ADJUSTMENT = "base", "adjustment"


@dataclass(frozen=True)
class Bar:
    """One reason and what it adds.

    `width` is its length in percent of the longest bar of the item. `kind` tells a thing the person did
    (`contribution`) from what the item has from the start (`base`) and from a named rule (`adjustment`); `name` is
    the signal or the rule, `about` the title of the resource or the id of the topic behind it.
    """

    kind: Literal["contribution", "base", "adjustment"]
    name: str
    about: str
    about_is: Literal["title", "topic", "band", ""]
    value: float
    width: float


def bars(explanation: Mapping[str, Any], titles: Mapping[str, str]) -> Sequence[Bar]:
    """Return the reasons of one item, in the order of the explanation, base first; their values add up to the score.

    Args:
        explanation: as the API gives it.
        titles: titles of resources by their ids.
    """
    rows: list[tuple[Literal["contribution", "base", "adjustment"], str, tuple[str, Any], float]] = [
        ("base", BASE, ("", ""), explanation["base"])
    ]
    rows += [
        ("contribution", each["signal"], _about(each, titles), each["value"])
        for each in explanation["contributions"]
    ]
    rows += [("adjustment", each["name"], ("", ""), each["value"]) for each in explanation["adjustments"]]
    longest = max(abs(value) for *_, value in rows) or 1.0
    return [
        Bar(kind, name, about, about_is, value, round(100 * abs(value) / longest, 1))  # type: ignore[arg-type]  # one of the four, by _about
        for kind, name, (about_is, about), value in rows
    ]


def _about(contribution: Mapping[str, Any], titles: Mapping[str, str]) -> tuple[str, str]:
    if contribution.get("resource_id"):
        return "title", titles.get(contribution["resource_id"], contribution["resource_id"])
    if contribution.get("topic"):
        return "topic", str(contribution["topic"])
    if contribution.get("band"):
        return "band", str(contribution["band"])
    return "", ""
