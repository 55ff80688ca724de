"""Where to find a person to talk to: the block that stands beside every answer.

It depends on no database, no model and no person: on the place and the language of the call alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recommender.catalog import Region, ShortText, Url

SUPPORT_FILE: Final = Path(__file__).parent / "shipped" / "support.yaml"

ALWAYS: Final = "always"
"""The hours of a helpline that never closes; the texts of each language say it in words."""

_CLOSED = ConfigDict(frozen=True, extra="forbid")


class Texts(BaseModel):
    """What the block says in one language."""

    model_config = _CLOSED

    title: ShortText
    text: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    emergency: Annotated[str, StringConstraints(pattern=r"\{numbers\}")]
    emergency_unknown: str
    or_: str = Field(alias="or")
    always: str


class Helpline(BaseModel):
    """People who listen: `hours` is `always`, or words in the language of the place."""

    model_config = _CLOSED

    name: ShortText
    phone: Annotated[str, StringConstraints(pattern=r"^[+*]?[0-9][0-9 ]{1,20}$")] | None
    url: Url
    regions: tuple[Region, ...]
    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    hours: ShortText


class SupportData(BaseModel):
    """Everything that the block is made of."""

    model_config = _CLOSED

    texts: Mapping[str, Texts]
    emergency: Mapping[Region, Annotated[tuple[str, ...], Field(min_length=1)]]
    helplines: tuple[Helpline, ...]
    everywhere: Annotated[tuple[Helpline, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Support:
    """Support blocks by language and region; `Support.load()` at start, `block(...)` for each answer."""

    data: SupportData

    @classmethod
    def load(cls, path: Path = SUPPORT_FILE) -> "Support":
        """Read the directory.

        Raises:
            OSError: the file cannot be read.
            pydantic.ValidationError: it is not what it should be.
        """
        return cls(SupportData.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))

    def block(self, locale: str | None = None, region: str | None = None) -> dict[str, Any]:
        """The block for a place: `{title, text, helplines: [{name, phone, url, regions, hours}], emergency: {phones, text}}`.

        Args:
            locale: a BCP 47 tag; it gives the language (English where there is no translation) and, where the
                region is not told, the region.
            region: ISO 3166-1 alpha-2.

        Returns:
            The helplines of the region, those in the person's language first, and then the international
            directory, so that there is always somewhere to turn.
        """
        language, subtags = _split(locale)
        place = region.upper() if region else next((tag for tag in subtags if len(tag) == 2), None)
        words = self.data.texts.get(language, self.data.texts["en"])
        near = [line for line in self.data.helplines if place in line.regions]
        near.sort(key=lambda line: language not in line.languages)
        phones = self.data.emergency.get(place or "", ())
        emergency = (
            words.emergency.format(numbers=words.or_.join(phones)) if phones else words.emergency_unknown
        )
        return {
            "title": words.title,
            "text": words.text,
            "helplines": [_shown(line, words) for line in (*near, *self.data.everywhere)],
            "emergency": {"phones": list(phones), "text": emergency},
        }


def _split(locale: str | None) -> tuple[str, list[str]]:
    language, *subtags = (locale or "en").replace("_", "-").split("-")
    return language.lower(), [tag.upper() for tag in subtags]


def _shown(line: Helpline, words: Texts) -> dict[str, Any]:
    return {
        "name": line.name,
        "phone": line.phone,
        "url": line.url,
        "regions": list(line.regions),
        "hours": words.always if line.hours == ALWAYS else line.hours,
    }
