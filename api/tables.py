"""The service's own tables: keys of partner apps, used links, answers kept for retries, jobs."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from consent.tables import metadata

api_key = Table(
    "api_key",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("app_id", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)

used_link = Table(
    "used_link",  # a random number that says nothing, kept until the link would have expired anyway
    metadata,
    Column("nonce", LargeBinary(16), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

removal = Table(
    "removal",  # how much was removed by the clock, never what
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)

idempotent_answer = Table(
    "idempotent_answer",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("request_hash", LargeBinary(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Whose answer this is, so that it goes when they go. A hash, because a person may have no row yet.
    Column("user_hash", LargeBinary(32)),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    Index(None, "app_id", "user_hash"),
    Index(None, "created_at"),
)

erasure_register = Table(
    "erasure_register",  # which one this database is used with; one row, random, about nobody
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("name", String(32), nullable=False),
)

job = Table(
    "job",  # work that is asked for, under way, over or given up; names nobody
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("app_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("about", String(64), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    # When a worker may take it: of one that runs, when its lease is over; of one that is done, since when.
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Grows with every lease: who holds an older number has lost the job to another worker.
    Column("fence", BigInteger, nullable=False),
    Column("outcome", String(64)),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
    Index(None, "status", "kind", "asked_at"),
    Index(None, "app_id", "kind", "about"),
)
