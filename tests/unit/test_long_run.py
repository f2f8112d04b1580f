"""The judge of long runs sees what is missing, besides, different, out of order or late among published crossings."""

from collections.abc import Iterable
from typing import cast

import msgspec
import pytest
from confluent_kafka import Message

from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.score.publishing import avro_encoding, output_record
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.simulation import simulate
from tests.deployment import WANDERING_MODEL, now_ms, wandering_events
from tests.faults.long_run import Seen, Stay, Subscriber, digest_of_output
from tests.memory_kafka.broker import Record
from tests.memory_kafka.consumer import Delivered

LATE_MS = 3_000


@pytest.fixture(scope="module")
def crossings() -> list[Crossing]:
    events = [msgspec.structs.replace(event, occurred_at_ms=now_ms()) for event in wandering_events("long", 200, 4)]
    definition = msgspec.convert(WANDERING_MODEL, ModelDefinition)
    return simulate(definition, [(event, event.occurred_at_ms) for event in events], None).crossings


def seen(expected: Iterable[Crossing], published: Iterable[Crossing]) -> Seen:
    digests: dict[Stay, bytes] = {}
    for crossing in expected:
        stay = Stay(crossing.lead_id, crossing.threshold)
        digests[stay] = digests.get(stay, b"") + digest_of_output(crossing)
    subscriber = Subscriber(digests, 0)
    for offset, crossing in enumerate(published):
        record = output_record(crossing, avro_encoding(None))
        stored = Record(record.key, record.value, record.headers, crossing.occurred_at_ms + LATE_MS)
        subscriber.see(cast("Message", Delivered(("crossings", 0), offset, stored)))
    return subscriber.done()


def test_crossings_in_their_order_and_copies_of_them_are_right(crossings: list[Crossing]) -> None:
    assert len(crossings) > 10
    right = seen(crossings, [*crossings[:5], *crossings[2:5], *crossings[5:]])
    timed = sum(crossing.trigger is not None for crossing in crossings)
    assert right == Seen(len(crossings), timed, LATE_MS / 1000, [])


def test_a_crossing_that_is_missing_is_wrong(crossings: list[Crossing]) -> None:
    assert seen(crossings, crossings[:-1]).violations
    assert seen(crossings, crossings[1:]).violations


def test_a_crossing_that_nothing_caused_is_wrong(crossings: list[Crossing]) -> None:
    assert seen(crossings[:-1], crossings).violations


def test_a_copy_with_another_body_is_wrong(crossings: list[Crossing]) -> None:
    other = msgspec.structs.replace(crossings[0], score=crossings[0].score + 1e-6)
    assert seen(crossings, [*crossings, other]).violations


def test_crossings_out_of_their_order_are_wrong(crossings: list[Crossing]) -> None:
    second = next(one for one in crossings if one.sequence == 2)
    assert seen(crossings, [second, *(one for one in crossings if one is not second)]).violations
