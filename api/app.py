"""The web application: routes, errors, documentation, and what runs beside them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig
from pydantic.json_schema import models_json_schema

from api import answers, job_figures, pages, problems, replaying, requests, telemetry
from api.arrivals import Arriving
from api.handing_over import Exports
from api.limits import Buckets, Deadline, LimitedBody
from api.problems import ProblemDetails
from api.recommending import Recommending
from api.routes import (
    consents,
    decisions,
    events,
    health,
    notices,
    prompts,
    recommendations,
    releases,
    resources,
    subscriptions,
    users,
)
from api.routes import log as log_routes
from api.service import Service
from api.worker import KINDS

log = logging.getLogger(__name__)

DESCRIPTION = """Recommends coping resources from only those signals that each person chose to share,
says exactly why, and forgets at a click. Times are UTC (RFC 3339); errors are problem+json (RFC 9457)."""


def create_app(service: Service, *, reporting: TelemetryConfig | None = None) -> FastAPI:
    """Make the application around a service; nothing is connected until it starts.

    `reporting` stands in for what the settings say of telemetry.
    """
    reported = telemetry.configured(service) if reporting is None else reporting

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with contextlib.suppress(*problems.UNAVAILABLE):
            await replaying.ensure_replayed(service)
            await service.models.refresh()
        stop = asyncio.Event()
        watching = asyncio.create_task(service.models.watch(service.settings.poll_s, stop))
        replayed = asyncio.create_task(replaying.watch(service, stop))
        try:
            async with job_figures.told(service, KINDS, reported.get("meter_provider")):
                yield
        finally:
            stop.set()
            await asyncio.gather(watching, replayed, return_exceptions=True)
            await service.close()

    app = FastAPI(
        title="Assent",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # a page of ours (api.pages.reference): FastAPI's runs a script from elsewhere
        redoc_url=None,
        telemetry=reported,
    )
    app.state.service = service
    app.state.recommending = Recommending(service)
    app.state.buckets = Buckets(service.settings.rate_limit)
    app.state.exports = Exports()
    app.add_middleware(recommendations.Shortcut)
    problems.install(app)
    app.add_middleware(LimitedBody, largest=service.settings.max_body_bytes)
    app.add_middleware(Deadline, seconds=service.settings.request_deadline_s)
    app.add_middleware(Arriving, clock=service.clock)
    app.router.routes.insert(0, recommendations.DIRECT)
    for module in (
        health,
        recommendations,
        events,
        notices,
        consents,
        decisions,
        prompts,
        users,
        log_routes,
        resources,
        releases,
        subscriptions,
    ):
        app.include_router(module.router)
    app.include_router(pages.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the models of bodies that the routes read themselves."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        models = [(model, "validation") for model in (*requests.MODELS, *answers.MODELS, ProblemDetails)]
        _, extra = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]  # a literal in a list
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= extra.get("$defs", {})
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            if path.startswith("/v1/") and path not in {"/v1/signals", "/v1/notices/{locale}"}:
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
