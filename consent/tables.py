"""The ledger's tables. Times are microseconds since 1970, UTC; every table that holds a person's data has the app in its key."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

app = Table(
    "app",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # One row to lock: consent changes of an app have one order.
    Column("ledger_size", BigInteger, nullable=False, default=0),
    # Whether recommendations carry a link that deletes the person at one click.
    Column("one_click", Boolean, nullable=False, default=True),
)

subject = Table(
    "subject",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("subject_id", String(32), primary_key=True),
    Column("user_hash", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # As the app said; NULL for whom it said nothing of.
    Column("age_band", String(16)),
    UniqueConstraint("app_id", "user_hash"),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)
Index(
    "ix_subject_minor", subject.c.app_id, subject.c.age_band,
    sqlite_where=subject.c.age_band.is_not(None), postgresql_where=subject.c.age_band.is_not(None),
)  # fmt: skip


def of_subject() -> ForeignKeyConstraint:
    """Tie a row to its person, so that no row can outlive them."""
    return ForeignKeyConstraint(["app_id", "subject_id"], ["subject.app_id", "subject.subject_id"])


consent_event = Table(
    "consent_event",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("subject_id", String(32), nullable=False),
    Column("signal", String(32), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("notice_version", String(32), nullable=False),
    Column("notice_sha256", String(64), nullable=False),
    Column("locale", String(16), nullable=False),
    Column("method", String(64), nullable=False),
    Column("actor_type", String(16), nullable=False),
    Column("actor", String(64)),
    Column("receipt_id", String(32), nullable=False),
    Column("prompt_id", String(32)),
    Column("place", String(64)),
    Column("shown_at", BigInteger),
    Column("shown", Text),  # as `consent.showing` writes it
    of_subject(),
    Index(None, "app_id", "subject_id", "seq"),
)

consent_cell = Table(
    "consent_cell",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("subject_id", String(32), primary_key=True),
    Column("purpose", String(32), primary_key=True),
    Column("signal", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("notice_version", String(32), nullable=False),
    Column("receipt_id", String(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("actor_type", String(16), nullable=False),
    Column("asked_at", BigInteger),
    Column("deferred_at", BigInteger),
    of_subject(),
)
_GRANTS = text("state IN ('given', 'renewed')")  # literally, so that PostgreSQL knows the index for it
Index(
    "ix_consent_cell_ends",
    consent_cell.c.app_id,
    consent_cell.c.expires_at,
    sqlite_where=_GRANTS,
    postgresql_where=_GRANTS,
)
Index(
    "ix_consent_cell_notice", consent_cell.c.app_id, consent_cell.c.notice_version, consent_cell.c.purpose, consent_cell.c.signal,
    sqlite_where=_GRANTS, postgresql_where=_GRANTS,
)  # fmt: skip

receipt = Table(
    "receipt",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("receipt_id", String(32), primary_key=True),
    Column("subject_id", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("jws", Text, nullable=False),
    of_subject(),
    Index(None, "app_id", "subject_id"),
)

erasure = Table(
    "erasure",  # names nobody: what was removed, never whose it was
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("erasure_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("rows_erased_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger),
    Column("deadline", BigInteger, nullable=False),
    Column("backups_until", BigInteger, nullable=False),
    Column("counts", Text, nullable=False),
    Column("steps", Text, nullable=False),
    Column("unlearn_epoch", BigInteger, nullable=False),
    Column("release_before", String(64)),
    Column("release_before_digest", String(64)),
    Column("release_after", String(64)),
    Column("release_after_digest", String(64)),
    Column("destroyed", Text, nullable=False),
    Column("acknowledgement", Text),
    Column("receipt", Text),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    Index(None, "app_id", "status"),
)

signing_key = Table(
    "signing_key",  # the service's own, of no app and no person
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("public", Text, nullable=False),
    Column("sealed", LargeBinary),  # the private half; gone once a newer key has taken over
    Column("created_at", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
)

log_node = Table(
    "log_node",  # the app's Merkle tree, one row for each complete subtree; numbers as in `consent.log.merkle`
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("node", BigInteger, primary_key=True, autoincrement=False),
    # Of a leaf its data, which is a keyed commitment and says nothing of anybody; of every other node its hash.
    Column("value", LargeBinary(32), nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    sqlite_with_rowid=False,
)

log_key = Table(
    "log_key",  # opens a person's leaves; an erasure destroys it
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("subject_id", String(32), primary_key=True),
    Column("key", LargeBinary(32), nullable=False),
    of_subject(),
)

log_checkpoint = Table(
    "log_checkpoint",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("created_at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)

log_erased = Table(
    "log_erased",  # the leaves whose key an erasure destroyed: which, and never whose
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("signature", LargeBinary(64), nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    sqlite_with_rowid=False,
)

# An app's own notices. What was published is never changed and never deleted.
notice_revision = Table(
    "notice_revision",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("version", String(32), primary_key=True),
    Column("base", String(32), nullable=False),  # the shipped revision that it words
    Column("position", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    UniqueConstraint("app_id", "position", name="uq_notice_revision_app_id_position"),
)

notice_text = Table(
    "notice_text",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("version", String(32), primary_key=True),
    Column("locale", String(16), primary_key=True),
    Column("place", BigInteger, nullable=False),  # among the languages, as they were sent
    Column("text", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    ForeignKeyConstraint(["app_id", "version"], ["notice_revision.app_id", "notice_revision.version"]),
)

notice_ended = Table(
    "notice_ended",  # versions on which a grant for a cell stands no more, since one of the app's own
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("purpose", String(32), primary_key=True),
    Column("signal", String(32), primary_key=True),
    Column("version", String(32), primary_key=True),
    Column("ended_by", String(32), nullable=False),
    ForeignKeyConstraint(["app_id", "ended_by"], ["notice_revision.app_id", "notice_revision.version"]),
)
