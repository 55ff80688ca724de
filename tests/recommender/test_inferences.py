"""Explanations say what a person did and never what that says about them, whatever ships they are about."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import pytest

from consent.signals import SIGNALS, About
from recommender.exchange import shipped
from recommender.explanation import items
from recommender.profile import ProfileConfig
from recommender.query import Explain, HistoryEvent, Query
from recommender.ranking import Ranker
from recommender.wording import wording, wordings
from tests.recommender.catalogues import GRANTED, event, release
from tests.recommender.inferences import CONDITIONS, INFERENCES, STATEMENTS

SHELF = shipped()
WORDED = wording("es").topics.keys()
"""Topics that have words; in English their ids are their words."""
TOPICS = sorted({topic for each in SHELF for topic in each.topics} | WORDED)
RANKER, EDITORS = Ranker(SHELF, release(SHELF, topics=TOPICS)), Ranker(SHELF)
NOW = datetime(2026, 12, 1, tzinfo=UTC)
LEVELS: Sequence[Explain] = ("short", "full")
COUNTING = ProfileConfig().strengths.keys()


def told(
    language: str, history: Sequence[HistoryEvent], context: tuple[str, ...] = (), ranker: Ranker = RANKER
) -> set[str]:
    """The sentences of a list's best items, at both levels of detail."""
    query = Query(explain="full", context_topics=context, exclude_seen=False, limit=5)
    ranking = ranker.rank(history, GRANTED, query, NOW)
    shown = [item for level in LEVELS for item in orjson.loads(orjson.dumps(items(ranking, level, language)))]
    return {item["explanation"]["text"] for item in shown}


def check(name: str, sentences: set[str], language: str, forbidden: str) -> None:
    """What is forbidden is in no sentence, and no inference in what a sentence says beside the name."""
    assert any(name in sentence for sentence in sentences), f"nothing is told of {name}"
    for sentence in sentences:
        assert not re.search(forbidden, sentence, re.IGNORECASE), sentence
        assert not re.search(INFERENCES[language], sentence.replace(name, ""), re.IGNORECASE), sentence


@pytest.mark.parametrize("language", wordings())
@pytest.mark.parametrize("signal", sorted(name for name in COUNTING if SIGNALS[name].about is About.RESOURCE))
def test_no_title_that_ships_makes_a_sentence_about_a_person(signal: str, language: str) -> None:
    """Whatever was done with any resource, no sentence says "you are" or "your mood"."""
    for resource in SHELF:
        sentences = told(language, [event(signal, resource.id)._replace(value=5.0)])
        check(resource.title, sentences, language, STATEMENTS[language])


@pytest.mark.parametrize("language", wordings())
@pytest.mark.parametrize("topic", TOPICS)
def test_no_topic_that_ships_makes_a_sentence_about_a_person(topic: str, language: str) -> None:
    """Searched for, followed, or what the call is about, with a model and without: nothing of a person, nor of a condition."""
    name, forbidden = wording(language).topic(topic), f"{STATEMENTS[language]}|{CONDITIONS[language]}"
    for signal in (name for name in COUNTING if SIGNALS[name].about is About.TOPIC):
        check(name, told(language, [event(signal, topic)]), language, forbidden)
    check(name, told(language, [event("check_ins", 2.0)], (topic,)), language, forbidden)
    if any(topic in each.topics for each in SHELF):
        check(name, told(language, [], (topic,), EDITORS), language, forbidden)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Because you are anxious"), ("en", "You need help"), ("en", "Your depression"),
        ("en", "Because of your saves"), ("en", "Because you're low"), ("en", "For your mental health"),
        ("es", "Porque estás ansiosa"), ("es", "Necesitas ayuda"), ("es", "Tu depresión"), ("es", "Tus problemas"),
        ("hi", "क्योंकि आप घबराए हुए हैं"), ("hi", "आपको मदद चाहिए"), ("hi", "आपका अवसाद"), ("hi", "आपकी घबराहट"),
        ("ar", "لأنك قلق"), ("ar", "تحتاج إلى مساعدة"), ("ar", "اكتئابك"), ("ar", "بسبب قلقك"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_person_is_found(language: str, sentence: str) -> None:
    """Even within a title, where a condition and what is done about it may be named."""
    assert re.search(STATEMENTS[language], sentence, re.IGNORECASE)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "It helps with sleep"), ("en", "A treatment"), ("es", "Ayuda a dormir"), ("es", "Un tratamiento"),
        ("hi", "नींद में मदद"), ("hi", "उपचार"), ("ar", "تساعد على النوم"), ("ar", "علاج"),
    ],
)  # fmt: skip
def test_what_is_claimed_of_a_resource_is_found(language: str, sentence: str) -> None:
    """Our own words are held to more than titles and topics."""
    assert not re.search(STATEMENTS[language], sentence, re.IGNORECASE)
    assert re.search(INFERENCES[language], sentence, re.IGNORECASE)
