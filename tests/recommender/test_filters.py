"""What may be listed: the same answer whatever was asked before, and of a call nothing is kept but the catalogue's words."""

from datetime import UTC, datetime
from itertools import product

import numpy as np

from recommender.exchange import shipped
from recommender.filters import Filters
from recommender.query import Query
from recommender.shelf import Shelf

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
RARE = "zz_rare_words"


def test_what_was_asked_before_makes_no_difference() -> None:
    """Filters that answered many questions say of each what fresh ones say."""
    resources = shipped()
    used = Filters(Shelf(resources))
    topics: tuple[frozenset[str], ...] = (frozenset(), frozenset({"sleep"}), frozenset({RARE}))
    languages: tuple[frozenset[str], ...] = (frozenset(), frozenset({"es-MX"}))
    locales, regions = (None, "en-GB", "de"), (None, "GB", "ZZ")
    questions = [
        Query(topics=topic, languages=language, locale=locale, region=region, context_topics=context)
        for topic, language, locale, region, context in product(
            topics, languages, locales, regions, ((), ("recent_trauma", "trauma"), (RARE,))
        )
    ]
    for _ in range(2):
        for question in questions:
            assert np.array_equal(used.listed(question, NOW), Filters(Shelf(resources)).listed(question, NOW))


def test_nothing_is_kept_of_a_call_but_words_of_the_catalogue() -> None:
    """A topic, a language or a place that only the call has is gone with it."""
    filters = Filters(Shelf(shipped()))
    for question in (
        Query(context_topics=(RARE, "sleep")),
        Query(topics=frozenset({RARE})),
        Query(languages=frozenset({"zz-ZZ"})),
        Query(locale="zz-ZZ"),
        Query(region="ZZ"),
    ):
        filters.listed(question, NOW)
    kept = repr(vars(filters))
    assert RARE not in kept
    assert "zz" not in kept
    assert "ZZ" not in kept
