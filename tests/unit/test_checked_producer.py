"""The producer of the tests says what Kafka did not take."""

import pytest

from tests.checked_producer import CheckedProducer, NotDelivered

NOBODY = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}


def test_a_record_that_is_still_on_its_way_fails_the_flush() -> None:
    producer = CheckedProducer(NOBODY)
    producer.produce("website", b"lost")
    with pytest.raises(NotDelivered, match="1 records not acknowledged within 0 s"):
        producer.flush(0)
    producer.purge()


def test_a_record_that_is_given_up_fails_the_flush_that_follows_and_is_named() -> None:
    producer = CheckedProducer(NOBODY)
    producer.produce("website", b"lost", key=b"L1")
    producer.purge()
    with pytest.raises(NotDelivered, match=r"refused: \[.*website.*L1.*Purged in queue"):
        producer.flush(10)
    assert producer.flush(0) == 0
