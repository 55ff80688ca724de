"""What may be used to improve the model, read where it is needed: each process that trains pulls its own people's events.

A cluster's workers get the address of the database with each task, as it stands in the settings: let them talk over TLS.
"""

import asyncio
from dataclasses import dataclass

from api.database import Database
from consent.gate import Within
from consent.notices.published import Notices
from consent.purposes import Purpose
from recommender import store
from recommender.history import History
from recommender.parts import Part
from recommender.profile import Features


@dataclass(frozen=True)
class ConsentedEvents:
    """The events of an app's people that are granted for `improve`, through the gate; a `recommender.training.Source`.

    Attributes:
        database_url: where.
        app_id: whose people.
        now: grants have to be in force then (microseconds, UTC).
        until: what came in, or was granted, after this is left out.
        notices: which versions of notices grants rest on.
        features: the columns of the catalogue.
    """

    database_url: str
    app_id: str
    now: int
    until: int
    notices: Notices
    features: Features

    def __call__(self, part: Part) -> History:
        """Read the events of a part of the people. Not to be called in a thread that runs an event loop."""
        return asyncio.run(self._read(part))

    async def _read(self, part: Part) -> History:
        database = Database(self.database_url)
        least, beyond = part.bounds
        try:
            async with database.read(self.app_id, Purpose.IMPROVE) as connection:
                events = await store.granted_events(
                    connection,
                    self.app_id,
                    Purpose.IMPROVE,
                    now=self.now,
                    notices=self.notices,
                    within=Within(least, beyond, self.until),
                )
        finally:
            await database.close()
        return History.from_columns(
            events["pseudonym"],
            events["signal"],
            events["resource_id"],
            events["topic"],
            events["value"].fill_null(float("nan")).to_numpy(),
            events["occurred_at"].to_numpy(),
            self.features,
        )
