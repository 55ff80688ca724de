"""Every text in every language, and the language that fits the browser."""

import re
import string
from importlib import resources
from pathlib import Path

import pytest

from api.pages.serving import Refusal
from api.pages.wording import LANGUAGES, preferred, words
from consent.ledger import State
from consent.purposes import Purpose
from consent.signals import SIGNALS
from recommender.catalog import Kind
from recommender.exchange import shipped

PAGES = Path(str(resources.files("api.pages")))


def places(text: str) -> set[str]:
    """Return the places that a text has to fill."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("locale", list(LANGUAGES))
def test_every_text_is_in_every_language(locale: str) -> None:
    """A language has the keys of English, no more and no fewer, each with the same places to fill."""
    english, told = words("en").texts, words(locale).texts
    assert told.keys() == english.keys()
    assert {key: places(text) for key, text in told.items()} == {
        key: places(text) for key, text in english.items()
    }
    assert len(words(locale).months) == 12


def test_a_language_is_not_a_copy_of_another() -> None:
    """Sentences differ between languages; only names and patterns may be alike."""
    english, spanish = words("en").texts, words("es").texts
    assert not [key for key in english if english[key] == spanish[key] and english[key].count(" ") > 3]


@pytest.mark.parametrize("locale", list(LANGUAGES))
def test_whatever_a_page_can_name_has_a_name(locale: str) -> None:
    """Signals, purposes, kinds, topics of the catalogue, states and refusals all have words."""
    texts = words(locale).texts
    needed = {f"stored.{signal}" for signal in SIGNALS}
    needed |= {f"purposes.{purpose.value}.{part}" for purpose in Purpose for part in ("name", "text")}
    needed |= {f"kinds.{kind.value}" for kind in Kind}
    needed |= {f"topics.{topic}" for resource in shipped() for topic in resource.topics}
    needed |= {f"since.{state.value}" for state in State}
    sources = "".join(path.read_text() for path in PAGES.glob("*.py"))
    refusals = set(re.findall(rf'{Refusal.__name__}\(\d+, "(\w+)"\)', sources))
    assert {"no_session", "foreign", "link_over"} <= refusals
    needed |= {f"errors.{name}.{part}" for name in refusals for part in ("title", "text")}
    assert needed <= texts.keys()
    assert all(locale in signal.texts for signal in SIGNALS.values())


def test_what_is_stored_is_told_as_the_catalogue_of_signals_tells_it() -> None:
    """The English page says word for word what the catalogue says is stored."""
    assert {signal.id: signal.stored for signal in SIGNALS.values()} == {
        signal: words("en")(f"stored.{signal}") for signal in SIGNALS
    }


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
