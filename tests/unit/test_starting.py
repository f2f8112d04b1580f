"""What a worker checks before it begins."""

import pytest
from confluent_kafka.admin import AdminClient

from leadscore.errors import ConfigError, Unavailable
from leadscore.ops.config import load_config
from leadscore.ops.health import Health
from leadscore.ops.metrics import Metrics
from leadscore.pipeline import starting
from leadscore.pipeline.starting import Patience, check_topics
from leadscore.pipeline.stopping import Stopping

FIXED = "; the number is fixed when the log is created, because it decides where each lead lives"
NO_SERVER = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})


def patience(timeout_s: float, metrics: Metrics | None = None) -> Patience:
    return Patience(Stopping(), Health({}, 60), metrics or Metrics("0", ["website"]), {}, timeout_s)


def problems_of(monkeypatch: pytest.MonkeyPatch, partitions: dict[str, int], **environ: str) -> list[str]:
    def partition_count(_client: object, topic: str, _timeout_s: float) -> int:
        if topic not in partitions:
            raise ConfigError(f"topic {topic}: there is no such topic")
        return partitions[topic]

    monkeypatch.setattr(starting, "partition_count", partition_count)
    try:
        check_topics(NO_SERVER, load_config(environ), patience(60.0))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_all_topics_that_do_not_exist_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = dict.fromkeys(load_config({}).topics, 32)
    lacking = complete.keys() - {"leadscore.email", "leadscore.commands", "leadscore.crossings"}

    assert problems_of(monkeypatch, complete) == []
    assert problems_of(monkeypatch, dict.fromkeys(lacking, 8)) == [
        f"LEADSCORE_LOG_PARTITIONS: 32: topic leadscore.log has 8 partitions{FIXED}",
        "topic leadscore.email: there is no such topic",
        "topic leadscore.commands: there is no such topic",
        "topic leadscore.crossings: there is no such topic",
    ]


@pytest.mark.parametrize(("role", "asked"), [("match", 8), ("score", 3), ("all", 9)])
def test_only_the_topics_of_the_role_are_asked_for(monkeypatch: pytest.MonkeyPatch, role: str, asked: int) -> None:
    assert len(problems_of(monkeypatch, {}, LEADSCORE_ROLE=role)) == asked


def test_questions_become_rarer_and_end_with_the_time_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    now_s = [0.0]

    def pass_time(_stopping: Stopping, seconds: float) -> None:
        pauses.append(seconds)
        now_s[0] += seconds

    monkeypatch.setattr(Stopping, "wait", pass_time)
    monkeypatch.setattr("leadscore.pipeline.kafka.deadline.monotonic", lambda: now_s[0])
    monkeypatch.setattr("leadscore.pipeline.backoff.random", lambda: 1.0)

    def ask() -> None:
        raise Unavailable("redis", "auth", "wrong password")

    with pytest.raises(Unavailable, match="wrong password"):
        patience(20.0).until_answered(ask)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 2.5]


def test_a_service_is_told_as_away_while_it_does_not_answer_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics("0", ["website"])
    seen: list[dict[str, float]] = []

    def up() -> dict[str, float]:
        [family] = metrics.kafka.dependency_up.collect()
        return {sample.labels["service"]: sample.value for sample in family.samples}

    def ask() -> None:
        seen.append(up())
        if len(seen) < 3:
            raise Unavailable(["redis", "kafka"][len(seen) - 1], "timeout", "no answer")

    monkeypatch.setattr(Stopping, "wait", lambda *_: None)
    patience(20.0, metrics).until_answered(ask)
    assert [*seen, up()] == [{}, {"redis": 0}, {"redis": 0, "kafka": 0}, {"redis": 1, "kafka": 1}]


def test_what_a_service_refuses_at_the_start_counts_as_it_does_later(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics("0", ["website"])
    outages = [Unavailable("redis", "auth", "wrong password"), Unavailable("kafka", "authentication", "the same")]

    def ask() -> None:
        if outages:
            raise outages.pop()

    monkeypatch.setattr(Stopping, "wait", lambda *_: None)
    patience(20.0, metrics).until_answered(ask)
    counted = [
        metrics.registry.get_sample_value(f"leadscore_{name}_errors_total", {"kind": kind})
        for name, kind in (("store", "auth"), ("kafka", "authentication"))
    ]
    assert counted == [1, 1]


def test_a_kafka_that_is_away_is_waited_for_no_longer_than_the_start_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def partition_count(_client: object, _topic: str, timeout_s: float) -> int:
        asked.append(timeout_s)
        raise Unavailable("kafka", "_TRANSPORT", "no answer")

    monkeypatch.setattr(starting, "partition_count", partition_count)
    with pytest.raises(Unavailable):
        check_topics(NO_SERVER, load_config({}), patience(0.8))
    assert len(asked) >= 2
    assert max(asked) <= 0.8  # a question is not longer than what is left
