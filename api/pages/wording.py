"""The words of the pages, in every language they are offered in, and which language a browser gets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import yaml

from api.negotiation import weighted
from consent.notices.wording import RIGHT_TO_LEFT, plural, wording

LANGUAGES: Mapping[str, str] = {"en": "English", "es": "Español", "hi": "हिन्दी", "ar": "العربية"}
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
        """Return the text for a number of things: its keys end in `.one`, `.other` and what else the language tells apart."""
        own = f"{key}.{plural(self.locale, number)}"
        return self(own if own in self.texts else f"{key}.other", number=number, **values)

    @property
    def direction(self) -> str:
        """Which way the language is written, as HTML says it."""
        return "rtl" if self.locale in RIGHT_TO_LEFT else "ltr"

    def day(self, at: int) -> str:
        """Write the day (UTC) of a moment in microseconds."""
        moment = _moment(at)
        return self("date", day=moment.day, month=self.months[moment.month - 1], year=moment.year)

    def time(self, at: int) -> str:
        """Write the minute (UTC) of a moment in microseconds."""
        return self("date_time", date=self.day(at), time=_moment(at).strftime("%H:%M"))

    def span(self, length: timedelta) -> str:
        """Write a length of time in the largest unit that is whole."""
        return wording(self.locale).span(length)

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
    """Return the words of one of `LANGUAGES`: the pages' own, and those of the catalogue of signals and purposes."""
    text = (resources.files("api.pages") / "texts" / f"{locale}.yaml").read_text("utf-8")
    tree = yaml.safe_load(text)
    months = tuple(tree.pop("months"))
    catalogue = wording(locale)
    tree["purposes"] = catalogue.purposes
    tree["stored"] = {signal: texts["stored"] for signal, texts in catalogue.signals.items()}
    return Words(locale, dict(_flat(tree)), months)


def _flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
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
    tags = ((tag.split("-", 1)[0], weight) for tag, weight in weighted(accept_language))
    wanted = [(weight, language) for language, weight in tags if language in LANGUAGES and weight > 0]
    return max(wanted, key=lambda each: each[0])[1] if wanted else next(iter(LANGUAGES))
