"""Upkeep in batches: what was removed is counted, and events are found by their age."""

import sqlalchemy as sa
from alembic import op

revision = "0005b"
down_revision = "0006"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"


def upgrade() -> None:
    op.create_table(
        "removal",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_removal_app_id")),
        sa.PrimaryKeyConstraint("app_id", "day", "kind", name=op.f("pk_removal")),
    )
    op.create_index(op.f("ix_event_app_id_signal_stored_at"), "event", ["app_id", "signal", "stored_at"])
    if op.get_bind().dialect.name == "postgresql":
        # Numbers of all apps are told as metrics, and are about nobody: no row-level security.
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON removal TO {SERVICE_ROLE}")


def downgrade() -> None:
    op.drop_index(op.f("ix_event_app_id_signal_stored_at"), "event")
    op.drop_table("removal")
