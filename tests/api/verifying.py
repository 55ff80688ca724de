"""A small ledger to verify: how it comes to be, and how it is exported."""

import json
from collections.abc import Sequence

from api import ledger_export, transparency
from api.service import Service
from consent.verification.bundles import Keys
from tests.conftest import APP, Caller

GRANT = ("views", "saves")


async def live(client: Caller) -> None:
    """Three people and eight entries, with checkpoints between; whoever had entries 2 and 3 is erased."""
    await client.get("/v1/log/checkpoint")
    await client.consent("stays", *GRANT)
    await client.get("/v1/log/checkpoint")
    await client.consent("goes", *GRANT)
    await client.consent("stays", "views", state="withdrawn")
    await client.consent("other", *GRANT)
    await client.http.delete("/v1/users/goes")
    await client.get("/v1/log/checkpoint")
    await client.consent("other", "saves", state="refused")


async def exported(service: Service, *, opened: bool = True) -> list[bytes]:
    """The app's ledger, as it is exported."""
    return [line async for _, _, line in ledger_export.lines(service, APP, opened=opened)]


async def keys_of(service: Service) -> Keys:
    """The published keys."""
    return Keys.parse(json.dumps(await transparency.keys(service, APP)))


def where(lines: Sequence[bytes], line: int) -> int:
    """How many entries stand before a line."""
    return sum(b'"index"' in each for each in lines[:line])
