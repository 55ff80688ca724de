"""The SHA-256 of each release's manifest: the files alone cannot show that nobody changed whose rows it says it learned from."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null for releases that are there, and for one that a worker of the former version may be making.
    op.add_column("release", sa.Column("manifest_sha256", sa.String(64)))


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
