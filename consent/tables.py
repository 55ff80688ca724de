"""The ledger's tables. Times are microseconds since 1970, UTC; every table that holds a person's data has the app in its key."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
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
)

subject = Table(
    "subject",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("subject_id", String(32), primary_key=True),
    Column("user_hash", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("app_id", "user_hash"),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)


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
    of_subject(),
)

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
    Column("status", String(16), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("rows_erased_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger),
    Column("deadline", BigInteger, nullable=False),
    Column("counts", Text, nullable=False),
    Column("unlearn_epoch", BigInteger, nullable=False),
    Column("release_before", String(64)),
    Column("release_before_digest", String(64)),
    Column("release_after", String(64)),
    Column("release_after_digest", String(64)),
    Column("receipt", Text),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    Index(None, "app_id", "status"),
)
