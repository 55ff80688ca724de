"""The database's schema: brought up to date by `assent migrate`, and only checked by everything else."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, pool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api.connecting import async_url, prepare_sqlite


class SchemaOutdated(Exception):
    """The database was not brought up to date."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.attributes["connection"] = connection
    return config


async def migrate(url: str) -> None:
    """Bring a database up to date, as its owner (not as the service's role)."""
    parsed = async_url(url)
    engine = create_async_engine(parsed, poolclass=pool.NullPool)
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", prepare_sqlite)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
    await engine.dispose()


async def require_current(connection: AsyncConnection) -> None:
    """Raise SchemaOutdated unless the database is at the newest revision."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    now = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    if now != newest:
        raise SchemaOutdated("the database is not up to date: run `assent migrate`")
