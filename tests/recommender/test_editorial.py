from consent.signals import SIGNALS
from recommender import editorial
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
