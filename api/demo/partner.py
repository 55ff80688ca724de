"""Harbour, a small wellbeing app for the demo: everything it knows of Assent goes through the HTTP API with its key."""

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, Form, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from api.demo.client import Assent
from api.demo.community import user_id
from api.pages.reasons import reasons
from api.pages.serving import HEADERS, asset, country, environment
from api.pages.sessions import is_foreign
from api.pages.wording import words
from recommender.catalog import RESOURCE_ID

WHO_COOKIE = "harbour_user"
DEEDS = ("completions", "saves", "groups", "topics", "check_ins")
"""What the buttons of the app send; opening a resource sends `views` by itself."""
OUTCOMES = ("accepted", "duplicate", "refused", "invalid")
_TOPICS = ("anxiety", "low_mood", "stress", "sleep", "loneliness", "grief", "relationships", "work")
_A_DAY_S = 86_400

router = APIRouter(include_in_schema=False)
_templates = environment("api.demo")


def create_partner(service_app: ASGIApp, api_key: str, people: Sequence[str] = ()) -> FastAPI:
    """Make the demo app, to be mounted on the service's own application.

    Args:
        service_app: answers the API's calls, without a network between.
        api_key: a key of the demo's app, with the scopes recommend, events, consent and catalog.
        people: ids of the people whom a visitor may be; the first four simulated ones when left out.
    """
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=service_app),
        base_url="http://assent.invalid",
        headers={"Authorization": f"Bearer {api_key}"},
        timeout=10,
    )
    app = FastAPI(openapi_url=None)
    app.state.assent = Assent(http)
    app.state.people = tuple(people) or tuple(user_id(number) for number in range(1, 5))
    app.middleware("http")(_guarded)
    app.include_router(router)
    app.mount("/static", StaticFiles(packages=[("api.demo", "static")]))
    return app


def attach(service_app: FastAPI, api_key: str, path: str = "/demo", people: Sequence[str] = ()) -> None:
    """Mount the demo app on the service's application, and let the pages link to it."""
    service_app.mount(path, create_partner(service_app, api_key, people))
    service_app.state.demo_path = path


async def _guarded(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse forms of other sites, and send every page with the headers that Assent's own pages have."""
    if request.method == "POST" and is_foreign(request, str(request.base_url)):
        response: Response = HTMLResponse("This did not come from Harbour.", status_code=403)
    else:
        response = await go_on(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _assent(request: Request) -> Assent:
    client: Assent = request.app.state.assent
    return client


Client = Annotated[Assent, Depends(_assent)]
_KNOWN = re.compile(r"simulated-[0-9]{3,6}|new-[0-9a-f]{12}")


def _me(request: Request) -> str | None:
    """Return who the visitor chose to be. A real app would have asked for a password."""
    who = request.cookies.get(WHO_COOKIE, "")
    return who if _KNOWN.fullmatch(who) else None


def _page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    html = _templates.get_template(template).render(
        t=words("en"),
        here=request.scope.get("root_path", ""),
        harbour=f"harbour.css?v={asset('harbour.css', 'api.demo')[1]}",
        me=_me(request),
        **values,
    )
    return HTMLResponse(html, status_code=status)


def _to(request: Request, path: str) -> RedirectResponse:
    return RedirectResponse(request.scope.get("root_path", "") + path, status_code=303)


@router.get("/")
async def welcome(request: Request, assent: Client) -> Response:
    """Let the visitor choose who to be."""
    titles = await assent.signals()
    people = [
        {"id": each, "shares": [titles[signal] for signal in await assent.shared(each)], "of": len(titles)}
        for each in request.app.state.people
    ]
    return _page(request, "welcome.html", people=people)


@router.post("/be")
async def be(request: Request, who: Annotated[str, Form()]) -> Response:
    """Remember who the visitor is."""
    chosen = f"new-{secrets.token_hex(6)}" if who == "new" else who
    if not _KNOWN.fullmatch(chosen):
        return _to(request, "/")
    response = _to(request, "/today")
    path = request.scope.get("root_path", "") or "/"
    response.set_cookie(WHO_COOKIE, chosen, max_age=_A_DAY_S, path=path, httponly=True, samesite="lax")
    return response


@router.get("/today")
async def today(
    request: Request, assent: Client, topic: str | None = None, told: str = "", outcome: str = ""
) -> Response:
    """Show the list, each item with its reasons; with a topic, what there is about it."""
    me = _me(request)
    if me is None:
        return _to(request, "/")
    topic = topic if topic in _TOPICS else None
    answer = await assent.recommend(me, topics=[topic] if topic else [], country=country(request))
    explained = [
        contribution for item in answer["items"] for contribution in item["explanation"]["contributions"]
    ]
    titles = await assent.titles(each["resource_id"] for each in explained if each.get("resource_id"))
    return _page(
        request,
        "today.html",
        answer=answer,
        reasons_of=[reasons(item["explanation"], titles) for item in answer["items"]],
        signals=await assent.signals(),
        topics=_TOPICS,
        topic=topic,
        told=_told(told, outcome),
    )


_ResourceId = Annotated[str, Path(pattern=RESOURCE_ID)]


@router.get("/resource/{resource_id}")
async def show_resource(
    request: Request, assent: Client, resource_id: _ResourceId, told: str = "", outcome: str = ""
) -> Response:
    """Show a resource. Opening it is a `views` event: Assent is told, and keeps it only if the person shares that."""
    me = _me(request)
    if me is None:
        return _to(request, "/")
    resource = await assent.resource(resource_id)
    if resource is None:
        return _page(request, "missing.html", status=404)
    after_deed = _told(told, outcome)
    opened = after_deed or _told("views", await assent.tell(me, "views", resource_id=resource_id))
    return _page(
        request,
        "resource.html",
        resource=resource,
        similar=await assent.similar(resource_id),
        told=opened,
        signals=await assent.signals(),
        support=(await assent.recommend(me, limit=1, country=country(request)))["support"],
    )


@router.post("/did")
async def did(
    request: Request,
    assent: Client,
    signal: Annotated[str, Form()],
    resource_id: Annotated[str | None, Form()] = None,
    topic: Annotated[str | None, Form()] = None,
    value: Annotated[float | None, Form()] = None,
) -> Response:
    """Send what a button stands for, and say honestly what became of it."""
    me = _me(request)
    if me is None or signal not in DEEDS:
        return _to(request, "/")
    about = None if signal in {"topics", "check_ins"} else resource_id
    outcome = await assent.tell(me, signal, resource_id=about, topic=topic, value=value)
    back = f"/resource/{resource_id}" if resource_id and re.fullmatch(RESOURCE_ID, resource_id) else "/today"
    return _to(request, f"{back}?told={signal}&outcome={outcome}")


@router.get("/privacy/{kind}")
async def privacy(request: Request, assent: Client, kind: str) -> Response:
    """Send the person to their own page at Assent, by a fresh link."""
    me = _me(request)
    if me is None or kind not in {"settings", "why", "erase"}:
        return _to(request, "/")
    return RedirectResponse(await assent.link(me, kind), status_code=303)


def _told(signal: str, outcome: str) -> tuple[str, str] | None:
    return (signal, outcome) if signal in {*DEEDS, "views"} and outcome in OUTCOMES else None
