"""The headers of dead letters: written by the worker, read by ``leadscore dlq``; the record's own stay as they were."""

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.pipeline.kafka.records import Headers
from leadscore.pipeline.match.dead_letter_headers import (
    Origin,
    Position,
    account_of,
    dead_letter_headers,
    mark_headers,
    marked_position,
    redriven_headers,
)

MALFORMED = DeadLetter(DeadLetterReason.MALFORMED, "expected JSON")
OWN: Headers = [("trace", b"t"), ("trace", b"again"), ("none", None)]
FIRST = Position("website", "id-1", 3, 17)
SECOND = Position("website", "id-1", 3, 90)


def dead(position: Position, own: Headers) -> Headers:
    origin = Origin(position.topic, position.partition, position.offset, "match", position.topic_id, 1_000)
    # As Kafka gives them back: bytes.
    headers = dead_letter_headers(origin, MALFORMED, own)
    return [(name, text.encode() if isinstance(text, str) else text) for name, text in headers]


def test_what_the_worker_wrote_is_read_and_the_records_own_headers_are_untouched() -> None:
    account = account_of(dead(FIRST, OWN))
    assert account is not None
    assert (account.position, account.reason, account.detail) == (FIRST, "malformed", "expected JSON")
    assert (account.group, account.timestamp_ms, account.headers) == ("match", 1_000, OWN)


def test_a_dead_letter_from_before_topic_ids_and_times_were_written_is_read() -> None:
    headers = dead_letter_headers(Origin("website", 3, 17, "match"), MALFORMED, None)
    account = account_of(headers)
    assert account is not None
    assert (account.position, account.timestamp_ms, account.headers) == (FIRST._replace(topic_id=""), None, [])


def test_a_record_keeps_its_first_position_however_often_it_is_redriven() -> None:
    first = account_of(dead(FIRST, OWN))
    assert first is not None
    redriven = redriven_headers(first)
    position = {"topic": "website", "topic_id": "id-1", "partition": "3", "offset": "17"}
    assert redriven == [*OWN, *((f"leadscore.redriven.{name}", text) for name, text in position.items())]
    second = account_of(dead(SECOND, redriven))
    assert second is not None
    assert second.position == SECOND
    assert [name for name, _ in redriven_headers(second)] == [name for name, _ in redriven]
    assert dict(redriven_headers(second))["leadscore.redriven.offset"] == b"17"


def test_a_dead_letter_that_was_copied_back_by_hand_is_the_letter_of_its_copy() -> None:
    copied = account_of(dead(SECOND, dead(FIRST, OWN)))
    assert copied is not None
    assert (copied.position, copied.headers) == (SECOND, dead(FIRST, OWN))


def test_a_mark_and_what_another_program_wrote_are_no_dead_letters() -> None:
    assert marked_position(mark_headers(FIRST)) == FIRST
    assert account_of(mark_headers(FIRST)) is None
    assert marked_position(dead(FIRST, OWN)) is None
    cut: Headers = [("leadscore.dead_letter.reason", b"malformed")]
    for headers in ([], OWN, cut):
        assert (account_of(headers), marked_position(headers)) == (None, None)
