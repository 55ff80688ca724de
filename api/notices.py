"""Notices as the API takes and answers them; the models describe it in the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.problems import invalid
from api.requests import CellIn, Incoming
from consent.notices.board import Draft, Published
from consent.notices.published import EVERY_CELL, Notice, Notices
from consent.receipts.records import rfc3339

NoticeLocale = Literal["en", "es", "hi", "ar"]
NoticeText = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class NoticeRequest(Incoming):
    """A wording of the notice, in all its languages."""

    kind: Literal["material", "editorial"] = Field(
        description="`material` when it changes what a yes means: then grants on earlier notices end for the cells it touches",
        examples=["editorial"],
    )
    touches: Annotated[list[CellIn], Field(max_length=len(EVERY_CELL))] = Field(
        default=[],
        description="Of a material one, the cells whose meaning changes",
        examples=[[{"signal": "views", "purpose": "improve"}]],
    )
    texts: dict[NoticeLocale, NoticeText] = Field(
        min_length=1,
        description="Markdown by language, with a place for every fact: `{purposes}`, `{signals}` (or each as `{purpose.improve}`, `{signal.views}`), "
        "`{refusal}`, `{withdrawal}`, `{sharing}`, `{deletion}`, `{machine}`, `{rights}`",
        examples=[
            {
                "en": "# Our notice\n\n{purposes}\n\n{signals}\n\n{refusal} {withdrawal} {sharing} {deletion} {machine} {rights}"
            }
        ],
    )

    def draft(self) -> Draft:
        """Return what is to be published; a problem that names the field when it does not hold together."""
        touches = frozenset((cell.signal, cell.purpose.value) for cell in self.touches)
        for number, cell in enumerate(self.touches):
            if (cell.signal, cell.purpose.value) not in EVERY_CELL:
                raise invalid(f"touches.{number}", "this signal does not serve this purpose")
        if (self.kind == "material") != bool(touches):
            raise invalid("touches", "a material revision names the cells it touches, an editorial one none")
        return Draft({str(locale): text for locale, text in self.texts.items()}, touches)


class NoticeOut(BaseModel):
    """The text that a person is shown."""

    version: str = Field(description="Its version", examples=["2026-11-22"])
    locale: str = Field(description="Its locale", examples=["en"])
    text: str = Field(description="The exact text (Markdown)", examples=["# Your choices"])
    sha256: str = Field(description="Digest of the text", examples=["9f86d081884c7d659a2feaa0c55ad015"])
    current: bool = Field(description="Whether consent may be given on it now", examples=[True])


class RevisionOut(BaseModel):
    """A revision of the app's own notices; it is never changed."""

    version: str = Field(description="Its version", examples=["2026-11-22.1"])
    base: str = Field(description="The shipped notice that it words", examples=["2026-11-22"])
    kind: Literal["material", "editorial"] = Field(
        description="Whether it ended earlier grants", examples=["editorial"]
    )
    touches: list[dict[str, str]] = Field(
        description="The cells whose earlier grants it ended",
        examples=[[{"signal": "views", "purpose": "improve"}]],
    )
    sha256: dict[str, str] = Field(
        description="Digest of the text in each language",
        examples=[{"en": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
    )
    published_at: str = Field(description="Since when", examples=["2026-11-22T08:30:00.000Z"])


class RevisionsOut(BaseModel):
    """Every notice that the app ever published."""

    current: str = Field(description="The version to show now", examples=["2026-11-22.1"])
    revisions: list[RevisionOut] = Field(
        description="Oldest first; empty for an app that uses the shipped one"
    )


def notice(found: Notice, notices: Notices) -> dict[str, Any]:
    """Write a notice as the API shows it."""
    return {
        "version": found.version,
        "locale": found.locale,
        "text": found.text,
        "sha256": found.sha256,
        "current": found.version == notices.current_version,
    }


def revision(published: Published) -> dict[str, Any]:
    """Write an app's own revision as the API shows it."""
    own = published.revision
    return {
        "version": own.version,
        "base": own.base,
        "kind": "material" if own.touches else "editorial",
        "touches": [{"signal": signal, "purpose": purpose} for signal, purpose in sorted(own.touches)],
        "sha256": {locale: Notice(own.version, locale, text).sha256 for locale, text in own.texts.items()},
        "published_at": rfc3339(published.published_at),
    }


MODELS = (NoticeRequest, NoticeOut, RevisionOut, RevisionsOut)
