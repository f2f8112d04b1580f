"""Errors of Kafka have a kind each, and every failed call is counted under its own, of Kafka and of Redis."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from leadscore.errors import KafkaErrorKind, Unavailable, WorkerStopped
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.error_kinds import _KINDS, kind_of
from leadscore.pipeline.kafka.questions import unavailable
from leadscore.pipeline.kafka.refusals import Refusals


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Service and kind of what was counted."""
    names = {"redis": "leadscore_store_errors", "kafka": "leadscore_kafka_errors"}
    return {
        (service, sample.labels["kind"]): sample.value
        for service, name in names.items()
        for family in metrics.registry.collect()
        if family.name == name
        for sample in family.samples
        if sample.value
    }


def test_every_kind_of_kafka_error_is_reached() -> None:
    assert {kind_of(KafkaError(code)) for code in [*_KINDS, KafkaError.INVALID_CONFIG]} == set(KafkaErrorKind)


@pytest.mark.parametrize("code", sorted(_KINDS))
def test_a_call_that_fails_is_counted_under_the_kind_of_its_error(code: int) -> None:
    metrics = Metrics("0", [])
    outage = unavailable(KafkaException(KafkaError(code)), "asking")
    assert isinstance(outage, Unavailable)
    metrics.count_outage(outage)
    assert counted(metrics) == {("kafka", kind_of(KafkaError(code)).value): 1}


def test_what_no_error_of_a_client_stands_for_is_counted_as_other() -> None:
    metrics = Metrics("0", [])
    metrics.count_outage(Unavailable("kafka", "dead_letters", "not acknowledged"))
    metrics.count_outage(Unavailable("redis", "oom", "full"))
    metrics.count_outage(Unavailable("schema_registry", "timeout", "counted where it is asked"))
    assert counted(metrics) == {("kafka", "other"): 1, ("redis", "oom"): 1}


def test_an_error_after_which_a_consumer_can_do_nothing_is_counted_before_the_worker_stops() -> None:
    metrics = Metrics("0", [])
    refusals = Refusals("group", lambda _: {}, metrics.kafka)
    fatal = KafkaError(KafkaError.FENCED_INSTANCE_ID, "another took the name", fatal=True)
    with pytest.raises(WorkerStopped, match="the Kafka consumer failed: another took the name"):
        refusals.note(0.0, None, None, fatal)
    assert counted(metrics) == {("kafka", "fenced"): 1}
