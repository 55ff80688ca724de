"""The service may vacuum the keys of log entries too: what an erasure deletes there is all that opened a person's entries."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"
MAINTAIN_SINCE = 170000


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    version = connection.execute(sa.text("SHOW server_version_num")).scalar_one()
    if int(version) >= MAINTAIN_SINCE:
        op.execute(f"GRANT MAINTAIN ON log_key TO {SERVICE_ROLE}")


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
