"""The catalogue as it is served: resources by row, and every piece of JSON that never depends on a person, made once."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import orjson
from scipy import sparse

from recommender.catalog import Resource
from recommender.profile import MOOD_BANDS, Features


class Shelf:
    """A catalogue of R resources in the order of their ids, which is the order of their rows.

    Args:
        resources: the catalogue, in any order.
        topics: topics that have a column though no resource has them.

    Raises:
        ValueError: two resources share an id.
    """

    def __init__(self, resources: Iterable[Resource], topics: Iterable[str] = ()) -> None:
        self.resources: Sequence[Resource] = tuple(sorted(resources, key=lambda each: each.id))
        named = {topic for resource in self.resources for topic in resource.topics}
        self.features = Features(
            tuple(resource.id for resource in self.resources), tuple(sorted(named.union(topics)))
        )
        self.rows: Mapping[str, int] = self.features.resource_index
        if len(self.rows) < len(self.resources):
            raise ValueError("two resources share an id")
        self.titles = [resource.title for resource in self.resources]
        self.payloads = [resource.model_dump_json().encode() for resource in self.resources]
        """Each resource as JSON."""
        self.names = [
            b"{%b}" % orjson.dumps({"id": resource.id, "title": resource.title})[1:-1]
            for resource in self.resources
        ]
        """Each resource's id and title as JSON; copied, since what orjson gives keeps kilobytes of room at its end."""
        about: list[dict[str, str | int]] = [{"resource_id": each} for each in self.features.resources]
        about += [{"topic": each} for each in self.features.topics]
        about += [{"band": band} for band in range(1, MOOD_BANDS + 1)]
        self.about = [b'%b,"value":' % orjson.dumps(each)[1:-1] for each in about]
        """What each feature is about as one member of a JSON object, up to the number that comes next."""

    def rows_of(self, resource_ids: Iterable[str]) -> list[int]:
        """The rows of those of these resources that there are."""
        return [self.rows[each] for each in resource_ids if each in self.rows]


def topic_matrix(resources: Sequence[Resource], features: Features) -> sparse.csr_array:
    """(R, T) ones where a resource has a topic."""
    start = len(features.resources)
    pairs = [
        (row, features.topic_index[topic] - start)
        for row, each in enumerate(resources)
        for topic in each.topics
    ]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    shape = (len(resources), len(features.topics))
    return sparse.csr_array((np.ones(len(pairs), dtype=np.float32), (rows, columns)), shape=shape)
