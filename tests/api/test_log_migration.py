"""Databases from before the log: the migration gives every line of the ledger its leaf, and the first checkpoint vouches for them."""

import json
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import event, pool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api import ledger_export, schema, transparency
from api.connecting import async_url, prepare_sqlite
from api.service import Service
from consent.verification.bundles import Keys
from consent.verification.ledger import verify_ledger
from tests.api import witness
from tests.conftest import fresh_database, settings_for

BEFORE = "0003"
APP = "harbour"
BODY = {
    "receipt_id": "r0",
    "purposes": [
        {"purpose": "personalise", "pii_information": {"pii_type": "views"}, "event": {"seq": seq, "event_state": "given"}}
        for seq in (1, 2)
    ],
}  # fmt: skip

SUBJECT = {
    "sqlite": "INSERT INTO subject (app_id, subject_id, user_hash, created_at) VALUES ('harbour', 's0', x'00', 0)",
    "postgresql": "INSERT INTO subject (app_id, subject_id, user_hash, created_at) VALUES ('harbour', 's0', '\\x00', 0)",
}
"""Somebody, with bytes as each database writes them."""


async def _at(url: str, revision: str, *statements: str) -> None:
    """Take a database to a revision, as its owner, and run statements there."""
    parsed = async_url(url)
    engine = create_async_engine(parsed, poolclass=pool.NullPool)
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", prepare_sqlite)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(schema._config(sync), revision))
        await _run(connection, *statements)
    await engine.dispose()


async def _run(connection: AsyncConnection, *statements: str) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT set_config('assent.app', 'harbour', true)"))
    for statement in statements:
        await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_ledger_from_before_is_in_the_log(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Lines become entries that open and verify; places whose person was erased before become leaves that nobody can open."""
    line = "INSERT INTO consent_event (app_id, seq, subject_id, signal, purpose, state, at, notice_version, notice_sha256, locale, method, actor_type, receipt_id) VALUES ('harbour', %d, 's0', 'views', 'personalise', 'given', 5, '1', 'ab', 'en', 'test', 'self', 'r0')"
    async with fresh_database(kind, tmp_path, request, migrated=False) as url:
        await _at(
            url, BEFORE,
            "INSERT INTO app (app_id, name, created_at, ledger_size) VALUES ('harbour', 'Harbour', 0, 4), ('meadow', 'Meadow', 0, 0)",
            SUBJECT[kind],
            line % 1, line % 2,
        )  # fmt: skip
        service = Service.create(settings_for(url, tmp_path))
        async with service.database.write(APP) as connection:
            signer = await service.keyring.signer(connection, service.clock())
            body = json.dumps(BODY, separators=(",", ":"), sort_keys=True)
            await connection.execute(
                text(
                    "INSERT INTO receipt (app_id, receipt_id, subject_id, created_at, body, jws) VALUES (:app, 'r0', 's0', 5, :body, :jws)"
                ),
                {"app": APP, "body": body, "jws": signer.sign_text(body)},
            )
        await schema.migrate(url)
        rows = await witness.everything(url)
        assert [row["node"] for row in sorted(rows["log_node"], key=lambda row: int(row["node"]))] == list(
            range(7)
        )
        lines = [each async for _, _, each in ledger_export.lines(service, APP, opened=True)]
        found = verify_ledger(lines, Keys.parse(json.dumps(await transparency.keys(service, APP))))
        assert (found.entries, found.opened, found.erased, found.receipts) == (4, 2, 2, 1)
        await service.close()
