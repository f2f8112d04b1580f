"""Spans of batches for OpenTelemetry: off, unless its standard variables ask for them and it is installed.

A span says how long a stage took for a batch, and links to the trace contexts of the batch's records; it has no
parent, because a batch has many causes. Batches without a sampled record have none. Attributes follow the semantic
conventions for messaging as of ``SCHEMA_URL``; none of them holds a lead.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from leadscore.log.records import Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link

_log = logging.getLogger(__name__)

SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"
MOST_LINKS = 128
"""As many as the SDK keeps by default."""
FLUSH_MS = 1_000
"""How long the end of the worker waits for a collector."""
HTTP = "http/protobuf"
_SAMPLED = 0x01


class TracedBatch(NamedTuple):
    """What a stage did; ``traces`` is asked only where spans are made."""

    stage: str
    group: str
    began_s: float
    ended_s: float
    records: int
    traces: Callable[[], Iterable[Trace]]


class BatchSpans(Protocol):
    """Where batches are told."""

    def tell(self, batch: TracedBatch) -> None:
        """A batch is done."""

    def close(self) -> None:
        """Send what is left, for a short time."""


class NoSpans:
    """Where nothing is traced."""

    def tell(self, batch: TracedBatch) -> None:
        """Make no span."""

    def close(self) -> None:
        """There is nothing to send."""


NO_SPANS: Final = NoSpans()


class OpenTelemetrySpans:
    """One span per batch, by this provider."""

    def __init__(self, provider: "TracerProvider", version: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("leadscore", version, SCHEMA_URL)

    def tell(self, batch: TracedBatch) -> None:
        """A span of the time that the batch took, if a record in it is sampled."""
        from opentelemetry.trace import SpanKind  # an extra

        links = _links(batch.traces())
        if not links:
            return
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": batch.stage,
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": batch.group,
            "messaging.batch.message_count": batch.records,
        }
        began_ns, ended_ns = (int(at_s * 1e9) for at_s in (batch.began_s, batch.ended_s))
        span = self._tracer.start_span(
            batch.stage, kind=SpanKind.CONSUMER, links=links, attributes=attributes, start_time=began_ns
        )
        span.end(ended_ns)

    def close(self) -> None:
        """Send what is left, if the collector answers soon."""
        self._provider.force_flush(FLUSH_MS)


def _links(traces: Iterable[Trace]) -> "list[Link]":
    """To each sampled context once."""
    from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState  # an extra

    links: list[Link] = []
    for trace in dict.fromkeys((trace.parent, trace.state) for trace in traces):
        parent, state = trace
        _, trace_id, span_id, flags = parent.split("-")[:4]
        if int(flags, 16) & _SAMPLED and len(links) < MOST_LINKS:
            states = TraceState.from_header([state]) if state else None
            context = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)), states)
            links.append(Link(context))
    return links


def make_spans(environ: Mapping[str, str], version: str) -> BatchSpans:
    """As OpenTelemetry's standard variables say; what is asked for and cannot be had is told in the log."""
    if not _is_asked_for(environ):
        return NO_SPANS
    protocol = _protocol(environ)
    if protocol != HTTP:
        return _off(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol}: expected {HTTP}, the one that leadscore exports by")
    try:
        return _exported_spans(version)
    except ImportError:
        return _off("OTEL_* variables ask for spans, and OpenTelemetry is not installed: install leadscore[otel]")


def _off(detail: str) -> NoSpans:
    _log.warning("tracing_off", extra={"detail": detail})
    return NO_SPANS


def _is_asked_for(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter == "otlp" or (not exporter and any(environ.get(name) for name in endpoints))


def _protocol(environ: Mapping[str, str]) -> str:
    of_traces = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
    return of_traces or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or HTTP


def _exported_spans(version: str) -> OpenTelemetrySpans:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # an extra
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = Resource({"service.name": "leadscore", "service.version": version})
    asked = Resource.create()
    named = asked.attributes.get("service.name", "")
    resource = asked.merge(own) if str(named).startswith("unknown_service") else own.merge(asked)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetrySpans(provider, version)
