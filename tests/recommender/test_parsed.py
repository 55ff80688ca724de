from recommender.catalog import Resource
from recommender.parsed import Parsed, parsed
from tests.recommender.catalogues import resource

SHELF = [resource(name) for name in "abc"]


def rows(*resources: Resource) -> list[tuple[str, str]]:
    """What the database has of resources."""
    return [(each.id, each.model_dump_json()) for each in resources]


def by_id(found: Parsed) -> dict[str, Resource]:
    """The resources by their ids."""
    return {each.id: each for each in found.resources.values()}


def test_what_says_the_same_is_the_same_object() -> None:
    """Of a catalogue in which one resource changed, one came and one went, only those two are parsed."""
    before = by_id(parsed(rows(*SHELF)))
    changed = SHELF[1].model_copy(update={"title": "Another"})
    former = parsed(rows(*SHELF))
    now = by_id(parsed(rows(resource("new"), changed, SHELF[0]), former))
    assert now == {"a": SHELF[0], "b": changed, "new": resource("new")}
    assert now["a"] is by_id(former)["a"]
    assert now["a"] is not before["a"]


def test_nothing_new_is_the_former_outcome() -> None:
    """Rows that say what they said, in whatever order, give the same object; one fewer does not."""
    former = parsed(rows(*SHELF))
    assert parsed(rows(*reversed(SHELF)), former) is former
    assert set(by_id(parsed(rows(*SHELF[1:]), former))) == {"b", "c"}


def test_what_cannot_be_read_is_left_out_and_counted() -> None:
    """No JSON, a field that this version does not know, and a row of another resource than it says: the rest is there."""
    strange = SHELF[1].model_dump_json().replace("{", '{"mood":"blue",', 1)
    bad = [("x", "not json"), ("b", strange), ("y", SHELF[2].model_dump_json())]
    found = parsed([*rows(SHELF[0]), *bad])
    assert (by_id(found), found.unreadable) == ({"a": SHELF[0]}, 3)
    assert parsed([*rows(SHELF[0]), *bad], found) is found
    repaired = parsed([*rows(SHELF[0], SHELF[1]), *bad[2:]], found)
    assert (set(by_id(repaired)), repaired.unreadable) == ({"a", "b"}, 1)
