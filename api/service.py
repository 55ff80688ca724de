"""The service put together: what every entry point (HTTP, pages, worker, command line) works with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from api.database import Database, Prepared
from api.models import Models
from api.settings import Settings
from api.store import KeptAnswers, key_by_id
from api.tokens import Kind, Tokens
from consent import notices as published_notices
from consent.erasure import PersonalStore
from consent.notices import Notices
from consent.pseudonyms import Pseudonyms
from consent.receipts import Controller, Signer
from consent.store import Ledger
from recommender.safety import Support
from recommender.tables import events

Clock = Callable[[], int]
"""Tells the time in microseconds since 1970, UTC."""

PERSONAL_STORES: Sequence[PersonalStore] = (events, KeptAnswers(), Ledger())
"""Everywhere personal data lies; the ledger last, since the others hang on its row of the person."""


def wall_clock() -> int:
    """Return the time of the machine."""
    return time.time_ns() // 1_000


@dataclass(frozen=True)
class Service:
    """Settings and everything made from them."""

    settings: Settings
    database: Database
    models: Models
    notices: Notices
    pseudonyms: Pseudonyms
    signer: Signer
    tokens: Tokens
    support: Support
    clock: Clock
    key_by_id: Prepared

    @classmethod
    def create(
        cls, settings: Settings, *, clock: Clock = wall_clock, notices: Notices | None = None
    ) -> "Service":
        """Make a service; nothing is connected yet."""
        database = Database(settings.database_url)
        return cls(
            settings=settings,
            database=database,
            models=Models(database, settings.releases_url),
            notices=notices or published_notices.published(),
            pseudonyms=Pseudonyms(settings.secret_bytes),
            signer=Signer(settings.secret_bytes),
            tokens=Tokens(settings.secret_bytes),
            support=Support.load(),
            clock=clock,
            key_by_id=database.points.prepare(key_by_id()),
        )

    def controller(self, app_name: str) -> Controller:
        """Return who answers for an app's data."""
        settings = self.settings
        return Controller(
            name=settings.controller_name or app_name,
            contact=settings.controller_contact,
            jurisdiction=settings.jurisdiction,
            storage_location=settings.storage_location,
            withdrawal_url=f"{settings.public_url}/me",
        )

    def link(self, kind: Kind, app_id: str, user_hash: bytes, subject_id: str | None, expires_at: int) -> str:
        """Return a single-use link for one person to one page."""
        token = self.tokens.make(kind, app_id, user_hash, subject_id, expires_at)
        path = "erase" if kind is Kind.ERASE else "open"
        return f"{self.settings.public_url}/{path}/{token}"

    def now(self) -> datetime:
        """Return the clock's time as a datetime."""
        return datetime.fromtimestamp(self.clock() / 1_000_000, UTC)

    async def close(self) -> None:
        """Let go of the database."""
        await self.database.close()
