"""Which cells a notice was shown with, on each line that was chosen on it; null for the lines from before."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0005b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("consent_event", sa.Column("shown", sa.Text(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
