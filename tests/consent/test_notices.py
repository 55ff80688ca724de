"""Notices: exact texts by version and locale; a material revision invalidates the cells it touches, an editorial one does not."""

import hashlib

import pytest

from consent import notices
from consent.errors import NoticeSuperseded, UnknownNotice
from consent.notices import EVERY_CELL, Notices, Revision
from consent.purposes import Purpose

TEXTS = {"en": "What may be used?", "es": "¿Qué se puede usar?"}
FIRST = Revision("1", TEXTS, EVERY_CELL)


def test_a_notice_is_found_word_for_word() -> None:
    """A version and locale give the text, and its digest is that of its UTF-8 bytes."""
    published = Notices([FIRST, Revision("2", {**TEXTS, "en": "New words"}, frozenset())])
    assert published.find("1", "en").text == "What may be used?"
    assert published.current("en").text == "New words"
    assert published.find("1", "es").sha256 == hashlib.sha256(TEXTS["es"].encode()).hexdigest()


@pytest.mark.parametrize(
    ("version", "locale", "field"), [("3", "en", "notice_version"), ("1", "fr", "locale")]
)
def test_what_was_never_published_is_named(version: str, locale: str, field: str) -> None:
    """An unknown version or locale is told by the field that carried it."""
    with pytest.raises(UnknownNotice) as unknown:
        Notices([FIRST]).find(version, locale)
    assert unknown.value.field == field


def test_consent_is_given_on_the_current_notice_only() -> None:
    """An older version, material or not, may no longer be consented on."""
    published = Notices([FIRST, Revision("2", TEXTS, frozenset())])
    published.require_current("2")
    with pytest.raises(NoticeSuperseded):
        published.require_current("1")


def test_a_revision_invalidates_what_it_touches_and_no_more() -> None:
    """Material for one cell: grants before it end for that cell; all others keep every version since they were last touched."""
    touched = frozenset({("views", "improve")})
    published = Notices([FIRST, Revision("2", TEXTS, frozenset()), Revision("3", TEXTS, touched)])
    assert published.valid_versions("views", Purpose.IMPROVE) == ("3",)
    assert published.valid_versions("views", Purpose.PERSONALISE) == ("1", "2", "3")
    later = Notices([FIRST, Revision("2", TEXTS, touched), Revision("3", TEXTS, frozenset())])
    assert later.valid_versions("views", Purpose.IMPROVE) == ("2", "3")


def test_what_does_not_exist_is_valid_on_no_notice() -> None:
    """A cell that is not in the catalogue is granted by nothing."""
    assert Notices([FIRST]).valid_versions("location", Purpose.PERSONALISE) == ()


def test_without_a_notice_nobody_can_consent() -> None:
    """An empty list of notices is refused."""
    with pytest.raises(ValueError, match="at least one notice"):
        Notices([])


def test_the_shipped_notice_is_whole() -> None:
    """English and Spanish, the first revision touching every cell."""
    shipped = notices.published()
    assert set(shipped.locales) == {"en", "es"}
    for signal, purpose in EVERY_CELL:
        assert shipped.valid_versions(signal, Purpose(purpose)) == (shipped.current_version,)
    assert len(shipped.current("en").text) > 500
    assert len(shipped.current("es").text) > 500
