"""What people read about consent, in every language: read from `texts/<locale>.yaml`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any

import yaml

LOCALES = ("en", "es", "hi", "ar")
"""The languages that everything a person reads is written in; the first is the fallback."""
RIGHT_TO_LEFT = frozenset({"ar"})


def data(name: str) -> dict[str, Any]:
    """Read one file of `texts/`."""
    text = (resources.files("consent.notices") / "texts" / name).read_text("utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  a safe loader either way
    return found


def _arabic(number: int) -> str:
    if number < 3:
        return ("zero", "one", "two")[number]
    rest = number % 100
    return "many" if rest >= 11 else "few" if rest >= 3 else "other"


def _one_or_more(number: int) -> str:
    return "one" if number == 1 else "other"


_PLURALS: Mapping[str, Callable[[int], str]] = {"ar": _arabic}


def plural(locale: str, number: int) -> str:
    """Return the plural category of a number (Unicode CLDR): which form of a text goes with it."""
    return _PLURALS.get(locale, _one_or_more)(number)


def form(forms: Mapping[str, str], locale: str, number: int, **values: object) -> str:
    """Return the form of a text that goes with a number, filled; `other` where a language has no form of its own."""
    return forms.get(plural(locale, number), forms["other"]).format(number=number, **values)


@dataclass(frozen=True)
class Wording:
    """The words of one language; KeyError for what it lacks."""

    locale: str
    signals: Mapping[str, Mapping[str, str]]
    purposes: Mapping[str, Mapping[str, str]]
    spans: Mapping[str, Mapping[str, str]]
    facts: Mapping[str, str]

    def span(self, length: timedelta) -> str:
        """Write a length of time in the largest unit that is whole."""
        if length.days % 365 == 0:
            return form(self.spans["years"], self.locale, length.days // 365)
        if length.days >= 180:
            return form(self.spans["months"], self.locale, round(length.days / 30.5))
        return form(self.spans["days"], self.locale, length.days)


@cache
def wording(locale: str) -> Wording:
    """Return the words of one of `LOCALES`."""
    read = data(f"{locale}.yaml")
    return Wording(locale, read["signals"], read["purposes"], read["span"], read["facts"])
