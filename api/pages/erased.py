"""The page of a deletion: how far it has come and its receipt, for whoever holds the link, and about nobody.

The link outlives the person. What it opens is the erasure's own row, which names nobody; the person's links, sessions
and rows are gone.
"""

from datetime import timedelta

import orjson
from fastapi import APIRouter, Request, Response

from api import people
from api.pages.serving import PageRoute, Refusal, page, service_of
from api.replaying import ensure_replayed
from api.service import Service
from api.tokens import BadToken, Kind, Token
from consent import erasure
from consent.erasure import Erasure
from consent.store import app_name

erased = APIRouter(route_class=PageRoute, include_in_schema=False)

OPEN_FOR = timedelta(days=365)
"""How long the page of a deletion can be opened."""


def path_of(service: Service, done: Erasure) -> str:
    """Return where the page of an erasure is; the token in it says nothing of the person."""
    until = done.requested_at + int(OPEN_FOR.total_seconds() * 1_000_000)
    return f"/erased/{service.tokens.make_for_erasure(done.app_id, done.erasure_id, until)}"


def show(request: Request, done: Erasure, name: str, path: str) -> Response:
    """Show what a deletion removed, how far it has come, and where its receipt is."""
    until = done.requested_at + int(OPEN_FOR.total_seconds() * 1_000_000)
    return page(request, "deleted.html", done=done, app_name=name, own_path=path, until=until)


@erased.get("/erased/{token}")
async def follow(request: Request, token: str) -> Response:
    """Show how far a deletion has come, as often as one likes."""
    done, name = await _find(request, token)
    return show(request, done, name, f"/erased/{token}")


@erased.get("/erased/{token}/receipt.json")
async def download(request: Request, token: str) -> Response:
    """Hand over the deletion with its signed receipt; until that is there, with the signed word that the rows are gone."""
    done, _ = await _find(request, token)
    return Response(
        orjson.dumps(people.erasure_json(done), option=orjson.OPT_INDENT_2),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="erasure-{done.erasure_id}.json"'},
    )


async def _find(request: Request, token: str) -> tuple[Erasure, str]:
    """Return the erasure that a link is about, and the name of its app; a refusal for any other link."""
    service = service_of(request)
    await ensure_replayed(service)
    opened = _open(service, token)
    async with service.database.read(opened.app_id) as connection:
        done = await erasure.find(connection, opened.app_id, opened.erasure_id)
        name = await app_name(connection, opened.app_id)
    if done is None:
        raise Refusal(404, "link_unknown")
    return done, name or opened.app_id


def _open(service: Service, token: str) -> Token:
    try:
        return service.tokens.open(token, Kind.ERASURE, service.clock())
    except BadToken:
        raise Refusal(404, "link_unknown") from None
