import math
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consent.signals import SIGNALS
from recommender import editorial
from recommender.catalog import Evidence
from recommender.query import Query, Strategy
from recommender.ranking import Ranker
from tests.recommender.catalogues import GRANTED, NOW, event, resource
from tests.recommender.questions import CATALOGUE, EVERYTHING, RANKERS, RELEASE, ids


def test_who_shares_nothing_gets_the_editors_list() -> None:
    """Editors' ranks come first, then one of each kind in turn; nothing is used and everything withheld."""
    ranking = RANKERS["release"].rank([], {}, EVERYTHING, NOW)
    assert ranking.strategy is Strategy.EDITORIAL
    assert (ranking.signals_used, ranking.signals_withheld) == ((), tuple(SIGNALS))
    ranked = [
        each.editorial_rank for each in (item.resource for item in ranking.items) if each.editorial_rank
    ]
    assert [item.resource.editorial_rank for item in ranking.items[: len(ranked)]] == sorted(ranked)
    rest = [item.resource.kind for item in ranking.items[len(ranked) :]]
    assert len(set(rest[:6])) >= 5


def test_one_kind_does_not_fill_the_head_of_the_editors_list() -> None:
    """Without editors' ranks the best of each kind comes before the second of any; stronger evidence first."""
    shelf = [resource(name) for name in "abc"] + [
        resource("d", kind="exercise"),
        resource("e", evidence="trial"),
    ]
    assert ids(Ranker(shelf).rank([], GRANTED, Query(), NOW)) == ["e", "d", "a", "b", "c"]


def test_the_editors_list_puts_the_calls_topics_first_and_lifts_the_region() -> None:
    """Topics of the call come before everything, what serves its region rises by ten places; each says what it adds."""
    shelf = [
        resource("anywhere", topics=[], editorial_rank=1),
        resource("near", topics=[], regions=["GB"]),
        resource("about", topics=["sleep"]),
    ]
    ranking = Ranker(shelf).rank([], GRANTED, Query(region="GB", context_topics=("sleep",)), NOW)
    assert ids(ranking) == ["about", "near", "anywhere"]
    assert ranking.items[0].values == [2.0]
    assert ranking.items[1].adjustments == {"region": editorial.NEARBY}
    crowd = [resource(f"place-{number:02}", editorial_rank=number) for number in range(1, 21)]
    local = resource("near", regions=["GB"], editorial_rank=21)
    assert (
        ids(Ranker([*crowd, local]).rank([], GRANTED, Query(region="GB", limit=20), NOW)).index("near") == 10
    )


def test_what_the_model_does_not_know_falls_back_to_the_editors() -> None:
    """A view of a resource without any known feature personalises nothing, but still is not shown again."""
    lonely = [*CATALOGUE, resource("new", topics=[], editorial_rank=1)]
    ranking = Ranker(lonely, RELEASE).rank([event("views", "new")], GRANTED, EVERYTHING, NOW)
    assert ranking.strategy is Strategy.EDITORIAL
    assert "new" not in ids(ranking)
    assert ranking.signals_used == ("views",)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["article", "exercise", "audio"]),
                "languages": st.sampled_from([["en"], ["es"], ["en-GB"]]),
                "evidence": st.sampled_from([None, "guideline", "trial", "expert"]),
                "editorial_rank": st.sampled_from([None, None, 1, 2]),
            }
        ),
        max_size=20,
    )
)
def test_the_order_is_the_one_of_its_definition(entries: list[dict[str, Any]]) -> None:
    """By rank, then dealt out by kind and language in rounds, then the stronger evidence, then the id."""
    shelf = [resource(f"r{number:02}", **fields) for number, fields in enumerate(entries)]
    stronger = [*Evidence, None]
    rounds: Counter[object] = Counter()
    places = {}
    for each in sorted(
        shelf, key=lambda it: (it.editorial_rank or math.inf, stronger.index(it.evidence), it.id)
    ):
        rank, kind = each.editorial_rank or math.inf, (each.kind, each.languages[0])
        places[each.id] = (rank, rounds[rank, kind], stronger.index(each.evidence), each.id)
        rounds[rank, kind] += 1
    ranker = Ranker(shelf)
    by_score = np.argsort(-ranker._editorial.base(np.arange(len(shelf))))
    assert [ranker.shelf.resources[row].id for row in by_score] == sorted(places, key=places.__getitem__)
