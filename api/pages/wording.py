"""The words of the pages, in every language they are offered in, and which language a browser gets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import yaml

LANGUAGES: Mapping[str, str] = {"en": "English", "es": "Español"}
"""The languages of the pages, by the name that their speakers give them; the first is the fallback."""


@dataclass(frozen=True)
class Words:
    """The texts of one language; calling it with a key gives the text, with its `{places}` filled."""

    locale: str
    texts: Mapping[str, str]
    months: tuple[str, ...]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text; KeyError when the key has none."""
        text = self.texts[key]
        return text.format(**values) if values else text

    def count(self, key: str, number: int, **values: object) -> str:
        """Return a text for one or for another number of things: its keys end in `.one` and `.other`."""
        return self(f"{key}.{'one' if number == 1 else 'other'}", number=number, **values)

    def day(self, at: int) -> str:
        """Write the day (UTC) of a moment in microseconds."""
        moment = _moment(at)
        return self("date", day=moment.day, month=self.months[moment.month - 1], year=moment.year)

    def time(self, at: int) -> str:
        """Write the minute (UTC) of a moment in microseconds."""
        return self("date_time", date=self.day(at), time=_moment(at).strftime("%H:%M"))

    def span(self, length: timedelta) -> str:
        """Write a length of time in the largest unit that is whole."""
        if length.days % 365 == 0:
            return self.count("span.years", length.days // 365)
        if length.days >= 180:
            return self.count("span.months", round(length.days / 30.5))
        return self.count("span.days", length.days)

    def topic(self, topic: str) -> str:
        """Write the name of a topic; of one that is not known, its id with spaces."""
        return self.texts.get(f"topics.{topic}", topic.replace("_", " "))

    def kind(self, kind: str) -> str:
        """Write what sort of thing a resource is."""
        return self(f"kinds.{kind}")


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC)


@cache
def words(locale: str) -> Words:
    """Return the words of one of `LANGUAGES`."""
    text = (resources.files("api.pages") / "texts" / f"{locale}.yaml").read_text("utf-8")
    tree = yaml.safe_load(text)
    months = tuple(tree.pop("months"))
    return Words(locale, dict(_flat(tree)), months)


def _flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)


def preferred(chosen: str | None, accept_language: str) -> str:
    """Return the language for a browser: the one chosen on the page, else the first it accepts that there is.

    Args:
        chosen: what the person chose, or None.
        accept_language: the header (RFC 9110 12.5.4); what is malformed in it counts for nothing.
    """
    if chosen in LANGUAGES:
        return str(chosen)
    wanted: list[tuple[float, str]] = []
    for entry in accept_language.split(",")[:20]:
        name, _, parameter = entry.strip().partition(";")
        language = name.strip().split("-", 1)[0].lower()
        if language in LANGUAGES:
            wanted.append((-_quality(parameter), language))
    return min(wanted, key=lambda each: each[0])[1] if wanted else next(iter(LANGUAGES))


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
