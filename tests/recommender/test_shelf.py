import orjson
import pytest

from recommender.catalog import Resource
from recommender.ranking import Ranker
from tests.recommender.questions import CATALOGUE, RANKERS


def test_two_resources_may_not_share_an_id() -> None:
    """An id is a row."""
    with pytest.raises(ValueError, match="share an id"):
        Ranker([CATALOGUE[0], CATALOGUE[0]])


def test_what_is_made_once_is_what_it_stands_for() -> None:
    """Each resource's JSON reads back as the same resource, and each feature says what it is about."""
    shelf = RANKERS["editors"].shelf
    for resource_, payload, name in zip(shelf.resources, shelf.payloads, shelf.names, strict=True):
        assert Resource.model_validate(orjson.loads(payload)) == resource_
        assert orjson.loads(name) == {"id": resource_.id, "title": resource_.title}
    about = [orjson.loads(b"{" + each + b"0}") for each in shelf.about]
    assert about == [
        *({"resource_id": each, "value": 0} for each in shelf.features.resources),
        *({"topic": each, "value": 0} for each in shelf.features.topics),
        *({"band": band, "value": 0} for band in range(1, 6)),
    ]
