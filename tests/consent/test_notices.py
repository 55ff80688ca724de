"""Notices: exact texts by version and locale; a material revision invalidates the cells it touches, an editorial one does not."""

import hashlib

import pytest

from consent.errors import MissingFact, NoticeSuperseded, UnknownNotice
from consent.notices import published as notices
from consent.notices.facts import PROMISES, facts, fill
from consent.notices.published import EVERY_CELL, Notices, Revision
from consent.notices.wording import LOCALES
from consent.purposes import Purpose

TEXTS = {"en": "What may be used?", "es": "¿Qué se puede usar?"}
DRAFT = "# Ours\n\n{purposes}\n\n{ signals }\n\n" + "\n".join(f"{{{name}}}" for name in PROMISES)
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
    """In every language; the first revision touches every cell."""
    shipped = notices.published()
    assert shipped.locales == LOCALES
    for signal, purpose in EVERY_CELL:
        assert shipped.valid_versions(signal, Purpose(purpose)) == (shipped.current_version,)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_current_notice_holds_every_fact_word_for_word(locale: str) -> None:
    """What it says of each signal, use and right is what the catalogue says: who changes one publishes a revision."""
    text = notices.published().current(locale).text
    assert {name for name, fact in facts(locale).items() if fact not in text} == set()


@pytest.mark.parametrize("locale", LOCALES)
def test_a_wording_is_filled_with_the_facts(locale: str) -> None:
    """Lists stand for all signals and all uses; nothing is left in braces."""
    filled = fill(DRAFT, locale, "texts.en")
    assert "{" not in filled
    assert all(fact in filled for fact in facts(locale).values())


@pytest.mark.parametrize("name", sorted(facts("en")))
def test_a_wording_that_drops_a_fact_is_refused_by_its_name(name: str) -> None:
    """Whichever of the mandatory facts is left out is told as a field."""
    places = "\n".join(f"- {{{each}}}" for each in facts("en") if each != name)
    with pytest.raises(MissingFact) as missing:
        fill(places, "en", "texts.en")
    assert missing.value.field == f"texts.en.{name}"


def test_a_place_for_what_is_no_fact_is_refused() -> None:
    """A misspelt place is no fact, and what was sent is not repeated."""
    with pytest.raises(MissingFact) as missing:
        fill(DRAFT + "{signal.location}", "en", "texts.en")
    assert missing.value.field == "texts.en"
    assert "location" not in missing.value.message
