"""What an operator does with the command line: register apps, make and revoke keys, bring catalogues in and out."""

from collections.abc import Iterable, Sequence

from api import keys, store
from api.keys import NewKey, Scope
from api.service import Service
from consent import store as ledger
from recommender import registry
from recommender import store as catalog
from recommender.catalog import Resource

DAY = 86_400_000_000


class NoSuchApp(Exception):
    """No app of this id is registered."""


async def ensure_app(service: Service, app_id: str, name: str) -> bool:
    """Register an app unless it is there; tell whether it is new."""
    async with service.database.write(app_id) as connection:
        if await ledger.app_name(connection, app_id) is not None:
            return False
        await ledger.add_app(connection, app_id, name, service.clock())
        await registry.add_model_state(connection, app_id)
    return True


async def require_app(service: Service, app_id: str) -> None:
    """Raise NoSuchApp unless the app is registered."""
    async with service.database.read(app_id) as connection:
        if await ledger.app_name(connection, app_id) is None:
            raise NoSuchApp(f"there is no app {app_id}: `assent keys create` registers one")


async def create_key(
    service: Service, app_id: str, name: str, scopes: Iterable[Scope], days: int | None = None
) -> NewKey:
    """Make a key for a registered app; its text is known to nobody else from here on."""
    await require_app(service, app_id)
    key, now = keys.create(), service.clock()
    async with service.database.write(app_id) as connection:
        await store.add_key(
            connection,
            key_id=key.key_id,
            app_id=app_id,
            name=name,
            secret_hash=key.secret_hash,
            scopes=keys.scopes_text(scopes),
            now=now,
            expires_at=None if days is None else now + days * DAY,
        )
    return key


async def revoke_key(service: Service, key_id: str) -> bool:
    """Revoke a key at once; False when there is none in force."""
    async with service.database.write("") as connection:
        return await store.revoke_key(connection, key_id, service.clock())


async def import_catalog(service: Service, app_id: str, resources: Sequence[Resource]) -> None:
    """Write resources into an app's catalogue, all or nothing."""
    await require_app(service, app_id)
    async with service.database.write(app_id) as connection:
        await catalog.put_resources(connection, app_id, resources, service.clock())


async def export_catalog(service: Service, app_id: str) -> list[Resource]:
    """Return an app's catalogue."""
    await require_app(service, app_id)
    async with service.database.read(app_id) as connection:
        return await catalog.list_resources(connection, app_id)
