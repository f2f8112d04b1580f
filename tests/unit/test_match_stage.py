"""The match stage on fakes: dead letters that cannot be published, and other ways to commit too early."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from leadscore.errors import WorkerStopped
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from leadscore.log.records import Frame, decode
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.commit_policy import CommitPolicy
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.match.dead_letters import DeadLetters
from leadscore.pipeline.match.stage import MatchParts, MatchStage
from leadscore.pipeline.own_frames import OwnFrames
from leadscore.pipeline.pace import AT_ONCE
from leadscore.pipeline.steps import NoSteps
from tests.unit.fake_kafka import FakeConsumer, FakeMessage, FakeProducer, Sent, records_of

DEFINITION = msgspec.convert(
    {"model": "m", "version": 1, "rules": {"view": {"event": "website.page_view", "points": 10}}}, ModelDefinition
)
WEBSITE, EMAIL, COMMANDS = ("website", 0), ("email", 0), ("commands", 0)
LOG, DEAD = "log", "dead"
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
NOON_MS = 1_767_268_800_000
GARBAGE = b"no event" * 40


def page_view(name: str) -> bytes:
    return json_bytes(Event("website.page_view", name, "L1", NOON_MS, {}))


class StageOfMatch:
    """A real match stage; time passes only with each ``turn``."""

    def __init__(self, sources: Mapping[Partition, list[bytes]], **settings: str) -> None:
        self.consumer = FakeConsumer(
            {
                partition: records_of(partition, values, lambda offset: NOON_MS + offset)
                for partition, values in {COMMANDS: [], **sources}.items()
            }
        )
        self.producer, self.dead_letters = FakeProducer(), FakeProducer(self._refusal)
        self.refuses, self.limit_bytes = b"", 100
        environ = {
            "LEADSCORE_SOURCE_TOPICS": "website,email",
            "LEADSCORE_COMMAND_TOPIC": "commands",
            "LEADSCORE_LOG_TOPIC": LOG,
            "LEADSCORE_DEAD_LETTER_TOPIC": DEAD,
            "LEADSCORE_LOG_PARTITIONS": "1",
            "LEADSCORE_ALIGNMENT_WAIT": "0s",
        }
        config = load_config(environ | settings)
        metrics = self.metrics = Metrics("1.0", ["website", "email", "commands"])
        self.readable = {"website", "email", "commands"}
        self.budget = DrainBudget(1.0)
        self.own_frames = OwnFrames()
        parts = MatchParts(
            config=config,
            matcher=Matcher(DEFINITION),
            decoder=Decoder(None, config.max_record_bytes),
            mapped=None,
            outbound=Outbound(self.producer.as_producer),
            dead_letters=DeadLetters(
                Outbound(self.dead_letters.as_producer), DEAD, config.match_group, metrics, lambda: self.limit_bytes
            ),
            metrics=metrics,
            budget=self.budget,
            topic_ids=lambda: {"website": "idw", "email": "ide", "commands": "idc"},
            log_bounds=self.consumer.bounds,
            steps=NoSteps(),
            refusals=Refusals("group", self.rights, metrics.kafka),
            own_frames=self.own_frames,
        )
        self.stage = MatchStage(parts, self.consumer.as_consumer, Commits(CommitPolicy(0.0)))
        self.now_s = NOON_MS / 1000 - 60

    def rights(self, topics: Sequence[str]) -> "dict[str, Future[Any]]":
        """What a broker that is asked for the rights on topics says, at once."""
        answers: dict[str, Future[Any]] = {}
        for topic in topics:
            answers[topic] = Future()
            allowed = [AclOperation.DESCRIBE, *([AclOperation.READ] if topic in self.readable else [])]
            answers[topic].set_result(SimpleNamespace(authorized_operations=allowed))
        return answers

    def value(self, name: str, **labels: str) -> float:
        """Of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.now_s += 0.5
            self.stage.step(self.now_s, AT_ONCE)

    @property
    def logged(self) -> list[str]:
        """The ids of the events in the log."""
        records = [decode(value) for value in self.producer.values(LOG)]
        return [award.event_id for record in records if isinstance(record, Frame) for award in record.awards]

    def _refusal(self, sent: Sent) -> KafkaError | None:
        return TOO_LARGE if self.refuses and self.refuses in (sent.value or b"") else None


def test_a_turn_says_how_many_of_its_frames_come_back_to_this_process() -> None:
    logged = []
    for numbers in ((), (0,)):
        matching = StageOfMatch({WEBSITE: [page_view("w0")]})
        matching.own_frames.numbers = numbers
        for _ in range(4):
            matching.turn()
            logged.append(matching.stage.logged)
    assert [sum(logged[:4]), sum(logged[4:]), logged[-1]] == [0, 1, 0]


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
