"""All states of consent: what was shown, who gave, when someone was asked, and the age band that an app told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0005"
branch_labels = None
depends_on = None

GRANTS = sa.text("state IN ('given', 'renewed')")


def upgrade() -> None:
    op.add_column("subject", sa.Column("age_band", sa.String(length=16), nullable=True))
    told = sa.text("age_band IS NOT NULL")
    op.create_index(
        "ix_subject_minor", "subject", ["app_id", "age_band"], sqlite_where=told, postgresql_where=told
    )
    op.add_column("consent_event", sa.Column("prompt_id", sa.String(length=32), nullable=True))
    op.add_column("consent_event", sa.Column("place", sa.String(length=64), nullable=True))
    op.add_column("consent_event", sa.Column("shown_at", sa.BigInteger(), nullable=True))
    op.add_column("consent_cell", sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(
        "consent_cell", sa.Column("actor_type", sa.String(length=16), nullable=False, server_default="self")
    )
    op.add_column("consent_cell", sa.Column("asked_at", sa.BigInteger(), nullable=True))
    op.add_column("consent_cell", sa.Column("deferred_at", sa.BigInteger(), nullable=True))
    _tell_cells_their_line()
    for name, columns in {
        "ix_consent_cell_ends": ["app_id", "expires_at"],
        "ix_consent_cell_notice": ["app_id", "notice_version", "purpose", "signal"],
    }.items():
        op.create_index(name, "consent_cell", columns, sqlite_where=GRANTS, postgresql_where=GRANTS)


def _tell_cells_their_line() -> None:
    """Fill in what the ledger knows; a migration serves no app, so the separation of apps is lifted meanwhile."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        _force("NO FORCE")
    op.execute(
        """
        UPDATE consent_cell SET (seq, actor_type) = (
            SELECT line.seq, line.actor_type FROM consent_event line
            WHERE line.app_id = consent_cell.app_id AND line.subject_id = consent_cell.subject_id
            AND line.receipt_id = consent_cell.receipt_id
            AND line.signal = consent_cell.signal AND line.purpose = consent_cell.purpose
            ORDER BY line.seq DESC LIMIT 1
        )
        """
    )
    if postgresql:
        _force("FORCE")


def _force(how: str) -> None:
    for table in ("consent_cell", "consent_event"):
        op.execute(f"ALTER TABLE {table} {how} ROW LEVEL SECURITY")


def downgrade() -> None:
    for name in ("ix_consent_cell_ends", "ix_consent_cell_notice"):
        op.drop_index(name, "consent_cell")
    op.drop_index("ix_subject_minor", "subject")
    for table, column in (
        ("consent_cell", "deferred_at"), ("consent_cell", "asked_at"), ("consent_cell", "actor_type"), ("consent_cell", "seq"),
        ("consent_event", "shown_at"), ("consent_event", "place"), ("consent_event", "prompt_id"), ("subject", "age_band"),
    ):  # fmt: skip
        op.drop_column(table, column)
