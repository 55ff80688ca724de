"""The words of explanations, in every language that they are offered in: read from `shipped/wording.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Final

import orjson
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
    def _told(self) -> Mapping[str, tuple[bytes, bytes]]:
        """By name, and for deeds by signal, what stands before and behind the braces, as JSON."""
        named = {name: text for name, text in vars(self).items() if isinstance(text, str)}
        parts = {name: text.partition("{}") for name, text in (named | dict(self.deeds)).items()}
        return {name: (json_text(before), json_text(behind)) for name, (before, _, behind) in parts.items()}

    def told(self, name: str, thing: bytes = b"") -> bytes:
        """A sentence, or what was done under a signal, with a thing in it: JSON without its quotes, as the thing is.

        `format` would take three times as long, for every item.
        """
        before, behind = self._told[name]
        return before + thing + behind

    def topic(self, topic: str) -> str:
        """The name of a topic; of one that is not known, its id with spaces."""
        return self.topics.get(topic, topic.replace("_", " "))


def json_text(text: str) -> bytes:
    """A text as JSON, without the quotes around it."""
    # Copied: what orjson gives keeps kilobytes of room at its end.
    return orjson.dumps(text)[1:-1]


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
