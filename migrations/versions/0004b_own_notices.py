"""Notices that apps word themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0004b"
down_revision = "0008"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"
TABLES = ("notice_revision", "notice_text", "notice_ended")


def upgrade() -> None:
    op.create_table(
        "notice_revision",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("base", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_notice_revision_app_id")),
        sa.PrimaryKeyConstraint("app_id", "version", name=op.f("pk_notice_revision")),
        sa.UniqueConstraint("app_id", "position", name=op.f("uq_notice_revision_app_id_position")),
    )
    op.create_table(
        "notice_text",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "version"],
            ["notice_revision.app_id", "notice_revision.version"],
            name=op.f("fk_notice_text_app_id_version"),
        ),
        sa.PrimaryKeyConstraint("app_id", "version", "locale", name=op.f("pk_notice_text")),
    )
    op.create_table(
        "notice_ended",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("signal", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("ended_by", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "ended_by"],
            ["notice_revision.app_id", "notice_revision.version"],
            name=op.f("fk_notice_ended_app_id_ended_by"),
        ),
        sa.PrimaryKeyConstraint("app_id", "purpose", "signal", "version", name=op.f("pk_notice_ended")),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
        if postgresql:
            op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE_ROLE}")
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY own_app ON {table} USING (app_id = current_setting('assent.app', true))"
            )
        else:
            for deed in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'what was published is never changed'); END"
                )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
