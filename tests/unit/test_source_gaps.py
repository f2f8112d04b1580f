"""The match stage at the gaps of its inputs: records that should be there and are gone, or replaced by others."""

from collections.abc import Sequence

from confluent_kafka import KafkaError

from leadscore.log.records import decode
from tests.unit.fake_kafka import FakeMessage
from tests.unit.stage_of_match import EMAIL, GARBAGE, LOG, NOON_MS, WEBSITE, StageOfMatch, page_view


def test_a_partition_that_has_lost_its_end_stops_with_the_numbers_and_no_other() -> None:
    """What comes next would take the offsets of records that were read: it must not be passed over."""
    matching = StageOfMatch({WEBSITE: [page_view("w0"), page_view("w1")], EMAIL: [page_view("e0")]})
    matching.consumer.committed_offsets[WEBSITE] = 5
    matching.turn(5)
    assert matching.logged == ["e0"]
    words = matching.stage.stopped_words
    assert "the committed offset 5 is beyond its end: at least 3 records are lost that were read and count" in words
    assert "leadscore topics accept-gap --topic website --partition 0" in words
    assert matching.value("leadscore_source_gaps_total", topic="website") == 1


def test_a_partition_whose_unread_records_were_deleted_stops_with_the_numbers() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")] * 9, EMAIL: []})
    matching.consumer.oldest[WEBSITE] = 7
    matching.consumer.committed_offsets[WEBSITE] = 4
    matching.turn(5)
    assert matching.logged == []
    assert "its 3 records from offset 4, the committed one, on were deleted unread" in matching.stage.stopped_words


def read_and_given_back(epochs: Sequence[int]) -> StageOfMatch:
    """A stage that has read three records of a partition, written under these leaders, and gets it anew."""
    matching = StageOfMatch({WEBSITE: [page_view("w0"), GARBAGE, page_view("w2")], EMAIL: []})
    for message, epoch in zip(matching.consumer.records[WEBSITE], epochs, strict=True):
        message.epoch = epoch
    matching.turn(5)
    matching.consumer.lose(WEBSITE)
    matching.turn()
    matching.consumer.give(WEBSITE)
    return matching


def test_offsets_are_committed_with_the_leader_epoch_of_the_record_before_them() -> None:
    matching = read_and_given_back((3, 4, 4))
    assert (matching.consumer.committed_offsets[WEBSITE], matching.consumer.committed_epochs[WEBSITE]) == (3, 4)
    sources = [decode(value).sources for value in matching.producer.values(LOG)]  # type: ignore[union-attr]
    assert [[source.leader_epoch for source in of_frame] for of_frame in sources] == [[3, 4]]


def test_a_partition_that_still_has_the_last_record_read_goes_on_behind_it_and_reads_nothing_again() -> None:
    matching = read_and_given_back((3, 3, 4))
    consumed = matching.value("leadscore_records_consumed_total", topic="website")
    matching.turn(3)
    assert matching.consumer.started[-1] == (WEBSITE, 2)
    assert matching.value("leadscore_records_consumed_total", topic="website") == consumed
    assert matching.value("leadscore_records_reread_total", topic="website") == 0
    assert matching.stage.stopped == {}
    new = FakeMessage((*WEBSITE, 3), page_view("w3"), NOON_MS, epoch=5)
    matching.consumer.records[WEBSITE] = [*matching.consumer.records[WEBSITE], new]
    matching.turn(5)
    assert matching.logged == ["w0", "w2", "w3"]


def test_a_partition_whose_read_records_were_replaced_stops_were_it_as_long_as_before() -> None:
    matching = read_and_given_back((3, 4, 4))
    replaced = [FakeMessage((*WEBSITE, offset), page_view(f"n{offset}"), NOON_MS, epoch=6) for offset in (1, 2, 3, 4)]
    matching.consumer.records[WEBSITE] = [matching.consumer.records[WEBSITE][0], *replaced]
    matching.turn(5)
    assert matching.logged == ["w0", "w2"]
    assert "record 2, before the committed offset 3, is of leader epoch 6, and the one that was read was of 4" in (
        matching.stage.stopped_words
    )
    assert matching.value("leadscore_source_gaps_total", topic="website") == 1


def test_a_partition_whose_log_was_truncated_under_the_worker_stops() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")], EMAIL: []})
    matching.turn(5)
    truncated = KafkaError(KafkaError._AUTO_OFFSET_RESET, "truncation detected at offset 1: broker end offset is 0")
    matching.consumer.records[WEBSITE] = [
        *matching.consumer.records[WEBSITE],
        FakeMessage((*WEBSITE, -1), failure=truncated),
    ]
    matching.turn(3)
    assert "website/0: the next record is gone from the topic: truncation detected" in matching.stage.stopped_words
    assert matching.value("leadscore_source_gaps_total", topic="website") == 1
