"""The service put together: what every entry point (HTTP, pages, worker, command line) works with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from api.arrivals import Changes
from api.database import Database
from api.keys import Proven
from api.models import Models, memory_lease_s
from api.point_reads import Prepared
from api.readiness import Readiness
from api.settings import Settings
from api.store import KeptAnswers, key_by_id
from api.tokens import Kind, Tokens
from api.webhooks.outbox import Outbox
from api.webhooks.signing import Secrets
from consent.decisions import of_one_cell
from consent.log.checkpoints import LogSigners
from consent.log.openings import LogKeys
from consent.minors import Minors
from consent.notices import published as published_notices
from consent.notices.board import NoticeBoard
from consent.notices.published import Notices
from consent.personal import PersonalStore
from consent.prompts import DAY, Quiet
from consent.pseudonyms import Pseudonyms
from consent.receipts.keyring import Keyring
from consent.receipts.records import Controller
from consent.receipts.signing import Signer
from consent.register import Register
from consent.registrar import Registrar
from consent.store import Ledger, ledger_size
from recommender.safety import Support
from recommender.tables import events

Clock = Callable[[], int]
"""Tells the time in microseconds since 1970, UTC."""

PERSONAL_STORES: Sequence[PersonalStore] = (events, KeptAnswers(), Outbox(), LogKeys(), Ledger())
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
    board: NoticeBoard
    pseudonyms: Pseudonyms
    keyring: Keyring
    logs: LogSigners
    tokens: Tokens
    webhook_secrets: Secrets
    support: Support
    clock: Clock
    register: Register
    readiness: Readiness
    key_by_id: Prepared
    ledger_size: Prepared
    one_cell: Prepared
    changes: Changes
    proven: Proven = field(default_factory=Proven)
    under_way: set[tuple[str, bytes]] = field(default_factory=set)
    """App and hash of every Idempotency-Key that this process is answering at the moment."""

    @classmethod
    def create(
        cls, settings: Settings, *, clock: Clock = wall_clock, notices: Notices | None = None
    ) -> "Service":
        """Make a service; nothing is connected yet."""
        database = Database(settings.database_url)
        shipped = notices or published_notices.published()
        return cls(
            settings=settings,
            database=database,
            models=Models(database, settings.releases_url, memory_lease_s(settings.poll_s)),
            notices=shipped,
            board=NoticeBoard(shipped),
            pseudonyms=Pseudonyms(settings.secret_bytes),
            keyring=Keyring(settings.secret_bytes),
            logs=LogSigners(settings.secret_bytes, settings.log_name),
            tokens=Tokens(settings.secret_bytes),
            webhook_secrets=Secrets(settings.secret_bytes),
            support=Support.load(),
            clock=clock,
            register=Register(settings.register_url, settings.secret_bytes),
            readiness=Readiness(),
            key_by_id=database.points.prepare(key_by_id()),
            ledger_size=database.points.prepare(ledger_size()),
            changes=Changes(2 * settings.request_deadline_s),
            one_cell=database.points.prepare(of_one_cell()),
        )

    def registrar(self, app_id: str, app_name: str, notices: Notices, signer: Signer) -> Registrar:
        """Return who enters lines into an app's ledger."""
        return Registrar(
            app_id=app_id,
            notices=notices,
            controller=self.controller(app_name),
            signer=signer,
            signal_tables=[events],
            minors=self.minors,
        )

    @property
    def minors(self) -> Minors:
        """The rules for minors."""
        return Minors(self.settings.guardian_below_age, self.settings.profiling_of_minors)

    @property
    def quiet(self) -> Quiet:
        """How long people are left in peace."""
        settings = self.settings
        return Quiet(
            after_refusal=settings.ask_again_after_refusal_d * DAY,
            after_dismissal=settings.ask_again_after_dismissal_d * DAY,
            after_question=settings.ask_again_after_question_d * DAY,
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
            notice_url=f"{settings.public_url}/v1/notices",
            address=settings.controller_address,
            email=settings.controller_email,
            phone=settings.controller_phone,
        )

    def link(
        self,
        kind: Kind,
        app_id: str,
        user_hash: bytes,
        subject_id: str | None,
        expires_at: int,
        guardian: str | None = None,
    ) -> str:
        """Return a single-use link to one page, for one person or for a guardian of theirs."""
        token = self.tokens.make(kind, app_id, user_hash, subject_id, expires_at, guardian, self.clock())
        path = "erase" if kind is Kind.ERASE else "open"
        return f"{self.settings.public_url}/{path}/{token}"

    def now(self) -> datetime:
        """Return the clock's time as a datetime."""
        return datetime.fromtimestamp(self.clock() / 1_000_000, UTC)

    async def close(self) -> None:
        """Let go of the database."""
        await self.models.close()
        await self.database.close()
