"""Nothing personal in telemetry: canaries in every input are looked for in traces, metrics, logs and on stderr."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: TID251  looks at what leaves
from opentelemetry.sdk.trace import TracerProvider  # noqa: TID251  looks at what leaves
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: TID251  looks at what leaves
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: TID251  looks at what leaves
    InMemorySpanExporter,
)

from api import administration, jobs, removals, telemetry, training
from api.app import create_app
from api.job_figures import JobFigures
from api.keys import Scope
from api.service import Service
from api.worker import KINDS
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, Clock, event

CANARY = "canary7f3a"


class Watched:
    """A client of an application that reports, and everything that it reported."""

    def __init__(
        self,
        client: Caller,
        key: str,
        tracers: TracerProvider,
        spans: InMemorySpanExporter,
        metrics: InMemoryMetricReader,
    ) -> None:
        self.client = client
        self.key = key
        self._tracers = tracers
        self._spans = spans
        self._metrics = metrics

    def told(self) -> str:
        """Everything that left, as text."""
        self._tracers.force_flush()
        data = self._metrics.get_metrics_data()
        traces = "\n".join(span.to_json() for span in self._spans.get_finished_spans())
        return traces + (data.to_json(indent=None) if data is not None else "")


@pytest.fixture
async def watched(service: Service) -> AsyncIterator[Watched]:
    """A service whose telemetry passes the allow-list into memory."""
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = telemetry.providers(spans, metrics)
    app = create_app(service, reporting=telemetry.reporting(service, tracers, meters))
    key = await administration.create_key(service, APP, "test", [Scope.ADMIN])
    headers = {"Authorization": f"Bearer {key.text}", "User-Agent": f"{CANARY}-agent", "X-Canary": CANARY}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://test",
            headers=headers,
        ) as http,
    ):
        yield Watched(Caller(http), key.text, tracers, spans, metrics)
    SQLAlchemyInstrumentor().uninstrument()  # or the next service's database would not report
    tracers.shutdown()
    meters.shutdown()


async def use_everything(client: Caller) -> None:
    """Call what there is with a canary in every place that takes one."""
    user = f"{CANARY}-user"
    await client.consent(user, "views", "topics")
    await client.events(
        event(user, "topics", topic=CANARY, event_id=f"{CANARY}-event"),
        event(user, "views", f"{CANARY}-thing"),
        event(user, "saves", f"{CANARY}-thing"),
    )
    await client.recommend(user, context={"topics": [CANARY]}, explain="full")
    link = (await client.post(f"/v1/users/{user}/links", {"kind": "settings"})).json()["url"]
    await client.get(link)
    await client.get(f"/open/{CANARY}")
    await client.get(f"/v1/users/{user}/export?{CANARY}={CANARY}")
    await client.get(f"/v1/users/{user}/consents/history?cursor={CANARY}")
    await client.get(f"/v1/resources/{CANARY}", headers={"Idempotency-Key": CANARY})
    await client.get(f"/v1/{CANARY}")
    await client.post("/v1/events", {CANARY: CANARY})
    await client.http.post("/v1/recommendations", content=f'{{"{CANARY}'.encode())
    await client.get("/v1/releases", headers={"Authorization": f"Bearer assent_{CANARY}"})
    await client.http.delete(f"/v1/users/{user}", headers={"Idempotency-Key": CANARY})


async def test_no_canary_leaves(
    watched: Watched,
    service: Service,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """User ids, event ids, topics, links, keys, bodies, paths, queries and headers are in nothing that is reported."""
    caplog.set_level(logging.DEBUG, logger="api")
    await use_everything(watched.client)
    told = watched.told()
    captured = capfd.readouterr()
    needles = (CANARY, watched.key.split("_")[2], service.pseudonyms.user(APP, f"{CANARY}-user").hex())
    for needle in needles:
        for where in (told, caplog.text, captured.out, captured.err):
            assert needle not in where
    assert "/v1/users/{user_id}/consents" in told
    assert '"name": "PUT /v1/users/{user_id}/consents"' in told
    assert '"name": "database"' in told
    assert '"http.response.status_code": 202' in told or '"http.status_code": 202' in told
    assert "INSERT" not in told


TRACE = {"traceparent": f"00-{7:032x}-{9:016x}-01", "tracestate": f"harbour={CANARY}-user"}


@ON_SQLITE
async def test_a_trace_goes_on_without_what_was_sent_with_it(watched: Watched) -> None:
    """A caller's trace is joined, and the state that came with it is reported by no span; metrics carry no examples."""
    assert (await watched.client.get("/v1/releases", headers=TRACE)).status_code == 200
    assert (await watched.client.get(f"/v1/{CANARY}", headers=TRACE)).status_code == 404
    told = watched.told()
    assert f'"trace_id": "0x{7:032x}"' in told
    assert f'"parent_id": "0x{9:016x}"' in told
    assert CANARY not in told
    assert '"exemplars": []' in told
    assert '"exemplars": [{' not in told


@ON_SQLITE
async def test_an_exception_keeps_its_message(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Of a fault of ours its class is told, and never its message or its stack."""

    def broken(*_: object, **__: object) -> None:
        raise LookupError(f"{CANARY} in a message")

    monkeypatch.setattr("recommender.events.ingest", broken)
    answer = await watched.client.post("/v1/events", {"events": [event(f"{CANARY}-user", "views", "x")]})
    assert answer.status_code == 500
    captured = capfd.readouterr()
    for told in (watched.told(), caplog.text, captured.out, captured.err, answer.text):
        assert CANARY not in told
    assert "LookupError" in caplog.text


def test_only_what_is_allowed_passes() -> None:
    """A span made by hand keeps its template and status, and loses name, events, links, statement and path."""
    spans = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(telemetry.AllowList(spans)))
    with tracers.get_tracer("test").start_as_current_span(CANARY) as span:
        span.set_attributes(
            {
                "http.route": "/v1/events", "http.request.method": "POST", "http.response.status_code": 200,
                "url.path": CANARY, "http.target": CANARY, "db.statement": CANARY, "client.address": CANARY,
            }
        )  # fmt: skip
        span.add_event("exception", {"exception.message": CANARY})
        span.set_status(trace.Status(trace.StatusCode.ERROR, CANARY))
    (left,) = spans.get_finished_spans()
    assert left.name == "POST /v1/events"
    assert set(left.attributes or {}) == {"http.route", "http.request.method", "http.response.status_code"}
    assert CANARY not in left.to_json()


@ON_SQLITE
async def test_nothing_is_reported_unless_asked_for(service: Service, tmp_path: Path) -> None:
    """With the setting off, the application is told so in so many words."""
    assert telemetry.configured(service) == telemetry.OFF
    assert not any(telemetry.OFF.values())


async def test_jobs_are_counted(service: Service, clock: Clock) -> None:
    """Metrics tell how many jobs of each kind wait, run or are dead, how old the oldest is, and how much was removed; none included."""
    reader = InMemoryMetricReader()
    _, meters = telemetry.providers(InMemorySpanExporter(), reader)
    figures = JobFigures(service, KINDS)
    figures.install(meters)

    def told() -> dict[tuple[str, str, str], float]:
        data = reader.get_metrics_data()
        found = data.resource_metrics[0].scope_metrics[0].metrics if data is not None else []
        points = [(metric.name, point) for metric in found for point in metric.data.data_points]
        attributes = [(name, dict(point.attributes or {}), point) for name, point in points]
        return {
            (name, str(of.get("job.kind", of.get("removed.kind"))), str(of.get("job.status"))): getattr(
                point, "value", -1
            )
            for name, of, point in attributes
        }

    assert told() == {}
    async with service.database.write(APP) as connection:
        for _ in range(2):
            await training.ask(connection, APP, "asked", service.clock())
            held = await jobs.lease(connection, KINDS, service.clock())
            assert held is not None
            await jobs.fail(connection, held, "OSError", None)
        await training.ask(connection, APP, "asked", service.clock())
        await removals.count(connection, APP, {removals.GRANTS_ENDED: 3}, service.clock())
    clock.forward(days=1)
    await figures.look()
    now = told()
    counts = {status: now["assent.jobs", "training", status] for status in ("waiting", "running", "dead")}
    assert counts == {"waiting": 1, "running": 0, "dead": 2}
    assert 86_400 <= now["assent.jobs.oldest", "training", "dead"] < 86_460
    assert now["assent.jobs.oldest", "training", "running"] == 0
    removed = {kind: number for (name, kind, _), number in now.items() if name == "assent.removed"}
    assert removed == {**dict.fromkeys(removals.KINDS, 0), removals.GRANTS_ENDED: 3}
    meters.shutdown()
