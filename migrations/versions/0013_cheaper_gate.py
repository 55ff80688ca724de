"""The gate of events in PostgreSQL says the same, and asks for time and purpose once a statement in place of once a row.

The purpose first, then only that purpose's grant: each row's look at the grants finds it by the whole primary key.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# A subquery that needs nothing of the row is computed once, as the first row wants it.
OWN_APP = "event.app_id = (SELECT current_setting('assent.app', true))"
PURPOSE = "(SELECT current_setting('assent.purpose', true))"
NOW = "(SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
LIVE = f"""
    SELECT FROM consent_cell c
    WHERE c.app_id = event.app_id AND c.subject_id = event.subject_id AND c.signal = event.signal
    AND c.state IN ('given', 'renewed') AND c.expires_at > {NOW}
"""
GRANTED = f"WHEN 'ingest' THEN EXISTS ({LIVE}) ELSE EXISTS ({LIVE} AND c.purpose = {PURPOSE}) END"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP POLICY gate ON event")
    op.execute("DROP POLICY ingest ON event")
    op.execute(
        f"CREATE POLICY gate ON event FOR SELECT USING ({OWN_APP} AND CASE {PURPOSE} WHEN 'rights' THEN true {GRANTED})"
    )
    op.execute(
        f"CREATE POLICY ingest ON event FOR INSERT WITH CHECK ({OWN_APP} AND CASE {PURPOSE} {GRANTED})"
    )


def downgrade() -> None:
    raise RuntimeError("there is no way back: restore the backup taken before the upgrade")
