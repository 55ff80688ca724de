"""How a page leaves the server: rendered, in the reader's language, with headers that keep it private and unframed."""

import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import nh3
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from api.pages.wording import LANGUAGES, Words, preferred, words
from api.problems import UNAVAILABLE
from api.service import Service

LANGUAGE_COOKIE = "assent_language"

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Vary": "Accept-Language, Cookie",
    "X-Robots-Tag": "noindex",
}
"""Headers of every page, redirect and download. There is no script to allow."""


class Refusal(Exception):
    """A page cannot be shown; what is said instead lies under `errors.<name>` in the texts."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status = status
        self.name = name


class PageRoute(APIRoute):
    """A route whose every answer has `HEADERS`, and whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's own handler."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                response = await handle(request)
            except Refusal as refused:
                response = refusal(request, refused.status, refused.name)
            except UNAVAILABLE:
                if not wants_html(request):
                    raise
                response = refusal(request, 503, "unavailable")
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handled


def wants_html(request: Request) -> bool:
    """Tell whether a browser asks. Programs that take anything get JSON."""
    accepted = request.headers.get("accept", "")
    html, json = accepted.find("text/html"), accepted.find("application/json")
    return html >= 0 and (json < 0 or html < json)


def service_of(request: Request) -> Service:
    """Return the service behind a page."""
    service: Service = request.app.state.service
    return service


def base_path(service: Service) -> str:
    """Return the path under which browsers see the service: empty, or `/something`."""
    return urlsplit(service.settings.public_url).path.rstrip("/")


def language(request: Request) -> str:
    """Return the language of a page for this browser."""
    return preferred(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))


def prose(markdown: str) -> Markup:
    """Turn Markdown into HTML without scripts, styles, forms or images; its highest heading becomes an h2."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    highest = min(map(int, _HEADING.findall(html)), default=2)
    html = _HEADING.sub(lambda tag: tag[0].replace(tag[1], str(min(6, int(tag[1]) + 2 - highest))), html)
    clean = nh3.clean(html, tags=_PROSE_TAGS, attributes={"a": {"href", "title"}}, url_schemes=_SCHEMES)
    return Markup(clean)  # noqa: S704  it was cleaned


def country(request: Request) -> str | None:
    """Return the country in the browser's first language, so that helplines fit; None when it names none."""
    found = _COUNTRY.match(request.headers.get("accept-language", ""))
    return found.group(1) if found else None


_COUNTRY = re.compile(r"\s*[A-Za-z]{2,3}-([A-Z]{2})\b")
_HEADING = re.compile(r"</?h([1-6])>")
_PROSE_TAGS = {
    "a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto", "tel"}


def environment(*packages: str) -> Environment:
    """Return the templates of these packages, after which those of the pages come."""
    loaders = [PackageLoader(package) for package in (*packages, "api.pages")]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["prose"] = prose
    made.globals["css"] = f"assent.css?v={asset('assent.css')[1]}"
    return made


@cache
def asset(name: str, package: str = "api.pages") -> tuple[bytes, str]:
    """Return a static file and a short digest of it, which makes its address change when it does."""
    content = (resources.files(package) / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


@cache
def _pages() -> Environment:
    return environment()


def render(template: str, **values: Any) -> str:
    """Fill in one of the pages' templates."""
    return _pages().get_template(template).render(**values)


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page."""
    told: Words = words(language(request))
    html = render(
        template,
        t=told,
        languages=LANGUAGES,
        base=base_path(service_of(request)),
        path=_known_path(request.url.path),
        demo=getattr(request.app.state, "demo_path", None),
        **values,
    )
    return HTMLResponse(html, status_code=status, headers={"Content-Language": told.locale})


def refusal(request: Request, status: int, name: str) -> HTMLResponse:
    """Render the page that says why there is no page, and what to do."""
    return page(request, "refusal.html", status=status, name=name)


def see_other(request: Request, path: str) -> RedirectResponse:
    """Send the browser to another page with GET."""
    return RedirectResponse(base_path(service_of(request)) + path, status_code=303)


RETURNS = ("/", "/me", "/me/history", "/me/why", "/me/delete", "/me/notice")
"""Pages to which one comes back after choosing a language. Links with a token are not among them."""


def _known_path(path: str) -> str:
    return path if path in RETURNS else "/me"
