import pytest

from recommender.query import Query
from recommender.ranking import Ranker
from tests.recommender.catalogues import GRANTED, NOW, resource
from tests.recommender.questions import RANKERS, allowed


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_similar_resources_come_nearest_first_and_filtered(name: str) -> None:
    """Never the resource itself, nothing that may not be shown, similarities from 0 to 1."""
    query = Query(limit=100, max_minutes=40, exclude=frozenset({"r03"}))
    found = RANKERS[name].similar("r01", query, NOW)
    assert found
    assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)
    for each, value in found:
        assert 0 < value <= 1 + 1e-6
        assert each.id != "r01"
        assert allowed(each, query, [], GRANTED)


def test_similar_without_a_release_is_by_topics() -> None:
    """The one with the same topics is nearest; one with none of them is not similar."""
    shelf = [
        resource("a", topics=["sleep", "work"]),
        resource("b", topics=["sleep"]),
        resource("c", topics=["work", "sleep"]),
        resource("d"),
    ]
    assert [each.id for each, _ in Ranker(shelf).similar("a", Query(), NOW)] == ["c", "b"]


def test_similar_to_an_unknown_resource_is_an_error() -> None:
    """The caller asked for something that is not there."""
    with pytest.raises(KeyError):
        RANKERS["release"].similar("nothing", Query(), NOW)
