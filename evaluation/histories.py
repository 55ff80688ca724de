"""What is known of people as the ranker is told it."""

from collections.abc import Sequence

from evaluation.interactions import Indices, Interactions
from recommender.query import HistoryEvent


def histories(known: Interactions, users: Indices) -> Sequence[list[HistoryEvent]]:
    """Each one's events, newest first.

    Args:
        known: what is known of people.
        users: indices into its users, each with an event.
    """
    events = known.events.sort("at", descending=True, maintain_order=True)
    told = events.select("user", "signal", "item", "topic", "value", "at")
    by_user = told.partition_by("user", as_dict=True, include_key=False)
    return [[HistoryEvent(*row) for row in by_user[(known.users[user],)].iter_rows()] for user in users]
