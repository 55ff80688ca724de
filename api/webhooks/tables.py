"""The tables of webhooks: who listens, and what still has to be told. What was delivered keeps no word about anybody."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from consent.tables import metadata, of_subject

webhook_subscription = Table(
    "webhook_subscription",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("subscription_id", String(32), primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # The secret is derived from the service's; a rotation counts up, and the one before signs too for a while.
    Column("generation", Integer, nullable=False, default=1),
    Column("overlap_until", BigInteger, nullable=False, default=0),
    # The number of the newest message: whoever writes one holds this row, so numbers are in the order of commits.
    Column("sequence", BigInteger, nullable=False, default=0),
    # When there is something to send; NULL when nothing waits. A worker leases the whole subscription.
    Column("next_due", BigInteger),
    Column("lease", String(32)),
    Column("lease_until", BigInteger, nullable=False, default=0),
    # How far the notices of grants that are about to expire have come, by time of expiry and person.
    Column("expiring_at", BigInteger, nullable=False),
    Column("expiring_subject", String(32), nullable=False, default=""),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    Index(None, "next_due"),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("subscription_id", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", String(32), nullable=False),
    Column("type", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    # Forgotten on delivery: whose it is, in which order it stands, and what it says. An erasure's notice has no subject.
    Column("subject_id", String(32)),
    Column("stream", String(32)),
    Column("body", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("result", String(32)),
    of_subject(),
    ForeignKeyConstraint(
        ["app_id", "subscription_id"],
        ["webhook_subscription.app_id", "webhook_subscription.subscription_id"],
    ),
    UniqueConstraint("app_id", "message_id", "subscription_id"),
    Index(None, "app_id", "subject_id"),
    Index(None, "app_id", "status", "ended_at"),
    Index(
        "ix_webhook_delivery_waiting",
        "app_id",
        "subscription_id",
        "stream",
        "sequence",
        sqlite_where=text("status = 'waiting'"),
        postgresql_where=text("status = 'waiting'"),
    ),
)
