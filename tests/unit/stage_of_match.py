"""A match stage on fakes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import msgspec
from confluent_kafka import KafkaError
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

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
from leadscore.pipeline.pace import AT_ONCE
from leadscore.pipeline.steps import NoSteps
from tests.unit.fake_kafka import FakeConsumer, FakeProducer, Sent, records_of

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
