"""The API's documentation, without a script: the origin on which people's own pages live runs nobody's code.

Whatever script runs here could read a person's page and press its buttons, wherever it was loaded from. In place of a
button that tries a call out, each call is written down for a shell.
"""

import asyncio

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from api.pages import openapi
from api.pages.serving import PageRoute, base_path, render
from api.pages.wording import words
from api.service import Service

reference = APIRouter(route_class=PageRoute, include_in_schema=False)


@reference.get("/docs")
async def show(request: Request) -> Response:
    """Show every call, in English as the OpenAPI document is."""
    state = request.app.state
    if not hasattr(state, "reference"):
        # Half a second's work, once: the page stays the same as long as the process runs.
        state.reference = await asyncio.to_thread(_written, request.app, state.service)
    return HTMLResponse(state.reference, headers={"Content-Language": "en"})


def _written(app: FastAPI, service: Service) -> str:
    document = app.openapi()
    return render(
        "reference.html",
        t=words("en"),
        languages={},
        base=base_path(service),
        about=document["info"]["description"],
        groups=openapi.groups(document, service.settings.public_url.rstrip("/")),
        parts=openapi.parts(document),
    )
