"""The versioned notices: the exact texts that people were shown when they chose."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from consent.errors import NoticeSuperseded, UnknownNotice
from consent.notices.wording import LOCALES
from consent.purposes import Purpose
from consent.signals import SIGNALS

CellName = tuple[str, str]
"""A signal and a purpose, by their ids."""

EVERY_CELL = frozenset(
    (signal.id, purpose.value) for signal in SIGNALS.values() for purpose in signal.purposes
)


@dataclass(frozen=True)
class Notice:
    """One text, in one locale; `sha256` is over its UTF-8 bytes."""

    version: str
    locale: str
    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Revision:
    """A notice in all its locales.

    `touches` are the cells whose meaning the revision changed: consent given before it is invalid for them until
    renewed. An editorial revision touches none.
    """

    version: str
    texts: Mapping[str, str]
    touches: frozenset[CellName]
    base: str | None = None
    """Of an app's own revision: the shipped one that it words."""


class Notices:
    """All revisions ever published, oldest first."""

    def __init__(self, revisions: Iterable[Revision]) -> None:
        self._revisions = tuple(revisions)
        if not self._revisions:
            raise ValueError("at least one notice is needed: without one, nobody could consent")
        self._valid = {cell: self._versions_since_last_touch(cell) for cell in EVERY_CELL}

    def _versions_since_last_touch(self, cell: CellName) -> tuple[str, ...]:
        versions: list[str] = []
        for revision in self._revisions:
            if cell in revision.touches:
                versions.clear()
            versions.append(revision.version)
        return tuple(versions)

    def with_own(self, own: Sequence[Revision]) -> "Notices":
        """Return these and an app's own revisions, each after the one that it is based on."""
        return Notices(
            each
            for shipped in self._revisions
            for each in (shipped, *(mine for mine in own if mine.base == shipped.version))
        )

    @property
    def _current(self) -> Revision:
        """The newest; but no shipped revision that changes nothing of meaning takes the place of an app's own words."""
        for revision in reversed(self._revisions):
            if revision.base is not None or revision.touches:
                return revision if revision.base is not None else self._revisions[-1]
        return self._revisions[-1]

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales of the current notice."""
        return tuple(self._current.texts)

    @property
    def current_version(self) -> str:
        """Version of the notice that is shown now."""
        return self._current.version

    def shown(self, locale: str) -> Notice:
        """Return the notice to show to who reads a locale: in it, else in English, else in its first language."""
        there = self.locales
        return self.current(next((each for each in (locale, "en") if each in there), there[0]))

    def current(self, locale: str) -> Notice:
        """Return the notice shown now in a locale; UnknownNotice when it was not written in it."""
        return self.find(self.current_version, locale)

    def find(self, version: str, locale: str) -> Notice:
        """Return one published text; UnknownNotice names what was not found."""
        for revision in self._revisions:
            if revision.version == version:
                if locale not in revision.texts:
                    raise UnknownNotice("locale", f"the notice is published in {', '.join(revision.texts)}")
                return Notice(version, locale, revision.texts[locale])
        raise UnknownNotice("notice_version", "no notice of this version was published")

    def require_current(self, version: str) -> None:
        """Raise NoticeSuperseded unless consent may be given on this version."""
        if version != self.current_version:
            raise NoticeSuperseded(
                "notice_version", f"the current notice is {self.current_version}: show that one"
            )

    def outdated_versions(self, signal: str, purpose: Purpose) -> tuple[str, ...]:
        """Return the published versions on which a grant for this cell stands no more."""
        valid = self.valid_versions(signal, purpose)
        return tuple(each.version for each in self._revisions if each.version not in valid)

    def valid_versions(self, signal: str, purpose: Purpose) -> tuple[str, ...]:
        """Return the versions on which a grant for this cell still stands; none for a cell that does not exist."""
        return self._valid.get((signal, purpose.value), ())


def published() -> Notices:
    """Return the notices that ship with Assent."""
    folder = resources.files("consent.notices") / "texts"
    first = {locale: (folder / f"notice-2026-11-22.{locale}.md").read_text("utf-8") for locale in LOCALES}
    return Notices([Revision("2026-11-22", first, EVERY_CELL)])
