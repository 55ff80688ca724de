"""Everything that people read is within reach of a twelve-year-old, in every language."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from api.pages.wording import words
from consent.notices import published as notices
from consent.notices.wording import LOCALES, data
from recommender.safety import SUPPORT_FILE
from tests import readability
from tests.readability import fernandez_huerta, flesch_kincaid, lix, plain, sentences, sinha

ENOUGH = 8
"""Words below which a formula says nothing about a text: titles, labels, buttons."""
FOR_DEVELOPERS = "landing.developers"
GRADE, SCORE, LIX, LONGEST = 7.0, 65.0, 45.0, 24
SIXTH_CLASS = (
    "केशव के घर में कार्निस के ऊपर एक चिड़िया ने अंडे दिए थे। केशव और उसकी बहन श्यामा दोनों बड़े ध्यान से चिड़िया को वहाँ आते-जाते देखा करते। "
    "सवेरे दोनों आँखें मलते कार्निस के सामने पहुँच जाते और चिड़ा और चिड़िया दोनों को वहाँ बैठा पाते। उनको देखने में दोनों बच्चों को न मालूम "
    "क्या मज़ा मिलता, दूध और जलेबी की भी सुध न रहती थी।"
)
"""How Premchand's "Nadan dost" begins, which Indian schools read in the sixth class, at eleven or twelve."""


def flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a tree by its path."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)


def texts(locale: str) -> dict[str, str]:
    """Every text in a language: of the catalogue, the notices, the pages and the support block."""
    support = yaml.safe_load(SUPPORT_FILE.read_text(encoding="utf-8"))["texts"][locale]
    found = {f"catalogue {name}": text for name, text in flat(data(f"{locale}.yaml"))}
    found |= {
        f"page {name}": text for name, text in words(locale).texts.items() if FOR_DEVELOPERS not in name
    }
    found |= {f"support {name}": text for name, text in flat(support)}
    found["notice"] = notices.published().current(locale).text
    return {name: plain(text) for name, text in found.items()}


def long_enough(locale: str) -> dict[str, str]:
    """The texts of a language that a formula can say something about."""
    return {name: text for name, text in texts(locale).items() if len(text.split()) >= ENOUGH}


def test_english_texts_need_no_more_than_seven_years_of_school() -> None:
    """Each sentence or paragraph has a Flesch-Kincaid grade of at most 7; all together, of at most 5."""
    found = long_enough("en")
    assert len(found) > 60
    hard = {
        name: round(flesch_kincaid(text), 1) for name, text in found.items() if flesch_kincaid(text) > GRADE
    }
    assert hard == {}
    assert flesch_kincaid("\n".join(found.values())) <= 5


def test_spanish_texts_are_no_harder_than_normal() -> None:
    """Each has a Fernández Huerta score of at least 65; all together, of at least 80 (easy)."""
    found = long_enough("es")
    assert len(found) > 60
    hard = {
        name: round(fernandez_huerta(text), 1)
        for name, text in found.items()
        if fernandez_huerta(text) < SCORE
    }
    assert hard == {}
    assert fernandez_huerta("\n".join(found.values())) >= 80


def test_arabic_texts_are_no_harder_than_medium() -> None:
    """Each has a LIX of at most 45; all together, of at most 30 (very easy, as children's books are)."""
    found = long_enough("ar")
    assert len(found) > 60
    assert {name: round(lix(text), 1) for name, text in found.items() if lix(text) > LIX} == {}
    assert lix("\n".join(found.values())) <= 30


def test_hindi_texts_are_no_harder_than_a_reader_of_the_sixth_class() -> None:
    """Each is as easy as a story that twelve-year-olds read at school; all together, easier by a point and a half."""
    found, bound = long_enough("hi"), sinha(SIXTH_CLASS)
    assert len(found) > 60
    assert {name: round(sinha(text), 2) for name, text in found.items() if sinha(text) > bound} == {}
    assert sinha("\n".join(found.values())) <= bound - 1.5


@pytest.mark.parametrize("locale", LOCALES)
def test_sentences_are_short(locale: str) -> None:
    """No sentence in any language has more than 24 words."""
    longest = {
        name: max((len(each) for each in sentences(text)), default=0) for name, text in texts(locale).items()
    }
    assert {name: length for name, length in longest.items() if length > LONGEST} == {}


def test_the_formulas_are_the_published_ones() -> None:
    """Counted by hand: 6 words of one syllable; 10 Spanish words of 20 syllables in two sentences; and so on."""
    assert flesch_kincaid("The cat sat on the mat.") == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    told = "La casa está en la montaña. Nosotros vivimos allí siempre."
    assert fernandez_huerta(told) == pytest.approx(206.84 - 60 * 20 / 10 - 1.02 * 5)
    assert lix("ذهب الولد إلى المدرسة. عاد.") == pytest.approx(5 / 2 + 100 * 1 / 5)
    assert sinha("यह घर है। वह विद्यालय है।") == pytest.approx(-2.34 + 2.14 * 12 / 6 + 0.01 * 50 * 1 / 2)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("make", 1),
        ("people", 2),
        ("little", 2),
        ("wanted", 2),
        ("choices", 2),
        ("saved", 1),
        ("area", 2),
        ("the", 1),
    ],
)
def test_english_syllables(word: str, count: int) -> None:
    """As a dictionary divides them, or nearly: a run of vowels counts once."""
    assert readability.english_syllables(word) == count


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("aplicación", 4),
        ("que", 1),
        ("línea", 3),
        ("día", 2),
        ("ciudad", 2),
        ("país", 2),
        ("siguiente", 3),
        ("y", 1),
    ],
)
def test_spanish_syllables(word: str, count: int) -> None:
    """Diphthongs are one, a stressed weak vowel stands alone, the u of que is mute."""
    assert readability.spanish_syllables(word) == count


@pytest.mark.parametrize(
    ("word", "count"), [("आप", 2), ("घर", 2), ("सुझाव", 3), ("विद्यालय", 4), ("प्रति", 2), ("हैं", 1), ("फ़ैसला", 3)]
)
def test_hindi_akshars(word: str, count: int) -> None:
    """A vowel of its own, or a consonant with what hangs on it; consonants joined by a virama are one."""
    assert readability.akshars(word) == count


def test_a_hard_text_is_found_out() -> None:
    """Legal prose is beyond the bounds."""
    preamble = (
        "हम, भारत के लोग, भारत को एक संपूर्ण प्रभुत्व-संपन्न, समाजवादी, पंथनिरपेक्ष, लोकतंत्रात्मक गणराज्य बनाने के लिए दृढ़संकल्प होकर "
        "इस संविधान को अंगीकृत, अधिनियमित और आत्मार्पित करते हैं।"
    )
    assert sinha(preamble) > sinha(SIXTH_CLASS)
    assert (
        lix("يجوز للمتحكم معالجة البيانات الشخصية استنادًا إلى المصالح المشروعة وفقًا للتشريعات المعمول بها.")
        > LIX
    )
    assert (
        flesch_kincaid(
            "Notwithstanding the foregoing, the controller may process personal data pursuant to legitimate interests."
        )
        > GRADE
    )
    assert (
        fernandez_huerta(
            "El responsable del tratamiento podrá comunicar sus datos personales conforme a la legislación aplicable."
        )
        < SCORE
    )
