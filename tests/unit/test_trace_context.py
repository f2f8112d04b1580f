"""The trace context of a record: read from its headers, carried by what it causes, and no part of any value."""

from collections.abc import Sequence

import msgspec
import pytest

from leadscore.events.trace_context import Header, trace_of
from leadscore.log.records import Award, Frame, Trace, decode, encode
from leadscore.pipeline.score.outbox import decode_outputs, encode_outputs
from leadscore.pipeline.score.publishing import avro_encoding, crossing_output, json_encoding
from leadscore.scoring.crossing import Crossing, Trigger
from tests.unit.sample_crossing import CROSSING

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "vendor=abc,other=1"
ZERO_TRACE = f"00-{'0' * 32}-00f067aa0ba902b7-01"
ZERO_SPAN = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01"


def crossing(trace: Trace | None) -> Crossing:
    trigger = Trigger("web", "e1", "website.page_view", None, 1_500, trace)
    return msgspec.structs.replace(CROSSING, trigger=trigger)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("traceparent", PARENT.encode())], Trace(PARENT)),
        ([("x", b"1"), ("traceparent", PARENT.encode()), ("tracestate", STATE.encode())], Trace(PARENT, STATE)),
        ([("traceparent", PARENT.encode()), ("traceparent", b"00-00")], Trace(PARENT)),
        ([("traceparent", f"cc{PARENT[2:]}-what-comes-later".encode())], Trace(f"cc{PARENT[2:]}-what-comes-later")),
        ([("traceparent", PARENT.encode()), ("tracestate", b"x" * 513)], Trace(PARENT)),
        ([("traceparent", PARENT.encode()), ("tracestate", "ä".encode())], Trace(PARENT)),
        ([("tracestate", STATE.encode())], None),
        ([("traceparent", None)], None),
        ([("traceparent", b"")], None),
        ([("traceparent", PARENT.upper().encode())], None),
        ([("traceparent", f"ff{PARENT[2:]}".encode())], None),
        ([("traceparent", ZERO_TRACE.encode())], None),
        ([("traceparent", ZERO_SPAN.encode())], None),
        ([("traceparent", PARENT.encode() + b"\xff")], None),
        ([("traceparent", PARENT.encode() + b"-" + b"x" * 600)], None),
    ],
)
def test_a_context_is_read_where_it_is_well_formed(headers: Sequence[Header], expected: Trace | None) -> None:
    assert trace_of(headers) == expected


def test_a_frame_carries_the_context_of_each_award() -> None:
    award = Award(0, 1, "L1", "e1", "t", 5, received_at_ms=7, trace=Trace(PARENT, STATE))
    frame = Frame(1, [], [award, msgspec.structs.replace(award, trace=None)])
    assert decode(encode(frame)) == frame


def test_an_older_worker_reads_a_frame_with_contexts_and_a_newer_one_a_frame_without() -> None:
    class OlderAward(msgspec.Struct, array_like=True, frozen=True):
        source: int
        offset: int
        lead_id: str

    award = Award(0, 1, "L1", "e1", "t", 5, received_at_ms=7, trace=Trace(PARENT))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(award), type=OlderAward) == OlderAward(0, 1, "L1")
    short = msgspec.msgpack.encode([0, 1, "L1", "e1", "t", 5])
    assert msgspec.msgpack.decode(short, type=Award) == Award(0, 1, "L1", "e1", "t", 5)


def test_the_crossing_carries_the_context_in_its_headers_and_nothing_of_it_in_its_value() -> None:
    for encoding in (json_encoding(), avro_encoding(None)):
        plain, traced = (crossing_output(crossing(trace), encoding) for trace in (None, Trace(PARENT, STATE)))
        assert traced.value == plain.value
        assert traced.headers == [*plain.headers, ("traceparent", PARENT), ("tracestate", STATE)]
        assert b"received_at" not in (plain.value or b"")


def test_a_crossing_from_the_outbox_is_the_same_record_to_the_byte() -> None:
    decided = crossing(Trace(PARENT, STATE))
    [again] = decode_outputs(encode_outputs([decided]))
    assert again == decided


def test_an_outbox_entry_of_an_older_version_is_read() -> None:
    older = msgspec.to_builtins(crossing(None))
    del older["trigger"]["received_at_ms"]
    [read] = decode_outputs(msgspec.msgpack.encode([older]))
    assert isinstance(read, Crossing)
    assert read.trigger == Trigger("web", "e1", "website.page_view", None)
