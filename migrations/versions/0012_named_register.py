"""The database knows which register of erasures it was used with, so that a missing or another one is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"


def upgrade() -> None:
    op.create_table(
        "erasure_register",
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_erasure_register")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # A random name, of the whole installation: no row-level security.
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON erasure_register TO {SERVICE_ROLE}")


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
