"""A catalogue made from the one before: the same in every number as one made anew, and nothing is worked out twice."""

import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recommender import kernels
from recommender.catalog import Resource
from recommender.columns import Columns
from recommender.ranking import Ranker
from tests.recommender.catalogues import TOPICS, release, resource

NAMES = [f"r{number}" for number in range(12)]
RELEASE = release([resource(name) for name in NAMES[::2]])

DIFFERENT: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({
    "kind": st.sampled_from(["article", "exercise", "audio"]),
    "topics": st.lists(st.sampled_from(TOPICS), unique=True, max_size=3),
    "languages": st.sampled_from([["en"], ["es-MX", "en"], ["hi"]]),
    "regions": st.sampled_from([[], ["GB"], ["GB", "IE"]]),
    "minutes": st.sampled_from([None, 5, 60]),
    "intensity": st.sampled_from(["gentle", "demanding"]),
    "contraindications": st.sampled_from([[], ["recent trauma"], ["grief"]]),
    "evidence": st.sampled_from([None, "trial", "expert"]),
    "status": st.sampled_from(["published", "retired"]),
    "editorial_rank": st.sampled_from([None, 1, 2]),
    "translation_of": st.sampled_from([None, "r3", "elsewhere"]),
})  # fmt: skip
CATALOGUES = st.dictionaries(st.sampled_from(NAMES), DIFFERENT).map(
    lambda named: [resource(name, **fields) for name, fields in named.items()]
)


def same(one: Any, other: Any) -> bool:
    """Whether two objects are of one type and hold the same, arrays bit for bit."""
    if type(one) is not type(other):
        return False
    is_ours = type(one).__module__.startswith("recommender.") and not isinstance(
        one, Resource | Columns | kernels.Catalogue
    )
    if is_ours or sparse.issparse(one):
        one, other = vars(one), vars(other)
    match one:
        case np.ndarray():
            return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())
        case dict():
            return one.keys() == other.keys() and all(same(each, other[key]) for key, each in one.items())
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case Columns() | kernels.Catalogue():  # what they hold is in the others too
            return True
    return bool(one == other)


@pytest.mark.parametrize("trained", [None, RELEASE])
@given(before=CATALOGUES, changed=CATALOGUES, gone=st.sets(st.sampled_from(NAMES)))
def test_what_is_taken_over_is_what_would_be_made(
    trained: Any, before: list[Resource], changed: list[Resource], gone: set[str]
) -> None:
    """Whatever came, went and changed, filters, editors' list, rules and scores are those of a ranker made anew."""
    named = {each.id: each for each in (*before, *changed)}
    now = [each for name, each in named.items() if name not in gone]
    former = Ranker(before, trained)
    assert same(vars(Ranker(now, RELEASE, former)), vars(Ranker(now, RELEASE)))


def test_the_comparison_above_sees_a_difference() -> None:
    """Catalogues that differ in one fact of one resource give rankers that are not the same."""
    shelf = [resource("a", minutes=5), resource("b")]
    assert same(vars(Ranker(shelf)), vars(Ranker(list(shelf))))
    for fields in ({"minutes": 6}, {"languages": ["hi"]}, {"editorial_rank": 3}, {"title": "Another"}):
        other = resource("a", **{"minutes": 5} | fields)
        assert not same(vars(Ranker(shelf)), vars(Ranker([other, shelf[1]])))


def test_only_what_is_new_is_asked() -> None:
    """A function is asked of the resources that are new or were changed; rows may move."""
    asked: list[str] = []

    def title(each: Resource) -> str:
        asked.append(each.id)
        return each.title

    first = [resource(name) for name in ("b", "c", "d")]
    former = Columns(first)
    assert former.each(title) == ["The b", "The c", "The d"]
    asked.clear()
    now = Columns([resource("a"), first[0], resource("c", title="Changed"), first[2]], former)
    assert now.each(title) == ["The a", "The b", "Changed", "The d"]
    assert asked == ["a", "c"]


def test_the_former_catalogue_is_let_go() -> None:
    """A ranker does not hold the one that it was made from, nor that one its own."""
    shelf = [resource(name) for name in NAMES]
    former = Ranker(shelf)
    held = weakref.ref(former._filters._minutes)
    latter = Ranker([*shelf, resource("new")], None, former)
    assert held() is not None
    del former
    assert held() is None
    assert latter.shelf.titles[-1] == b"The r9"
