"""Which leader wrote the record at an offset: Kafka says so, or that it has none, or has to be asked again."""

from collections.abc import Sequence
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError

from leadscore.errors import Unavailable
from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka import questions
from leadscore.pipeline.kafka.questions import leader_epochs_at
from tests.unit.fake_kafka import FakeMessage

LOG = ("log", 3)
RECORD = FakeMessage((*LOG, 40), epoch=6)


class ScriptedReader:
    """Says these messages one at a time, then nothing."""

    def __init__(self, messages: Sequence[FakeMessage]) -> None:
        self._messages = list(messages)

    def assign(self, _places: object) -> None:
        """Whatever is asked for."""

    def consume(self, _most: int, _timeout_s: float) -> list[FakeMessage]:
        return [self._messages.pop(0)] if self._messages else []

    def close(self) -> None:
        """Nothing is open."""


def epochs_by(*messages: FakeMessage) -> dict[tuple[str, int], int]:
    return leader_epochs_at(lambda: cast("Consumer", ScriptedReader(messages)), {LOG: 40})


def failure(code: int) -> FakeMessage:
    return FakeMessage((*LOG, 40), failure=KafkaError(code))


def test_the_record_at_the_offset_says_its_leader() -> None:
    assert epochs_by(RECORD) == {LOG: 6}


@pytest.mark.parametrize(
    "answer",
    [
        FakeMessage((*LOG, 41), epoch=6),
        failure(KafkaError._PARTITION_EOF),
    ],
)
def test_no_record_at_the_offset_is_an_answer(answer: FakeMessage) -> None:
    assert epochs_by(answer) == {}


def test_a_record_of_an_old_broker_has_no_epoch() -> None:
    assert epochs_by(FakeMessage((*LOG, 40), epoch=None)) == {LOG: NO_EPOCH}


def test_an_offset_that_is_gone_by_now_is_asked_for_again() -> None:
    with pytest.raises(Unavailable, match="offset_gone"):
        epochs_by(failure(KafkaError._AUTO_OFFSET_RESET))


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError.NOT_LEADER_FOR_PARTITION])
def test_an_error_is_no_answer(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert epochs_by(failure(code), RECORD) == {LOG: 6}
    monkeypatch.setattr(questions, "REQUEST_TIMEOUT_S", 0.01)
    with pytest.raises(Unavailable, match="last applied records"):
        epochs_by(failure(code))
