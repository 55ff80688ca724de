import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.signals import SIGNALS
from recommender.explanation import OTHER, items
from recommender.query import Explain, HistoryEvent, Query, Ranking
from recommender.ranking import Ranker
from recommender.wording import wording, wordings
from tests.recommender.catalogues import GRANTED, NOW, TOPICS, event, release, resource
from tests.recommender.inferences import INFERENCES

SHELF = [resource(f"r{number:02d}", topics=[TOPICS[number % 5]]) for number in range(40)]
RANKER = Ranker(SHELF, release(SHELF))
HISTORY = [
    event("completions", "r01", 1),
    event("saves", "r02", 2),
    event("views", "r03", 3),
    event("topics", "sleep", 4),
    event("check_ins", 2.0, 5),
    event("groups", "r04", 6),
    event("searches", "work", 7),
    event("time_spent", "r05", 8),
    event("ratings", "r06", 9)._replace(value=5.0),
]


def _rank(history: list[HistoryEvent], explain: Explain = "full", **query: Any) -> Ranking:
    return RANKER.rank(history, GRANTED, Query(explain=explain, **query), NOW)


def _shown(ranking: Ranking, explain: Explain, locale: str | None = None) -> list[dict[str, Any]]:
    """The items as the caller of the API reads them."""
    shown: list[dict[str, Any]] = orjson.loads(orjson.dumps(items(ranking, explain, locale)))
    return shown


@given(
    st.lists(st.sampled_from(HISTORY), unique=True),
    st.sampled_from(["short", "full"]),
    st.lists(st.sampled_from(TOPICS), max_size=2, unique=True),
    st.sampled_from([0.0, 0.5]),
)
def test_what_is_shown_adds_up_to_the_score(
    history: list[HistoryEvent], explain: Explain, context: list[str], diversity: float
) -> None:
    """At every level, read back from JSON: base, contributions and adjustments are the score to 1e-6."""
    history = sorted(history, key=lambda each: each.occurred_at, reverse=True)
    ranking = _rank(history, explain, context_topics=tuple(context), diversity=diversity)
    for item in _shown(ranking, explain):
        told = item["explanation"]
        total = told["base"] + sum(each["value"] for each in (*told["contributions"], *told["adjustments"]))
        assert total == pytest.approx(item["score"], abs=1e-6)
        by_signal = {each["signal"]: each["value"] for each in told["by_signal"]}
        assert sum(by_signal.values()) == pytest.approx(sum(each["value"] for each in told["contributions"]))
        if explain == "full":
            for signal, value in by_signal.items():
                own = [each["value"] for each in told["contributions"] if each["signal"] == signal]
                assert value == pytest.approx(sum(own))


@pytest.mark.parametrize("explain", ["short", "full"])
@pytest.mark.parametrize("context", [(), ("sleep",), ("sleep", "work"), tuple(TOPICS)])
@pytest.mark.parametrize("limit", [1, 10, 100])
def test_the_editors_list_adds_up_too(explain: Explain, context: tuple[str, ...], limit: int) -> None:
    """Without a model, however many topics the call is about."""
    query = Query(explain=explain, context_topics=context, limit=limit, diversity=0.3)
    shown = _shown(Ranker(SHELF).rank(HISTORY, GRANTED, query, NOW), explain)
    assert len(shown) == min(limit, len(SHELF) - len(HISTORY) + 3)
    for item in shown:
        told = item["explanation"]
        total = told["base"] + sum(each["value"] for each in (*told["contributions"], *told["adjustments"]))
        assert total == pytest.approx(item["score"], abs=1e-6)
        assert {each["signal"] for each in told["contributions"]} <= {"context", OTHER}


def test_no_explanation_when_none_is_asked_for() -> None:
    """The items still have their ranks, resources and scores."""
    shown = _shown(_rank(HISTORY), "none")
    assert [item["explanation"] for item in shown] == [None] * 10
    assert shown[0]["rank"] == 1
    assert shown[0]["resource"]["id"] == RANKER.rank(HISTORY, GRANTED, Query(), NOW).items[0].resource.id


def test_a_short_explanation_names_the_three_strongest_and_sums_up_the_rest() -> None:
    """Strength is by size, whatever the sign; there are no counterfactuals."""
    ranking = _rank(HISTORY)
    for short, full in zip(_shown(ranking, "short"), _shown(ranking, "full"), strict=True):
        told, whole = short["explanation"], full["explanation"]
        assert told["contributions"][:3] == whole["contributions"][:3]
        assert [each["signal"] for each in told["contributions"][3:]] == [OTHER]
        assert told["counterfactuals"] == []
        sizes = [abs(each["value"]) for each in whole["contributions"]]
        assert sizes == sorted(sizes, reverse=True)


def test_a_full_explanation_names_thing_consent_and_counterfactual() -> None:
    """Every contribution has its signal, the one thing it is about, and the consent record that allows it."""
    for item in _shown(_rank(HISTORY), "full"):
        told = item["explanation"]
        assert len(told["contributions"]) == len(HISTORY)
        for each in told["contributions"]:
            assert each["receipt_id"] == f"receipt-{each['signal']}"
            assert len(each.keys() & {"resource_id", "topic", "band"}) == 1
        assert {each["without"] for each in told["counterfactuals"]} == {row.signal for row in HISTORY}
        for each in told["counterfactuals"]:
            assert each["instead"] is None or set(each["instead"]) == {"id", "title"}


@pytest.mark.parametrize(
    ("history", "context", "en", "es"),
    [
        ([event("completions", "r01")], (), "Because you finished “The r01”", "Porque terminaste “The r01”"),
        ([event("saves", "r01")], (), "Because you saved “The r01”", "Porque guardaste “The r01”"),
        ([event("views", "r01")], (), "Because you opened “The r01”", "Porque abriste “The r01”"),
        ([event("topics", "sleep")], (), "Because you follow or read about the topic sleep", "Porque sigues o lees sobre el tema sueño"),
        ([event("searches", "sleep")], (), "Because you searched for the topic sleep", "Porque buscaste el tema sueño"),
        ([event("check_ins", 1.0)], (), "Because you told us how your day felt", "Porque nos contaste cómo fue tu día"),
        (
            [], ("sleep",),
            "Because this part of the app is about the topic sleep",
            "Porque esta parte de la aplicación trata el tema sueño",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_person_did(
    history: list[HistoryEvent], context: tuple[str, ...], en: str, es: str
) -> None:
    """An item for which one reason speaks has that reason as its sentence, in the person's language."""
    ranking = _rank(history, context_topics=context, limit=40)
    place = next(place for place, item in enumerate(ranking.items) if item.values[0] > 0)
    assert _shown(ranking, "short", "en-GB")[place]["explanation"]["text"] == en
    assert _shown(ranking, "short", "es-MX")[place]["explanation"]["text"] == es
    assert _shown(ranking, "short", "fr")[place]["explanation"]["text"] == en


def test_two_reasons_are_joined_and_the_context_comes_last() -> None:
    """Sentences hold the two lines that speak most for an item."""
    ranking = _rank([event("completions", "r01", 1), event("saves", "r02", 2)])
    texts = {item["explanation"]["text"] for item in _shown(ranking, "full")}
    assert texts & {
        "Because you finished “The r01” and saved “The r02”",
        "Because you saved “The r02” and finished “The r01”",
    }
    ranking = _rank([event("completions", "r01")], context_topics=("sleep",), limit=40)
    texts = {item["explanation"]["text"] for item in _shown(ranking, "full")}
    assert "Because you finished “The r01”, and this part of the app is about the topic sleep" in texts


def test_what_speaks_against_an_item_is_no_reason_for_it() -> None:
    """Where nothing that was shared speaks for an item, the sentence says so."""
    for item in _shown(_rank([event("completions", "r01")], limit=40), "full"):
        value = item["explanation"]["contributions"][0]["value"]
        beyond = item["explanation"]["text"] == "A suggestion beyond what you shared so far"
        assert beyond == (value < 0)


def test_the_editors_list_says_so() -> None:
    """Nobody's data is behind it, and a topic of the call is named only where it matches."""
    ranker = Ranker([resource("a", topics=["sleep"]), resource("b", topics=[])])
    shown = _shown(ranker.rank([], GRANTED, Query(context_topics=("sleep",)), NOW), "short")
    assert [item["explanation"]["text"] for item in shown] == [
        "Chosen by our editors on the topic sleep",
        "Chosen by our editors for everyone",
    ]


def test_no_words_infer_anything_about_a_person() -> None:
    """No template and no sentence of a list speaks of a condition, in any language."""
    assert set(INFERENCES) == set(wordings())
    for language, forbidden in INFERENCES.items():
        words = wording(language)
        sentences = [
            words.context, words.and_context, words.editors, words.editors_topic, words.beyond, words.something_new,
            *(words.because.format(deed) for deed in words.deeds.values()),
            *(item["explanation"]["text"] for item in _shown(_rank(HISTORY, limit=40), "full", language)),
        ]  # fmt: skip
        for sentence in sentences:
            assert not re.search(forbidden, sentence, re.IGNORECASE), sentence


def test_every_signal_has_words_in_every_language() -> None:
    """A signal that is added needs a phrase for its explanations."""
    for words in wordings().values():
        assert set(words.deeds) == set(SIGNALS)


def test_titles_with_braces_are_shown_as_they_are() -> None:
    """A title is text, never a template."""
    shelf = [resource("a", title="{0} {x} %s"), resource("b")]
    ranking = Ranker(shelf, release(shelf, seed=1)).rank(
        [event("views", "a")], GRANTED, Query(explain="full", exclude_seen=False, limit=2), NOW
    )
    texts = [item["explanation"]["text"] for item in _shown(ranking, "short")]
    assert "Because you opened “{0} {x} %s”" in texts
