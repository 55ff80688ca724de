"""What may be in a list at all: eligibility, safety, and what the query asks for.

Nothing here depends on the person, so answers are kept and used again until the catalogue changes. The rules:

- Eligible on the day: published, reviewed, review not overdue, credible source (`Resource.eligible_days`).
- A demanding resource that has contraindications is left to browsing: it is in no list. Other resources with
  contraindications are listed, and carry them; but none is listed for a call about a topic that it names
  (`recent_trauma` and `trauma` both keep it from a call about `trauma`).
- Language: those the query names, else the language of the locale. Where the catalogue has fewer than ten resources in
  that, the originals of other languages come along, but not one whose translation is there already; where it has none,
  or the locale is not told, everything is listed that is not a translation of another resource.
- Region: a resource with regions needs the call's region among them. Where the region is unknown, only resources
  that serve everyone are listed: a number that cannot be dialled is worse than none.
- `max_minutes` leaves out what takes longer, and what does not say.
"""

from collections.abc import Hashable, Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recommender.catalog import Intensity, Resource
from recommender.columns import Rows
from recommender.query import Query
from recommender.shelf import Shelf

_KEPT = 256
_ENOUGH = 10  # as many as a list has that does not say how many

Mask = NDArray[np.bool_]


class Filters:
    """The masks over one catalogue of R resources."""

    def __init__(self, shelf: Shelf) -> None:
        columns = shelf.columns
        self._size = len(shelf.resources)
        self._first_day: Rows = columns.array(_first_day, np.int64)
        self._last_day: Rows = columns.array(_last_day, np.int64)
        self._listable: Mask = columns.array(_in_lists, np.bool_)
        self._original: Mask = columns.array(_is_original, np.bool_)
        self._original_of = np.arange(self._size)
        for row in np.flatnonzero(~self._original).tolist():
            self._original_of[row] = shelf.rows.get(shelf.resources[row].translation_of or "", row)
        self._minutes = columns.array(_minutes, np.float64)
        self._everywhere: Mask = columns.array(_is_everywhere, np.bool_)
        self._kinds: dict[str, Rows] = columns.rows_by(_kinds)
        self._formats: dict[str, Rows] = columns.rows_by(_formats)
        self._languages = columns.rows_by(_languages)
        self._regions = columns.rows_by(_regions)
        self.topics: dict[str, Rows] = columns.rows_by(_topics)
        """The rows of each topic."""
        self._contraindicated = columns.rows_by(_topics_ruled_out)
        self._masks: dict[Hashable, Mask] = {}

    def listed(self, query: Query, now: datetime) -> Mask:
        """(R,) which resources may be listed; shared, not to be written to."""
        day = now.astimezone(UTC).toordinal()
        words = self._words(query)
        if words is None:
            return self._mask(query, day)
        key = (day, query.kinds, query.formats, query.max_minutes, words)
        mask = self._masks.get(key)
        if mask is None:
            if len(self._masks) >= _KEPT:
                self._masks.clear()
            mask = self._masks[key] = self._mask(query, day)
        return mask

    def _words(self, query: Query) -> Hashable | None:
        """What makes a difference of the words of a query; None where its filter has words that the catalogue has not.

        So nothing is kept of a call but words of the catalogue's own.
        """
        languages = frozenset(map(_primary, query.languages))
        if not (languages <= self._languages.keys() and self.topics.keys() >= {*query.topics}):
            return None
        own = _primary(query.locale) if query.locale else None
        return (
            query.topics,
            languages,
            own if own in self._languages else None,
            query.region if query.region in self._regions else None,
            tuple(topic for topic in query.context_topics if topic in self._contraindicated),
        )

    def contraindicated(self, topic: str) -> Rows:
        """The rows that must not be listed for someone concerned with a topic."""
        return self._contraindicated.get(topic, _NO_ROWS)

    def serving(self, region: str | None) -> Rows:
        """The rows that name a region as one that they serve."""
        return self._regions.get(region, _NO_ROWS) if region else _NO_ROWS

    def _mask(self, query: Query, day: int) -> Mask:
        mask = (self._first_day <= day) & (day <= self._last_day) & self._listable
        mask &= self._in_language(query)
        mask &= self._everywhere | self._any(self._regions, [query.region] if query.region else [])
        if query.topics:
            mask &= self._any(self.topics, query.topics)
        if query.kinds:
            mask &= self._any(self._kinds, query.kinds)
        if query.formats:
            mask &= self._any(self._formats, query.formats)
        if query.max_minutes is not None:
            mask &= self._minutes <= query.max_minutes
        for topic in (*query.topics, *query.context_topics):
            mask[self.contraindicated(topic)] = False
        return mask

    def _in_language(self, query: Query) -> Mask:
        if query.languages:
            return self._any(self._languages, {_primary(name) for name in query.languages})
        rows = self._languages.get(_primary(query.locale), _NO_ROWS) if query.locale else _NO_ROWS
        mask = np.zeros(self._size, dtype=np.bool_)
        if len(rows) < _ENOUGH:
            mask |= self._original
            mask[self._original_of[rows]] = False
        mask[rows] = True
        return mask

    def _any(self, rows_by: Mapping[str, Rows], names: Iterable[str]) -> Mask:
        mask = np.zeros(self._size, dtype=np.bool_)
        for name in names:
            mask[rows_by.get(name, _NO_ROWS)] = True
        return mask


_NO_ROWS: Rows = np.zeros(0, dtype=np.int64)


def _primary(language: str) -> str:
    """The language of a BCP 47 tag, without script and region."""
    return language.replace("_", "-").split("-", 1)[0].lower()


def _first_day(resource: Resource) -> int:
    return resource.eligible_days[0]


def _last_day(resource: Resource) -> int:
    return resource.eligible_days[1]


def _in_lists(resource: Resource) -> bool:
    """Whether it is for lists, and not for browsing alone."""
    return resource.intensity is not Intensity.DEMANDING or not resource.contraindications


def _is_original(resource: Resource) -> bool:
    return resource.translation_of is None


def _minutes(resource: Resource) -> float:
    return resource.minutes or np.inf


def _is_everywhere(resource: Resource) -> bool:
    return not resource.regions


def _kinds(resource: Resource) -> Iterable[str]:
    return (resource.kind,)


def _formats(resource: Resource) -> Iterable[str]:
    return resource.formats


def _languages(resource: Resource) -> Iterable[str]:
    return {_primary(name) for name in resource.languages}


def _regions(resource: Resource) -> Iterable[str]:
    return resource.regions


def _topics(resource: Resource) -> Iterable[str]:
    return resource.topics


def _topics_ruled_out(resource: Resource) -> set[str]:
    """The terms of the contraindications as topic ids, with and without the words before them."""
    ruled_out = set()
    for term in resource.contraindications:
        words = term.casefold().replace("-", " ").replace("_", " ").split()
        ruled_out |= {"_".join(words[start:]) for start in range(len(words))}
    return ruled_out
