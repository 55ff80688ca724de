"""Jobs of every kind in one table, in place of one for trainings alone."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0001"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_job_app_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_status_kind_asked_at"), "job", ["status", "kind", "asked_at"])
    op.create_index(op.f("ix_job_app_id_kind_about"), "job", ["app_id", "kind", "about"])
    # What waited, or was under way, is done by the workers of now; it is due at once.
    op.execute(
        "INSERT INTO job (job_id, app_id, kind, about, reason, status, asked_at, due_at, attempts, fence) "
        "SELECT training_id, app_id, 'training', '', reason, 'waiting', asked_at, 0, 0, 0 FROM training "
        "WHERE status IN ('waiting', 'running')"
    )
    op.drop_table("training")
    if op.get_bind().dialect.name == "postgresql":
        # Workers look for all apps' jobs, and jobs hold nothing personal: no row-level security.
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON job TO {SERVICE_ROLE}")


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
