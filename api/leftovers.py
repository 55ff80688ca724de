"""Stored releases that nothing stands behind: what a crash, a worker that was taken over, or a restored backup left of them goes.

A release is known to the database before its first byte is stored. So whatever lies there that the database does not
know, or knows as destroyed, is nobody's work under way.
"""

import asyncio
import logging

from api.loading import release_url
from api.service import Service
from recommender import registry
from recommender import release_files as releases

log = logging.getLogger(__name__)


async def destroy(service: Service, app_id: str, *, unknown: bool) -> list[str]:
    """Destroy what is stored of an app's releases that are destroyed already; with `unknown` also of those that the database lacks.

    The database lacks them when it went back in time: an older backup was restored. Returns the ids.
    """
    base = service.settings.releases_url
    stored = await asyncio.to_thread(releases.stored, release_url(base, app_id, ""))
    if not stored:
        return []
    async with service.database.read(app_id) as connection:
        status = {each.release_id: each.status for each in await registry.releases(connection, app_id)}
    left = [name for name in stored if status.get(name, "destroyed" if unknown else "") == "destroyed"]
    for name in left:
        await asyncio.to_thread(releases.delete, release_url(base, app_id, name))
    if left:
        log.warning("destroyed what was left of %d releases", len(left))
    return left
