"""Every text in every language, and the language that fits the browser."""

import re
import string
from importlib import resources
from pathlib import Path

import pytest

from api.pages.serving import Refusal
from api.pages.wording import LANGUAGES, preferred, words
from consent.ledger import State
from consent.notices.wording import LOCALES
from consent.purposes import Purpose
from consent.signals import SIGNALS
from recommender.catalog import Kind
from recommender.exchange import shipped
from tests.recommender.inferences import INFERENCES

PAGES = Path(str(resources.files("api.pages")))


def places(text: str) -> set[str]:
    """Return the places that a text has to fill."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("locale", list(LANGUAGES))
def test_every_text_is_in_every_language(locale: str) -> None:
    """A language has the keys of English, no more and no fewer, each with the same places to fill."""
    english, told = words("en").texts, words(locale).texts
    plurals = {key for key in told if key.rpartition(".")[2] in {"zero", "two", "few", "many"}}
    assert told.keys() - plurals == english.keys()
    assert {f"{key.rpartition('.')[0]}.other" for key in plurals} <= english.keys()
    assert all(places(told[key]) == places(english[key]) for key in english if not key.endswith(".one"))
    assert all(places(told[key]) <= places(english[key]) | {"number"} for key in english)
    assert len(set(words(locale).months)) == 12


@pytest.mark.parametrize("locale", [locale for locale in LANGUAGES if locale != "en"])
def test_a_language_is_not_a_copy_of_another(locale: str) -> None:
    """Sentences differ between languages; only names and patterns may be alike."""
    english, told = words("en").texts, words(locale).texts
    assert not [key for key in english if english[key] == told[key] and english[key].count(" ") > 2]


def test_the_pages_are_in_every_language_of_the_catalogue() -> None:
    """Whoever adds a language adds it to both; only Arabic is written from right to left."""
    assert tuple(LANGUAGES) == LOCALES
    assert {locale for locale in LANGUAGES if words(locale).direction == "rtl"} == {"ar"}


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (1, "حُذف سطر واحد"),
        (2, "حُذف سطران"),
        (5, "حُذفت 5 أسطر"),
        (11, "حُذف 11 سطرًا"),
        (100, "عدد الأسطر المحذوفة: 100"),
    ],
)
def test_a_number_has_the_form_of_its_language(number: int, told: str) -> None:
    """Arabic counts one, two, a few and many in forms of their own."""
    assert words("ar").count("deleted.rows", number) == told


@pytest.mark.parametrize("locale", list(LANGUAGES))
def test_the_words_around_reasons_infer_nothing_about_a_person(locale: str) -> None:
    """They say what was done and what it adds, as the sentences of explanations do: never what it might mean."""
    own = {key: text for key, text in words(locale).texts.items() if key.startswith(("reasons.", "why."))}
    assert len(own) > 30
    assert not {key: text for key, text in own.items() if re.search(INFERENCES[locale], text, re.IGNORECASE)}


@pytest.mark.parametrize("locale", list(LANGUAGES))
def test_whatever_a_page_can_name_has_a_name(locale: str) -> None:
    """Signals, purposes, kinds, topics of the catalogue, states and refusals all have words."""
    texts = words(locale).texts
    needed = {f"stored.{signal}" for signal in SIGNALS}
    needed |= {f"purposes.{purpose.value}.{part}" for purpose in Purpose for part in ("name", "text")}
    needed |= {f"kinds.{kind.value}" for kind in Kind}
    needed |= {f"topics.{topic}" for resource in shipped() for topic in resource.topics}
    needed |= {f"{part}.{state.value}" for state in State for part in ("since", "states")}
    sources = "".join(path.read_text() for path in PAGES.glob("*.py"))
    refusals = set(re.findall(rf'{Refusal.__name__}\(\d+, "(\w+)"\)', sources))
    assert {"no_session", "foreign", "link_over"} <= refusals
    needed |= {f"errors.{name}.{part}" for name in refusals for part in ("title", "text")}
    assert needed <= texts.keys()
    assert all(locale in signal.texts for signal in SIGNALS.values())


def test_every_text_that_a_template_asks_for_exists() -> None:
    """A key written out in a template is in the texts."""
    asked = set()
    for template in PAGES.glob("templates/*.html"):
        asked |= set(re.findall(r"\bt\('([\w.]+)'(?:,|\))", template.read_text()))
    assert len(asked) > 50
    assert asked <= words("en").texts.keys()


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        (None, "", "en"),
        (None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, "fr,en;q=0.3,es;q=0.7", "es"),
        (None, "de", "en"),
        (None, "hi-IN", "hi"),
        (None, "fr;q=0.9, ar;q=0.8, en;q=0.1", "ar"),
        (None, "ar;q=0", "en"),
        (None, "es;q=much,en;q=0.1", "en"),
        (None, ",,;;q=,\x00", "en"),
        ("es", "en", "es"),
        ("xx", "es", "es"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_first_that_fits(
    chosen: str | None, accepted: str, expected: str
) -> None:
    """What a person chose wins, then the browser's wishes by weight, then English; nonsense counts for nothing."""
    assert preferred(chosen, accepted) == expected
