"""Spans of batches: when they are asked for, what they link to, and what leaves the process."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from leadscore.log.records import Frame, Trace
from leadscore.ops import tracing
from leadscore.ops.tracing import MOST_LINKS, NO_SPANS, OpenTelemetrySpans, TracedBatch, make_spans
from tests.span_collector import Collector, collecting_spans
from tests.unit.fake_store import FakeStore
from tests.unit.page_views import stage_of, view

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
NOON_S = 1_767_268_800.0


def trace(number: int = 1, flags: str = "01", state: str | None = None) -> Trace:
    return Trace(f"00-{TRACE_ID}-{number:016x}-{flags}", state)


def batch(*traces: Trace) -> TracedBatch:
    return TracedBatch("score", "leadscore-score", NOON_S, NOON_S + 0.25, 7, lambda: traces)


class Spans(NamedTuple):
    """Spans that stay here."""

    made: OpenTelemetrySpans
    exporter: InMemorySpanExporter


@pytest.fixture
def spans() -> Spans:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(OpenTelemetrySpans(provider, "1.2.3"), exporter)


def test_a_span_has_the_time_of_its_batch_and_links_to_its_records(spans: Spans) -> None:
    spans.made.tell(batch(trace(1), trace(2, state="vendor=1"), trace(1)))
    [span] = spans.exporter.get_finished_spans()
    assert (span.name, span.kind, span.parent) == ("score", SpanKind.CONSUMER, None)
    assert (span.start_time, span.end_time) == (int(NOON_S * 1e9), int((NOON_S + 0.25) * 1e9))
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE_ID, TRACE_ID]
    assert [link.context.span_id for link in span.links] == [1, 2]
    assert span.links[1].context.trace_state["vendor"] == "1"
    assert all(link.context.is_remote for link in span.links)
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "score",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "leadscore-score",
        "messaging.batch.message_count": 7,
    }


def test_a_batch_without_a_sampled_record_has_no_span(spans: Spans) -> None:
    spans.made.tell(batch())
    spans.made.tell(batch(trace(1, flags="00"), trace(2, flags="02")))
    assert spans.exporter.get_finished_spans() == ()


def test_a_span_has_no_more_links_than_the_sdk_keeps(spans: Spans) -> None:
    spans.made.tell(batch(*map(trace, range(1, 1_000))))
    [span] = spans.exporter.get_finished_spans()
    assert len(span.links) == MOST_LINKS


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_SERVICE_NAME": "leadscore"},
    ],
)
def test_nothing_is_traced_unless_the_standard_variables_ask_for_it(environ: Mapping[str, str]) -> None:
    assert make_spans(environ, "1") is NO_SPANS


@pytest.mark.parametrize(
    ("environ", "is_installed", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, True, "grpc: expected http/protobuf"),
        ({}, False, r"install leadscore\[otel\]"),
    ],
)
def test_what_is_asked_for_and_cannot_be_had_is_told_and_stops_no_worker(
    environ: Mapping[str, str],
    is_installed: bool,
    expected: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not is_installed:
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with caplog.at_level(logging.WARNING):
        assert make_spans({"OTEL_TRACES_EXPORTER": "otlp", **environ}, "1") is NO_SPANS
    [line] = caplog.records
    assert line.getMessage() == "tracing_off"
    assert re.search(expected, vars(line)["detail"])


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting_spans() as made:
        yield made


def test_a_collector_gets_the_spans_before_the_worker_ends(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    spans = make_spans(environ, "1.2.3")
    spans.tell(batch(trace(1)))
    spans.close()
    [(path, body)] = collector.requests
    assert path == "/v1/traces"
    [of_resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
    expected = {"service.name": "leadscore", "service.version": "1.2.3", "deployment.environment": "test"}
    assert {name: resource.get(name) for name in expected} == expected
    [of_scope] = of_resource.scope_spans
    assert of_scope.schema_url == tracing.SCHEMA_URL
    assert [span.name for span in of_scope.spans] == ["score"]


def test_a_batch_of_the_score_stage_tells_the_contexts_of_its_awards_and_no_lead(spans: Spans) -> None:
    frame = view(0)
    assert isinstance(frame, Frame)
    awards = [replace(award, trace=trace(5)) for award in frame.awards]
    traced = replace(frame, awards=awards)
    scoring = stage_of(FakeStore(), [traced])
    object.__setattr__(scoring.stage._parts, "spans", spans.made)
    scoring.turns(3)
    [span] = spans.exporter.get_finished_spans()
    assert [link.context.span_id for link in span.links] == [5]
    assert "L1" not in span.to_json()
