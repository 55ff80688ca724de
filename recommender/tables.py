"""The recommender's tables. The events of people stay behind consent's gate; the rest holds nothing personal."""

from sqlalchemy import BigInteger, Column, Float, ForeignKeyConstraint, Integer, String, Table, Text

from consent.gate import SignalTable
from consent.tables import metadata

events = SignalTable(
    "event",
    metadata,
    [
        Column("resource_id", String(128)),
        Column("topic", String(64)),
        Column("value", Float),
        Column("occurred_at", BigInteger, nullable=False),
        Column("stored_at", BigInteger, nullable=False),
    ],
    newest="occurred_at",
    arrived="stored_at",
    times=("occurred_at", "stored_at"),
)

resource = Table(
    "resource",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("resource_id", String(128), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)

model_state = Table(
    "model_state",
    metadata,
    Column("app_id", String(64), primary_key=True),
    # Grows with every change of the catalogue: servers see by it that they have to read again.
    Column("catalog_version", BigInteger, nullable=False, default=0),
    # Grows whenever something learned has to be unlearned: what was trained before may not be promoted.
    Column("unlearn_epoch", BigInteger, nullable=False, default=0),
    Column("promoted", String(64)),
    # The newest epoch in which it was decided what to serve: nothing that was learned before it is served.
    Column("settled_epoch", BigInteger, nullable=False, default=0),
    # Grows with every erasure: a server that sees it shrink knows that a backup was restored under it.
    Column("erasures", BigInteger, nullable=False, default=0),
    # Up to when a training at most read what was granted: nothing can have learned from a grant that began later.
    Column("read_until", BigInteger, nullable=False, default=0),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)

unlearned = Table(
    "unlearned",  # what was to be forgotten, as long as a release may still know it: parts of the people, and nobody
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    # Which of `recommender.parts.BUCKETS` the person belongs to: shards whose part it is in have to be trained anew.
    Column("bucket", Integer, nullable=False),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)

release = Table(
    "release",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("release_id", String(64), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("unlearn_epoch", BigInteger, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("promoted_at", BigInteger),
    # Vouches for what the digest leaves out, such as whose rows it learned from; null for releases from before 0015.
    Column("manifest_sha256", String(64)),
    ForeignKeyConstraint(["app_id"], ["app.app_id"]),
)
