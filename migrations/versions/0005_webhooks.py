"""Webhooks: subscriptions, and the outbox of what has to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"
OWN_APP = "app_id = current_setting('assent.app', true)"
WAITING = "status = 'waiting'"


def upgrade() -> None:
    op.create_table(
        "webhook_subscription",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("subscription_id", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("overlap_until", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("next_due", sa.BigInteger(), nullable=True),
        sa.Column("lease", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("expiring_at", sa.BigInteger(), nullable=False),
        sa.Column("expiring_subject", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_webhook_subscription_app_id")),
        sa.PrimaryKeyConstraint("app_id", "subscription_id", name=op.f("pk_webhook_subscription")),
    )
    op.create_index(op.f("ix_webhook_subscription_next_due"), "webhook_subscription", ["next_due"])
    op.create_table(
        "webhook_delivery",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("subscription_id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=True),
        sa.Column("stream", sa.String(length=32), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "subject_id"],
            ["subject.app_id", "subject.subject_id"],
            name=op.f("fk_webhook_delivery_app_id_subject_id"),
        ),
        sa.ForeignKeyConstraint(
            ["app_id", "subscription_id"],
            ["webhook_subscription.app_id", "webhook_subscription.subscription_id"],
            name=op.f("fk_webhook_delivery_app_id_subscription_id"),
        ),
        sa.PrimaryKeyConstraint("app_id", "subscription_id", "sequence", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint(
            "app_id",
            "message_id",
            "subscription_id",
            name=op.f("uq_webhook_delivery_app_id_message_id_subscription_id"),
        ),
    )
    op.create_index(
        op.f("ix_webhook_delivery_app_id_subject_id"), "webhook_delivery", ["app_id", "subject_id"]
    )
    op.create_index(
        op.f("ix_webhook_delivery_app_id_status_ended_at"),
        "webhook_delivery",
        ["app_id", "status", "ended_at"],
    )
    op.create_index(
        "ix_webhook_delivery_waiting",
        "webhook_delivery",
        ["app_id", "subscription_id", "stream", "sequence"],
        sqlite_where=sa.text(WAITING),
        postgresql_where=sa.text(WAITING),
    )
    if op.get_bind().dialect.name == "postgresql":
        _separate_apps()


def _separate_apps() -> None:
    """Show an app its own rows; to whoever delivers, the subscriptions of all, but no message."""
    for table in ("webhook_subscription", "webhook_delivery"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {SERVICE_ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_app ON webhook_delivery USING ({OWN_APP})")
    op.execute(
        "CREATE POLICY own_app ON webhook_subscription "
        f"USING ({OWN_APP} OR current_setting('assent.purpose', true) = 'deliver')"
    )


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook_subscription")
