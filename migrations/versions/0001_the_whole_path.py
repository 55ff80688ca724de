"""The first schema: ledger, events behind the gate, catalogue, releases, trainings, keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"

# Tables whose rows belong to one app: on PostgreSQL, a transaction sees those of its own app only. The others are
# read before the app is known (keys, links) or by the worker for all apps (trainings), and hold nothing personal.
OF_ONE_APP = (
    "subject", "consent_event", "consent_cell", "receipt", "erasure", "resource", "release", "idempotent_answer",
)  # fmt: skip
SHARED = ("app", "api_key", "used_link", "model_state", "training")
NEVER_CHANGED = ("consent_event", "receipt")


def upgrade() -> None:
    op.create_table(
        "app",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ledger_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_app")),
    )
    op.create_table(
        "used_link",
        sa.Column("nonce", sa.LargeBinary(length=16), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_used_link")),
    )
    op.create_index(op.f("ix_used_link_expires_at"), "used_link", ["expires_at"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_api_key_app_id")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_key")),
    )
    op.create_table(
        "erasure",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("erasure_id", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("rows_erased_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("unlearn_epoch", sa.BigInteger(), nullable=False),
        sa.Column("release_before", sa.String(length=64), nullable=True),
        sa.Column("release_before_digest", sa.String(length=64), nullable=True),
        sa.Column("release_after", sa.String(length=64), nullable=True),
        sa.Column("release_after_digest", sa.String(length=64), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_erasure_app_id")),
        sa.PrimaryKeyConstraint("app_id", "erasure_id", name=op.f("pk_erasure")),
    )
    op.create_index(op.f("ix_erasure_app_id_status"), "erasure", ["app_id", "status"], unique=False)
    op.create_table(
        "idempotent_answer",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("user_hash", sa.LargeBinary(length=32), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_idempotent_answer_app_id")),
        sa.PrimaryKeyConstraint("app_id", "key_hash", name=op.f("pk_idempotent_answer")),
    )
    op.create_index(
        op.f("ix_idempotent_answer_app_id_user_hash"),
        "idempotent_answer",
        ["app_id", "user_hash"],
        unique=False,
    )
    op.create_index(
        op.f("ix_idempotent_answer_created_at"), "idempotent_answer", ["created_at"], unique=False
    )
    op.create_table(
        "model_state",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("catalog_version", sa.BigInteger(), nullable=False),
        sa.Column("unlearn_epoch", sa.BigInteger(), nullable=False),
        sa.Column("promoted", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_model_state_app_id")),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_model_state")),
    )
    op.create_table(
        "release",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("unlearn_epoch", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("promoted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_release_app_id")),
        sa.PrimaryKeyConstraint("app_id", "release_id", name=op.f("pk_release")),
    )
    op.create_table(
        "resource",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_resource_app_id")),
        sa.PrimaryKeyConstraint("app_id", "resource_id", name=op.f("pk_resource")),
    )
    op.create_table(
        "subject",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("user_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_subject_app_id")),
        sa.PrimaryKeyConstraint("app_id", "subject_id", name=op.f("pk_subject")),
        sa.UniqueConstraint("app_id", "user_hash", name=op.f("uq_subject_app_id_user_hash")),
    )
    op.create_table(
        "training",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("training_id", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_training_app_id")),
        sa.PrimaryKeyConstraint("app_id", "training_id", name=op.f("pk_training")),
    )
    op.create_index(op.f("ix_training_status_asked_at"), "training", ["status", "asked_at"], unique=False)
    op.create_table(
        "consent_cell",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("signal", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("notice_version", sa.String(length=32), nullable=False),
        sa.Column("receipt_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "subject_id"],
            ["subject.app_id", "subject.subject_id"],
            name=op.f("fk_consent_cell_app_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("app_id", "subject_id", "purpose", "signal", name=op.f("pk_consent_cell")),
    )
    op.create_table(
        "consent_event",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("signal", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("notice_version", sa.String(length=32), nullable=False),
        sa.Column("notice_sha256", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("actor_type", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=True),
        sa.Column("receipt_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "subject_id"],
            ["subject.app_id", "subject.subject_id"],
            name=op.f("fk_consent_event_app_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("app_id", "seq", name=op.f("pk_consent_event")),
    )
    op.create_index(
        op.f("ix_consent_event_app_id_subject_id_seq"),
        "consent_event",
        ["app_id", "subject_id", "seq"],
        unique=False,
    )
    op.create_table(
        "event",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("signal", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.String(length=128), nullable=True),
        sa.Column("topic", sa.String(length=64), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "subject_id"],
            ["subject.app_id", "subject.subject_id"],
            name=op.f("fk_event_app_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("app_id", "event_id", name=op.f("pk_event")),
    )
    op.create_index(
        op.f("ix_event_app_id_subject_id_signal_occurred_at"),
        "event",
        ["app_id", "subject_id", "signal", "occurred_at"],
        unique=False,
    )
    op.create_table(
        "receipt",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("receipt_id", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "subject_id"],
            ["subject.app_id", "subject.subject_id"],
            name=op.f("fk_receipt_app_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("app_id", "receipt_id", name=op.f("pk_receipt")),
    )
    op.create_index(op.f("ix_receipt_app_id_subject_id"), "receipt", ["app_id", "subject_id"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _let_the_service_in()
        _separate_apps()
        _hold_the_gate()
    else:
        _refuse_changes_of_history()


def _refuse_changes_of_history() -> None:
    for table in NEVER_CHANGED:
        op.execute(
            f"CREATE TRIGGER {table}_never_changes BEFORE UPDATE ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'what was recorded is never changed'); END"
        )


def _let_the_service_in() -> None:
    op.execute(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVICE_ROLE}') "
        f"THEN CREATE ROLE {SERVICE_ROLE} NOLOGIN; END IF; END $$"
    )
    op.execute(f"GRANT {SERVICE_ROLE} TO CURRENT_USER")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {SERVICE_ROLE}")
    op.execute(f"GRANT SELECT ON alembic_version TO {SERVICE_ROLE}")
    for table in (*OF_ONE_APP, *SHARED, "event"):
        op.execute(f"GRANT SELECT, INSERT, DELETE ON {table} TO {SERVICE_ROLE}")
        if table not in (*NEVER_CHANGED, "event"):
            op.execute(f"GRANT UPDATE ON {table} TO {SERVICE_ROLE}")


def _separate_apps() -> None:
    for table in OF_ONE_APP:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_app ON {table} USING (app_id = current_setting('assent.app', true))")


def _hold_the_gate() -> None:
    """Let a transaction see an event only under a purpose that its person grants, or for that person's own rights."""
    op.execute("ALTER TABLE event ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE event FORCE ROW LEVEL SECURITY")
    granted = """
        EXISTS (
            SELECT FROM consent_cell c
            WHERE c.app_id = event.app_id AND c.subject_id = event.subject_id AND c.signal = event.signal
            AND c.state IN ('given', 'renewed') AND c.expires_at > extract(epoch FROM clock_timestamp()) * 1000000
            AND current_setting('assent.purpose', true) IN (c.purpose, 'ingest')
        )
    """
    own_app = "event.app_id = current_setting('assent.app', true)"
    rights = "current_setting('assent.purpose', true) = 'rights'"
    op.execute(f"CREATE POLICY gate ON event FOR SELECT USING ({own_app} AND ({rights} OR {granted}))")
    op.execute(f"CREATE POLICY ingest ON event FOR INSERT WITH CHECK ({own_app} AND {granted})")
    op.execute(f"CREATE POLICY removal ON event FOR DELETE USING ({own_app} AND {rights})")


def downgrade() -> None:
    raise RuntimeError("the first schema has nothing before it: drop the database instead")
