"""The catalogue as it is served: resources by row, and every piece of JSON that never depends on a person, made once."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import orjson
from scipy import sparse

from recommender.catalog import Resource
from recommender.columns import Columns
from recommender.profile import MOOD_BANDS, Features
from recommender.wording import json_text


class Shelf:
    """A catalogue of R resources in the order of their ids, which is the order of their rows.

    Args:
        resources: the catalogue, in any order.
        topics: topics that have a column though no resource has them.
        former: the catalogue before; what it has of the same resources is taken over.

    Raises:
        ValueError: two resources share an id.
    """

    def __init__(
        self, resources: Iterable[Resource], topics: Iterable[str] = (), former: "Shelf | None" = None
    ) -> None:
        self.resources: Sequence[Resource] = tuple(sorted(resources, key=lambda each: each.id))
        named = {topic for resource in self.resources for topic in resource.topics}
        self.features = Features(
            tuple(resource.id for resource in self.resources), tuple(sorted(named.union(topics)))
        )
        self.rows: Mapping[str, int] = self.features.resource_index
        if len(self.rows) < len(self.resources):
            raise ValueError("two resources share an id")
        self.columns: Columns = Columns(self.resources, former.columns if former else None)
        self.titles = self.columns.each(_title)
        """Each resource's title as JSON, without the quotes around it."""
        self.payloads = self.columns.each(_payload)
        """Each resource as JSON."""
        self.names = self.columns.each(_name)
        """Each resource's id and title as JSON."""
        about: list[dict[str, str | int]] = [{"topic": each} for each in self.features.topics]
        about += [{"band": band} for band in range(1, MOOD_BANDS + 1)]
        self.about = self.columns.each(_about) + [_up_to_value(each) for each in about]
        """What each feature is about as one member of a JSON object, up to the number that comes next."""

    def rows_of(self, resource_ids: Iterable[str]) -> list[int]:
        """The rows of those of these resources that there are."""
        return [self.rows[each] for each in resource_ids if each in self.rows]


def _payload(resource: Resource) -> bytes:
    return resource.model_dump_json().encode()


def _title(resource: Resource) -> bytes:
    return json_text(resource.title)


def _name(resource: Resource) -> bytes:
    return b'{"id":"%b","title":"%b"}' % (json_text(resource.id), json_text(resource.title))


def _about(resource: Resource) -> bytes:
    return _up_to_value({"resource_id": resource.id})


def _up_to_value(about: Mapping[str, str | int]) -> bytes:
    return b'%b,"value":' % orjson.dumps(about)[1:-1]


def topic_matrix(resources: Sequence[Resource], features: Features) -> sparse.csr_array:
    """(R, T) ones where a resource has a topic."""
    start, index = len(features.resources), features.topic_index
    columns = np.array([index[topic] - start for each in resources for topic in each.topics], dtype=np.int32)
    ends = np.cumsum([0, *(len(each.topics) for each in resources)], dtype=np.int32)
    shape = (len(resources), len(features.topics))
    linked = sparse.csr_array((np.ones(len(columns), dtype=np.float32), columns, ends), shape=shape)
    linked.sort_indices()
    return linked
