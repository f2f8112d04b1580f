"""Dead letters in the log: one line per cause and minute, with counts, and one when no more come."""

import logging

import pytest

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.pipeline.match.dead_letter_headers import Origin
from leadscore.pipeline.match.dead_letter_log import DeadLetterLog

MALFORMED = DeadLetter(DeadLetterReason.MALFORMED, "expected JSON")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object, object, object]]:
    return [
        (record.getMessage(), vars(record)["topic"], vars(record)["count"], vars(record).get("offset"))
        for record in caplog.records
    ]


def test_a_flood_of_dead_letters_is_a_line_a_minute_and_one_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    log = DeadLetterLog()
    with caplog.at_level(logging.INFO):
        for number in range(2_000):
            log.note(1_000.0, Origin("website", 0, number, "g"), MALFORMED)
        log.look(1_059.0)
        log.look(1_061.0)
        log.note(1_070.0, Origin("website", 0, 2_000, "g"), MALFORMED)
        log.look(1_122.0)
        log.look(1_183.0)
        log.look(2_000.0)
    assert lines(caplog) == [
        ("dead_letter", "website", 1, 0),
        ("dead_letter", "website", 1_999, 1),
        ("dead_letter", "website", 1, 2_000),
        ("dead_letters_over", "website", 2_001, None),
    ]


def test_each_topic_and_reason_is_a_cause_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    log = DeadLetterLog()
    with caplog.at_level(logging.INFO):
        for topic in ("website", "email", "website"):
            log.note(1_000.0, Origin(topic, 0, 7, "g"), MALFORMED)
        log.note(1_000.0, Origin("website", 0, 8, "g"), DeadLetter(DeadLetterReason.EMPTY, "no value"))
    assert [line[1:] for line in lines(caplog)] == [("website", 1, 7), ("email", 1, 7), ("website", 1, 8)]
