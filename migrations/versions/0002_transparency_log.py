"""The transparency log of each app: its tree, the keys that open its leaves, checkpoints; leaves for what was recorded before."""

import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from consent.log import merkle
from consent.log.commitments import digest, leaf_of, new_log_key
from consent.log.merkle import Tree

revision = "0002"
down_revision = "0003"
branch_labels = None
depends_on = None

SERVICE_ROLE = "assent_service"
APPEND_ONLY = ("log_node", "log_checkpoint", "log_erased")
AT_ONCE = 2_000


def upgrade() -> None:
    op.create_table(
        "log_node",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_log_node_app_id")),
        sa.PrimaryKeyConstraint("app_id", "node", name=op.f("pk_log_node")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_key",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "subject_id"],
            ["subject.app_id", "subject.subject_id"],
            name=op.f("fk_log_key_app_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("app_id", "subject_id", name=op.f("pk_log_key")),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_log_checkpoint_app_id")),
        sa.PrimaryKeyConstraint("app_id", "size", name=op.f("pk_log_checkpoint")),
    )
    op.create_table(
        "log_erased",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.app_id"], name=op.f("fk_log_erased_app_id")),
        sa.PrimaryKeyConstraint("app_id", "seq", name=op.f("pk_log_erased")),
        sqlite_with_rowid=False,
    )
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        _hold_on_postgresql()
    else:
        _hold_on_sqlite()
    for app_id, size in op.get_bind().execute(sa.text("SELECT app_id, ledger_size FROM app")).all():
        if on_postgresql:  # row-level security holds for the owner too
            op.get_bind().execute(sa.text("SELECT set_config('assent.app', :app, true)"), {"app": app_id})
        _log_what_was_recorded(op.get_bind(), app_id, size)


def _hold_on_postgresql() -> None:
    for table in (*APPEND_ONLY, "log_key"):
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE_ROLE}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_app ON {table} USING (app_id = current_setting('assent.app', true))")
    op.execute(f"GRANT DELETE ON log_key TO {SERVICE_ROLE}")


def _hold_on_sqlite() -> None:
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_never_{change.lower()}s BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'what was logged is never changed'); END"
            )
    op.execute(
        "CREATE TRIGGER log_key_never_changes BEFORE UPDATE ON log_key "
        "BEGIN SELECT RAISE(ABORT, 'what was recorded is never changed'); END"
    )


def _log_what_was_recorded(connection: sa.Connection, app_id: str, size: int) -> None:
    """Give every line of a ledger its leaf. A place whose person was erased before gets one that nobody can open."""
    keys: dict[str, bytes] = {}
    for (subject_id,) in connection.execute(
        sa.text("SELECT subject_id FROM subject WHERE app_id = :app"), {"app": app_id}
    ):
        keys[subject_id] = new_log_key()
    _insert(
        connection,
        "log_key",
        [{"app_id": app_id, "subject_id": each, "key": key} for each, key in keys.items()],
    )
    tree = Tree()
    for begin in range(0, size, AT_ONCE):
        end = min(begin + AT_ONCE, size)
        lines = {row["seq"]: row for row in _lines(connection, app_id, begin, end)}
        nodes = []
        for seq in range(begin, end):
            data = _leaf(lines[seq], keys) if seq in lines else secrets.token_bytes(32)
            (number, _), *inner = tree.append(merkle.leaf_hash(data))
            nodes += [(number, data), *inner]
        rows = [{"app_id": app_id, "node": node, "value": value} for node, value in nodes]
        _insert(connection, "log_node", rows)


def _lines(connection: sa.Connection, app_id: str, begin: int, end: int) -> Sequence[dict[str, Any]]:
    found = connection.execute(
        sa.text(
            "SELECT e.*, r.body FROM consent_event e LEFT JOIN receipt r "
            "ON r.app_id = e.app_id AND r.receipt_id = e.receipt_id "
            "WHERE e.app_id = :app AND e.seq >= :begin AND e.seq < :end"
        ),
        {"app": app_id, "begin": begin, "end": end},
    )
    return [dict(row) for row in found.mappings()]


def _leaf(line: dict[str, Any], keys: dict[str, bytes]) -> bytes:
    body = line.pop("body")
    return leaf_of(keys[line["subject_id"]], line, None if body is None else digest(body)).data


def _insert(connection: sa.Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        columns = sa.table(table, *(sa.column(name) for name in names))
        connection.execute(sa.insert(columns), rows)


def downgrade() -> None:
    raise RuntimeError("a log that was published is never taken back")
