"""The ways in: single-use links, the page at the root, the choice of language, and the style sheet."""

from fastapi import APIRouter, Request, Response

from api import store
from api.pages import sessions
from api.pages.serving import LANGUAGE_COOKIE, RETURNS, PageRoute, Refusal, asset, page, see_other, service_of
from api.pages.sessions import still_meant
from api.pages.wording import LANGUAGES
from api.replaying import ensure_replayed
from api.service import Service
from api.tokens import BadToken, Kind, Token

opening = APIRouter(route_class=PageRoute, include_in_schema=False)

_LEADS_TO = {Kind.SETTINGS: "/me", Kind.WHY: "/me/why"}
_YEAR_S = 365 * 86_400


@opening.get("/")
async def landing(request: Request) -> Response:
    """Say what this is."""
    return page(request, "landing.html")


@opening.get("/open/{token}")
async def open_link(request: Request, token: str) -> Response:
    """Open a person's page by their link, which works once."""
    service = service_of(request)
    await ensure_replayed(service)
    opened = _open(service, token)
    async with service.database.write(opened.app_id) as connection:
        there = await still_meant(connection, opened)
        first = there and await store.use_link(connection, opened.nonce, opened.expires_at, service.clock())
    if not first and not (there and _same_person(service, request, opened)):
        raise Refusal(410, "link_over")
    response = see_other(request, _LEADS_TO[opened.kind])
    if first:
        sessions.begin(service, response, opened.app_id, opened.user_hash, opened.subject_id, opened.guardian)
    return response


def _open(service: Service, token: str) -> Token:
    for kind in _LEADS_TO:
        try:
            return service.tokens.open(token, kind, service.clock())
        except BadToken:
            continue
    raise Refusal(404, "link_unknown")


def _same_person(service: Service, request: Request, opened: Token) -> bool:
    """Tell whether the browser is in the person's pages already: then a link opened twice does no harm."""
    session = sessions.session_of(service, request)
    if session is None:
        return False
    return (session.app_id, session.user_hash, session.guardian) == (
        opened.app_id, opened.user_hash, opened.guardian,
    )  # fmt: skip


@opening.get("/me/language")
async def choose_language(request: Request, to: str = "", back: str = "/me") -> Response:
    """Remember a language in this browser, and go back."""
    response = see_other(request, back if back in RETURNS else "/me")
    if to in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, to, max_age=_YEAR_S, path="/", httponly=True, samesite="lax")
    return response


@opening.get("/static/assent.css")
async def style_sheet() -> Response:
    """Serve the one style sheet; its address changes with its content."""
    return Response(
        asset("assent.css")[0],
        media_type="text/css",
        headers={"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"},
    )


@opening.get("/favicon.ico")
async def icon() -> Response:
    """Serve the icon."""
    return Response(
        asset("icon.svg")[0], media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"}
    )
