"""Which parts of the people a release has to forget, so that an erasure trains only the shards of those parts anew."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0002"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"


def upgrade() -> None:
    op.create_table(
        "unlearned",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_unlearned_app_id")),
        sa.PrimaryKeyConstraint("app_id", "epoch", name=op.f("pk_unlearned")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"GRANT SELECT, INSERT, DELETE ON unlearned TO {SERVICE_ROLE}")
        op.execute("ALTER TABLE unlearned ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE unlearned FORCE ROW LEVEL SECURITY")
        op.execute("CREATE POLICY own_app ON unlearned USING (app_id = current_setting('assent.app', true))")


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
