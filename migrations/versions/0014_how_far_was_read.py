"""Up to when trainings read what was granted: who granted only later has nothing to be unlearned."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

DAY = 86_400_000_000


def upgrade() -> None:
    op.add_column("model_state", sa.Column("read_until", sa.BigInteger(), nullable=False, server_default="0"))
    # Nothing says how far earlier trainings read, nor one of the former version that may still run: up to tomorrow.
    tomorrow = time.time_ns() // 1000 + DAY
    op.execute(sa.text("UPDATE model_state SET read_until = :until").bindparams(until=tomorrow))


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
