"""An erasure is a sequence of steps; apps can turn one-click links off; vacuum by the service."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004b"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"
PERSONAL = (
    "event", "consent_cell", "consent_event", "receipt", "subject", "idempotent_answer", "webhook_delivery",
)  # fmt: skip
MAINTAIN_SINCE = 170000


def upgrade() -> None:
    for column in (
        sa.Column("kind", sa.String(length=16), nullable=False, server_default="everything"),
        sa.Column("backups_until", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("steps", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("destroyed", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("acknowledgement", sa.Text(), nullable=True),
    ):
        op.add_column("erasure", column)
    for name in ("settled_epoch", "erasures"):
        op.add_column("model_state", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("app", sa.Column("one_click", sa.Boolean(), nullable=False, server_default=sa.true()))
    # What waits for a training is taken up again by the workers of now.
    op.execute(
        "INSERT INTO job (job_id, app_id, kind, about, reason, status, asked_at, due_at, attempts, fence) "
        "SELECT erasure_id, app_id, 'erasure', erasure_id, 'upgrade', 'waiting', requested_at, 0, 0, 0 FROM erasure "
        "WHERE status <> 'completed'"
    )
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        version = connection.execute(sa.text("SHOW server_version_num")).scalar_one()
        if int(version) >= MAINTAIN_SINCE:
            for table in PERSONAL:
                op.execute(f"GRANT MAINTAIN ON {table} TO {SERVICE_ROLE}")


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
