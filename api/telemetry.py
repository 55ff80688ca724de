"""Traces and metrics that say nothing of anybody: only what is on the allow-list leaves the process.

Instrumentations record paths, queries, statements and exception messages by default. Here a span is made anew
from its route's template, a few attributes of fixed vocabulary and its times; everything else stays behind. Metrics
pass views that keep the same attributes and no others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import SpanContext, Status

from api.service import Service

ALLOWED = frozenset({
    "http.route", "http.method", "http.request.method", "http.status_code", "http.response.status_code",
    "http.scheme", "url.scheme", "db.system", "db.system.name", "error.type", "job.kind", "job.status",
    "removed.kind",
})  # fmt: skip
"""Attributes that may leave: templates, methods, numbers and names of classes."""

_RESOURCE = Resource({"service.name": "assent"})


def allowed(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the attributes that may leave."""
    return {name: value for name, value in (attributes or {}).items() if name in ALLOWED}


def span_name(attributes: Mapping[str, Any]) -> str:
    """Name a span by its route's template or by what kind of work it was, never by what it was called."""
    if "http.route" in attributes:
        method = attributes.get("http.request.method") or attributes.get("http.method") or "HTTP"
        return f"{method} {attributes['http.route']}"
    return "database" if "db.system" in attributes or "db.system.name" in attributes else "request"


class AllowList(SpanExporter):
    """Hands on spans that were made anew from what may leave."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what may leave of each span."""
        return self._exporter.export([_anew(span) for span in spans])

    def shutdown(self) -> None:
        """Close the exporter behind."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter behind."""
        return self._exporter.force_flush(timeout_millis)


def _anew(span: ReadableSpan) -> ReadableSpan:
    attributes = allowed(span.attributes)
    return ReadableSpan(
        name=span_name(attributes),
        context=_bare(span.context),
        parent=_bare(span.parent),
        resource=_RESOURCE,
        attributes=attributes,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _bare(context: SpanContext | None) -> SpanContext | None:
    """Return what joins spans to a trace; the state that callers send along with it is their own text, and stays behind."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def providers(exporter: SpanExporter, reader: MetricReader) -> tuple[TracerProvider, MeterProvider]:
    """Return providers whose traces and metrics pass the allow-list."""
    tracers = TracerProvider(resource=_RESOURCE)
    tracers.add_span_processor(BatchSpanProcessor(AllowList(exporter)))
    views = [View(instrument_name="*", attribute_keys=set(ALLOWED))]
    # Exemplars would bring back what the views leave out.
    meters = MeterProvider([reader], _RESOURCE, AlwaysOffExemplarFilter(), views=views)
    return tracers, meters


OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Said in so many words, so that a global provider set by somebody else gets nothing that was not filtered."""


def configured(service: Service) -> TelemetryConfig:
    """Return what the web application reports, as the settings say."""
    where = service.settings.telemetry
    if where == "off":
        return OFF
    exporter: SpanExporter = ConsoleSpanExporter() if where == "console" else OTLPSpanExporter()
    metrics = ConsoleMetricExporter() if where == "console" else OTLPMetricExporter()
    return reporting(service, *providers(exporter, PeriodicExportingMetricReader(metrics)))


def reporting(service: Service, tracers: TracerProvider, meters: MeterProvider) -> TelemetryConfig:
    """Let the database report to these providers, and return what lets the web application do so."""
    # It knows no SQLAlchemy 2.1 yet: asked to check, it would report nothing.
    SQLAlchemyInstrumentor().instrument(
        skip_dep_check=True,
        engine=service.database.engine.sync_engine,
        tracer_provider=tracers,
        meter_provider=meters,
    )
    meters.get_meter("assent").create_observable_gauge(
        "assent.releases.degraded",
        [lambda _options: [Observation(len(service.models.faults))]],
        unit="{app}",
        description="Apps that are not served what was published: a release or part of the catalogue cannot be read",
    )
    # Logs would carry messages of exceptions; spans inside a request would carry names of our own functions only,
    # but cost more than the requests themselves.
    return {
        "tracer_provider": tracers,
        "meter_provider": meters,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
    }
