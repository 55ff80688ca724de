"""What people granted for `measure`, as a data set: their events, what each of them granted, and the app's catalogue."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import polars as pl

from evaluation.catalogue import shelved
from evaluation.columns import require, signals_of
from evaluation.datasets import Answer, Dataset, tidy
from evaluation.errors import DatasetError
from recommender.catalog import Resource


def consented(
    events: pl.DataFrame,
    resources: Sequence[Resource] = (),
    grants: Mapping[bytes, Collection[str]] | None = None,
    name: str = "consented events",
    answer: Answer | None = None,
) -> Dataset:
    """Take over what the store read through the gate for purpose `measure`.

    Args:
        events: as `recommender.store.granted_events` returns it: `pseudonym` (Binary), `signal`, `resource_id`,
            `topic` (String), `value` (Float64), `occurred_at` (Int64 microseconds).
        resources: what can be recommended, also what nobody used.
        grants: as `consent.permits.granted` returns it for the same moment; None where it is not known.
        name: what reports call it.
        answer: what the service would answer.

    Raises:
        DatasetError: when a column is missing, or nobody has granted anything.
    """
    require(events, ["pseudonym", "signal", "resource_id", "topic", "value", "occurred_at"], name)
    if events.is_empty():
        raise DatasetError(
            f"{name}: there are none; nobody has granted a signal for `measure`, or no event has come in"
        )
    ours = events.select(
        user=pl.col("pseudonym").bin.encode("hex"),
        item=pl.col("resource_id").cast(pl.String),
        signal=signals_of(events, "signal", None, name),
        at=pl.col("occurred_at").cast(pl.Int64),
        value=pl.col("value").cast(pl.Float64),
        topic=pl.col("topic").cast(pl.String),
    )
    own = None if grants is None else {user.hex(): frozenset(signals) for user, signals in grants.items()}
    found = replace(tidy(ours, name), grants=own, answer=answer, personal=True)
    return shelved(found, resources) if resources else found
