"""A catalogue as its rows say it: each row is parsed once, and again only when it says something else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from pydantic import ValidationError

from recommender.catalog import Resource


@dataclass(frozen=True, eq=False)
class Parsed:
    """What came of an app's rows.

    Attributes:
        resources: by the SHA-256 of what their rows say.
        unreadable: how many rows say nothing that this version understands, or are of another resource than they say.
    """

    resources: Mapping[bytes, Resource]
    unreadable: int = 0


def parsed(rows: Iterable[tuple[str, str]], former: Parsed | None = None) -> Parsed:
    """Parse the rows that were not there before, and leave out what cannot be read.

    No clock and no count is trusted to tell what changed: all that the rows say is compared.

    Args:
        rows: id and body of each resource.
        former: what came of the rows before. What says the same is the same object; where everything does, so is the
            outcome.
    """
    known = former.resources if former else {}
    resources, unreadable = dict[bytes, Resource](), 0
    for resource_id, body in rows:
        digest = sha256(body.encode()).digest()
        try:
            resource = known.get(digest) or Resource.model_validate_json(body)
        except ValidationError:
            unreadable += 1
            continue
        if resource.id == resource_id:
            resources[digest] = resource
        else:
            unreadable += 1
    if former and (resources, unreadable) == (known, former.unreadable):
        return former
    return Parsed(resources, unreadable)
