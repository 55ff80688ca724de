"""The words of explanations, in every language that they are offered in: read from `shipped/wording.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Final

import yaml

WORDING_FILE: Final = Path(__file__).parent / "shipped" / "wording.yaml"


@dataclass(frozen=True)
class Wording:
    """Sentences and the names of topics in one language; `{}` is where a title, a topic or a phrase goes."""

    because: str
    joined: str
    deeds: Mapping[str, str]
    context: str
    and_context: str
    editors: str
    editors_topic: str
    beyond: str
    something_new: str
    topics: Mapping[str, str]

    @cached_property
    def _around_reason(self) -> tuple[str, str]:
        """What stands before and behind what the person did."""
        before, _, behind = self.because.partition("{}")
        return before, behind

    @cached_property
    def _around(self) -> Mapping[str, tuple[str, str]]:
        """What stands before and behind the thing that was done something with."""
        parts = {signal: deed.partition("{}") for signal, deed in self.deeds.items()}
        return {signal: (before, behind) for signal, (before, _, behind) in parts.items()}

    def deed(self, signal: str, thing: str) -> str:
        """What the person did with a thing; `format` would take three times as long, for every item."""
        before, behind = self._around[signal]
        return before + thing + behind

    def reason(self, done: str) -> str:
        """A sentence of what the person did."""
        before, behind = self._around_reason
        return before + done + behind

    def topic(self, topic: str) -> str:
        """The name of a topic; of one that is not known, its id with spaces."""
        return self.topics.get(topic, topic.replace("_", " "))


@cache
def wordings() -> Mapping[str, Wording]:
    """The words of every language, by its code.

    Raises:
        TypeError: a language lacks a sentence, or has one too many.
    """
    read = yaml.safe_load(WORDING_FILE.read_text(encoding="utf-8"))
    return {language: Wording(**words) for language, words in read.items()}


@lru_cache(maxsize=1024)
def wording(locale: str | None) -> Wording:
    """The words for a locale (BCP 47), English where there are none in its language."""
    language = (locale or "en").replace("_", "-").split("-", 1)[0].lower()
    return wordings().get(language) or wordings()["en"]
