"""Alembic's entry: runs the migrations on the connection that it is given."""

from alembic import context

import api.tables
import api.webhooks.tables  # noqa: F401  declares the tables of webhooks
import recommender.tables  # noqa: F401  declares the recommender's tables
from consent.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
