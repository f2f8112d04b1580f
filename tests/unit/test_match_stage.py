"""The match stage on fakes: dead letters that cannot be published, and other ways to commit too early."""

import logging

import pytest
from confluent_kafka import KafkaError

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.pipeline.kafka.records import Bounds, Partition
from tests.unit.fake_kafka import FakeConsumer, FakeMessage, records_of
from tests.unit.stage_of_match import (
    DEAD,
    EMAIL,
    GARBAGE,
    NOON_MS,
    WEBSITE,
    StageOfMatch,
    page_view,
)


def test_a_turn_says_to_which_log_partitions_its_frames_went() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")]})
    logged = []
    for _ in range(4):
        matching.turn()
        logged.append(matching.stage.logged)
    assert [numbers for numbers in logged if numbers] == [[0]]
    assert logged[-1] == []


def test_a_refused_dead_letter_stops_its_partition_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    website = [page_view("w0"), page_view("w1"), GARBAGE, page_view("w3"), page_view("w4")]
    matching = StageOfMatch({WEBSITE: website, EMAIL: [page_view("e0")]})
    matching.refuses = GARBAGE
    with caplog.at_level(logging.ERROR):
        matching.turn(10)
    assert sorted(matching.logged) == ["e0", "w0", "w1"]
    assert matching.consumer.committed_offsets == {WEBSITE: 2, EMAIL: 1}
    assert WEBSITE in matching.consumer.paused
    [why] = matching.stage.stopped.values()
    for told in ("website/0", "offset 2", "915 bytes", f"topic {DEAD}", "100 bytes", "max.message.bytes"):
        assert told in why
    assert [record.getMessage() for record in caplog.records] == ["source_partition_stopped"]


def test_nothing_that_comes_later_is_matched_in_a_stopped_partition() -> None:
    matching = StageOfMatch({WEBSITE: [GARBAGE], EMAIL: []}, LEADSCORE_BATCH_SIZE="1")
    matching.refuses = GARBAGE
    matching.turn(5)
    matching.consumer.records[WEBSITE] = records_of(WEBSITE, [GARBAGE, page_view("w1")], lambda _: NOON_MS)
    matching.consumer.records[EMAIL] = records_of(EMAIL, [page_view("e0")], lambda _: NOON_MS)
    matching.turn(5)
    assert matching.logged == ["e0"]
    assert WEBSITE not in matching.consumer.committed_offsets


def test_a_dead_letter_that_the_producer_does_not_even_take_ends_the_same_way() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0"), GARBAGE], EMAIL: [page_view("e0")]})
    matching.dead_letters.too_large_bytes = 100
    matching.turn(5)
    assert sorted(matching.logged) == ["e0", "w0"]
    assert matching.consumer.committed_offsets == {WEBSITE: 1, EMAIL: 1}
    assert list(matching.stage.stopped) == [WEBSITE]


def test_of_several_refused_dead_letters_the_first_one_counts() -> None:
    other = GARBAGE + b"!"
    matching = StageOfMatch({WEBSITE: [page_view("w0"), other, page_view("w2"), GARBAGE], EMAIL: []})
    matching.refuses = GARBAGE
    matching.turn(5)
    assert matching.logged == ["w0"]
    assert matching.consumer.committed_offsets == {WEBSITE: 1}


def test_frames_that_kafka_does_not_acknowledge_are_an_outage_until_it_does() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")]})
    matching.producer.is_silent = True
    matching.turn(4)
    assert not matching.stage.is_paused
    matching.turn(12)
    assert matching.stage.is_paused
    assert "frames for topic log are not acknowledged" in str(matching.stage.outage)
    assert matching.value("leadscore_kafka_errors_total", kind="timeout") == 1
    matching.producer.is_silent = False
    matching.turn(2)
    assert (matching.stage.is_paused, matching.stage.outage) == (False, None)


def test_no_record_of_a_batch_is_logged_before_its_dead_letters_are_acknowledged() -> None:
    matching = StageOfMatch({WEBSITE: [GARBAGE, page_view("w1")], EMAIL: [page_view("e0")]})
    matching.dead_letters.is_silent = True
    matching.turn(3)
    assert (matching.logged, matching.consumer.committed_offsets) == ([], {})
    assert matching.stage.reached_ms(matching.now_s) < NOON_MS
    matching.dead_letters.is_silent = False
    matching.turn(2)
    assert sorted(matching.logged) == ["e0", "w1"]
    assert matching.consumer.committed_offsets == {WEBSITE: 2, EMAIL: 1}


def test_what_waits_for_dead_letters_is_dropped_with_its_partition() -> None:
    matching = StageOfMatch({WEBSITE: [GARBAGE, page_view("w1")], EMAIL: [page_view("e0")]})
    matching.dead_letters.is_silent = True
    matching.turn(2)
    matching.consumer.lose(WEBSITE)
    matching.turn()
    matching.dead_letters.is_silent = False
    matching.turn(2)
    assert matching.logged == ["e0"]
    assert matching.consumer.committed_offsets == {EMAIL: 1}


def test_a_dead_letter_refused_after_its_partition_was_given_back_does_not_stop_it() -> None:
    """It was read anew meanwhile; whether its dead letter is refused now shows when it is matched."""
    matching = StageOfMatch({WEBSITE: [GARBAGE, page_view("w1")], EMAIL: []})
    matching.dead_letters.is_silent, matching.refuses = True, GARBAGE
    matching.turn(2)
    matching.consumer.lose(WEBSITE)
    matching.consumer.give(WEBSITE)
    matching.turn()
    matching.dead_letters.is_silent = False
    matching.dead_letters.poll(0)
    matching.refuses = b""
    matching.turn(5)
    assert (matching.logged, matching.stage.stopped) == (["w1"], {})
    assert matching.consumer.committed_offsets == {WEBSITE: 2}


def test_a_dead_letter_producer_that_cannot_go_on_ends_the_worker() -> None:
    matching = StageOfMatch({WEBSITE: [GARBAGE], EMAIL: []})
    fatal = KafkaError(KafkaError._FATAL, "fenced", fatal=True)
    matching.dead_letters._refusal = lambda _: fatal
    with pytest.raises(WorkerStopped, match="fenced"):
        matching.turn(5)
    matching.stage.subscription.close()
    assert (matching.logged, matching.consumer.committed_offsets) == ([], {})


def test_a_batch_that_was_not_handed_over_whole_is_never_committed() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")], EMAIL: []})
    matching.producer.too_large_bytes = 10  # not even the first frame is taken
    with pytest.raises(WorkerStopped):
        matching.turn(5)
    with pytest.raises(WorkerStopped):
        matching.stage.drain()  # however it is asked to: it commits nothing
    matching.stage.subscription.close()
    assert matching.consumer.committed_offsets == {}


def test_ticks_do_not_wait_for_a_stopped_partition() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0"), GARBAGE], EMAIL: []})
    matching.refuses = GARBAGE
    matching.turn(5)
    assert matching.stage.reached_ms(matching.now_s) == int(matching.now_s * 1000)


def test_a_partition_given_back_after_it_stopped_is_tried_again() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0"), GARBAGE, page_view("w2")], EMAIL: []})
    matching.refuses = GARBAGE
    matching.turn(5)
    matching.refuses = b""
    matching.consumer.take_away(WEBSITE)
    matching.turn()
    matching.consumer.give(WEBSITE)
    matching.turn(5)
    assert (matching.logged, matching.stage.stopped) == (["w0", "w2"], {})
    assert matching.consumer.committed_offsets == {WEBSITE: 3}


def test_dead_letters_that_stay_without_an_answer_are_an_outage_that_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0"), GARBAGE]})
    matching.dead_letters.is_silent = True
    with caplog.at_level(logging.WARNING):
        matching.turn(20)
    assert [record.getMessage() for record in caplog.records] == ["dead_letter", "match_paused"]
    assert matching.stage.is_paused
    matching.dead_letters.is_silent = False
    matching.turn(2)
    assert not matching.stage.is_paused
    assert matching.logged == ["w0"]


def test_a_topic_that_may_not_be_read_stops_alone_and_goes_on_when_it_may(caplog: pytest.LogCaptureFixture) -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")], EMAIL: [page_view("e0")]})
    matching.turn(5)
    matching.readable.discard("website")
    forbidden = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    website = records_of(WEBSITE, [page_view("w0"), page_view("w1")], lambda _: NOON_MS)
    matching.consumer.records[WEBSITE] = [website[0], FakeMessage((*WEBSITE, 1), failure=forbidden)]
    matching.consumer.records[EMAIL] = records_of(EMAIL, [page_view("e0"), page_view("e1")], lambda _: NOON_MS)
    with caplog.at_level(logging.ERROR):
        matching.turn(30)
    assert sorted(matching.logged) == ["e0", "e1", "w0"]
    [why] = matching.stage.stopped.values()
    assert "website" in why
    assert "READ" in why
    assert [record.getMessage() for record in caplog.records] == ["kafka_refuses", "source_partition_stopped"]
    assert matching.value("leadscore_kafka_errors_total", kind="authorization") == 1
    matching.consumer.records[WEBSITE] = website
    matching.readable.add("website")
    matching.turn(30)
    assert sorted(matching.logged) == ["e0", "e1", "w0", "w1"]
    assert (matching.stage.stopped, matching.consumer.committed_offsets[WEBSITE]) == ({}, 2)


def test_a_topic_that_is_refused_in_the_poll_that_brings_a_record_of_it_stops() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")], EMAIL: [page_view("e0")]})
    matching.readable.discard("website")
    forbidden = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    website = matching.consumer.records[WEBSITE]
    matching.consumer.records[WEBSITE] = [website[0], FakeMessage((*WEBSITE, 1), failure=forbidden)]
    matching.turn(3)
    assert (matching.logged, list(matching.stage.stopped)) == (["e0"], [WEBSITE])
    assert matching.value("leadscore_records_processed_total", topic="website", outcome="given_up") == 1
    matching.consumer.records[WEBSITE] = website
    matching.readable.add("website")
    matching.turn(30)
    assert (sorted(matching.logged), matching.stage.stopped) == (["e0", "w0"], {})


def test_without_read_on_the_group_the_reason_is_known(caplog: pytest.LogCaptureFixture) -> None:
    matching = StageOfMatch({WEBSITE: []})
    matching.turn()
    refusals = matching.stage.refusals
    refusals.note(matching.now_s, "", -1, KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    assert refusals.of_group is not None
    assert "READ on the group" in refusals.of_group
    matching.turn()
    assert refusals.of_group is None  # it has its partitions
    assert "kafka_refuses" in [record.getMessage() for record in caplog.records]


def test_records_that_are_delivered_again_are_dropped_and_counted() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0"), page_view("w1")]})
    matching.consumer.committed_offsets[WEBSITE] = 1
    matching.turn(3)
    matching.consumer._places[WEBSITE] = 0
    matching.turn(3)
    assert matching.logged == ["w1"]
    assert matching.value("leadscore_records_reread_total", topic="website") == 2
    assert matching.value("leadscore_records_consumed_total", topic="website") == 3
    assert matching.value("leadscore_records_processed_total", topic="website", outcome="matched") == 1


def test_what_is_read_and_taken_away_before_it_is_matched_is_given_up() -> None:
    matching = StageOfMatch({WEBSITE: [GARBAGE, page_view("w1")], EMAIL: []})
    matching.dead_letters.is_silent = True
    matching.turn(5)
    assert matching.value("leadscore_records_in_hand", topic="website") == 2
    matching.consumer.lose(WEBSITE)
    matching.turn(5)
    assert matching.value("leadscore_records_processed_total", topic="website", outcome="given_up") == 2
    assert matching.value("leadscore_records_in_hand", topic="website") == 0


def test_a_group_without_offsets_begins_at_the_oldest_record_and_reports_it(caplog: pytest.LogCaptureFixture) -> None:
    matching = StageOfMatch({WEBSITE: [page_view("w0")], EMAIL: []})
    with caplog.at_level(logging.INFO):
        matching.turn(3)
    [line] = [record for record in caplog.records if record.getMessage() == "reading_from_the_beginning"]
    assert (line.__dict__["partitions"], line.__dict__["records"]) == ("website/0", 1)
    assert matching.value("leadscore_partitions_from_beginning_total", topic="website") == 1
    assert matching.value("leadscore_partitions_from_beginning_total", topic="email") == 0


def test_a_topic_of_dead_letters_stops_alone_and_nothing_of_its_last_batch_goes_out() -> None:
    garbage = [GARBAGE] * 30
    settings = {"LEADSCORE_DEAD_LETTER_MIN_RECORDS": "20", "LEADSCORE_BATCH_SIZE": "8"}
    matching = StageOfMatch({WEBSITE: garbage, EMAIL: [page_view("e0")]}, **settings)
    matching.turn(20)
    [why] = matching.stage.stopped.values()
    assert "LEADSCORE_DEAD_LETTER_MAX_RATIO" in why
    published = len(matching.dead_letters.sent)
    assert 0 < published < 20
    assert matching.consumer.committed_offsets == {WEBSITE: published, EMAIL: 1}
    matching.consumer.records[EMAIL] = records_of(EMAIL, [page_view("e0"), page_view("e1")], lambda _: NOON_MS)
    matching.turn(5)
    assert matching.logged == ["e0", "e1"]
    assert len(matching.dead_letters.sent) == published


def test_a_few_dead_letters_among_good_records_stop_nothing() -> None:
    records = [GARBAGE if number % 3 == 0 else page_view(f"w{number}") for number in range(90)]
    matching = StageOfMatch({WEBSITE: records}, LEADSCORE_DEAD_LETTER_MIN_RECORDS="20", LEADSCORE_BATCH_SIZE="8")
    matching.turn(40)
    assert matching.stage.stopped == {}
    assert matching.consumer.committed_offsets == {WEBSITE: 90}


SMALL_LIMIT = {"LEADSCORE_DEAD_LETTER_MIN_RECORDS": "10", "LEADSCORE_BATCH_SIZE": "6"}


def test_a_topic_of_dead_letters_stops_before_the_batch_that_shows_it_and_no_other() -> None:
    matching = StageOfMatch({WEBSITE: [GARBAGE] * 30, EMAIL: [page_view(f"e{n}") for n in range(30)]}, **SMALL_LIMIT)
    matching.turn(20)
    assert list(matching.stage.stopped) == [WEBSITE]
    published = len(matching.dead_letters.sent)
    assert published < 10
    assert matching.consumer.committed_offsets == {WEBSITE: published, EMAIL: 30}
    assert f"From offset {published} on nothing" in matching.stage.stopped[WEBSITE]


def test_a_bad_topic_is_not_let_through_bit_by_bit_by_restarts() -> None:
    sources = {WEBSITE: [GARBAGE] * 60, EMAIL: []}
    first = StageOfMatch(sources, **SMALL_LIMIT)
    first.turn(20)
    committed, notes = first.consumer.committed_offsets, first.consumer.notes
    for _ in range(3):
        again = StageOfMatch(sources, **SMALL_LIMIT)
        again.consumer.committed_offsets, again.consumer.notes = dict(committed), dict(notes)
        again.turn(20)
        assert (again.dead_letters.sent, again.consumer.committed_offsets) == ([], committed)
        assert list(again.stage.stopped) == [WEBSITE]


def test_a_topic_that_is_corrected_goes_on_after_the_restart() -> None:
    first = StageOfMatch({WEBSITE: [GARBAGE] * 60, EMAIL: []}, **SMALL_LIMIT)
    first.turn(20)
    committed = first.consumer.committed_offsets[WEBSITE]
    values = [GARBAGE] * committed + [page_view(f"w{n}") for n in range(60)]
    again = StageOfMatch({WEBSITE: values, EMAIL: []}, **SMALL_LIMIT)
    again.consumer.committed_offsets, again.consumer.notes = {WEBSITE: committed}, dict(first.consumer.notes)
    again.turn(40)
    assert (len(again.logged), again.stage.stopped) == (60, {})


def test_a_question_to_kafka_that_fails_is_counted_under_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_consumer: FakeConsumer, _partitions: object) -> dict[Partition, Bounds]:
        raise Unavailable("kafka", "leader", "asking for bounds")

    monkeypatch.setattr(FakeConsumer, "bounds", fail)
    matching = StageOfMatch({WEBSITE: [page_view("w0")]})
    matching.turn(3)
    assert matching.value("leadscore_kafka_errors_total", kind="leader") > 0
