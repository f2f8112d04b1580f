"""What ``leadscore doctor`` says where no test has the servers for it: several brokers, old servers, full ones."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from leadscore.cli.checkup.findings import (
    ASK_AGAIN,
    Findings,
    Status,
    is_in_order,
    lines_of,
    not_checked,
    ok,
    once_answered,
    problem,
    summary_of,
    unless_wrong,
    warning,
)
from leadscore.cli.checkup.kafka import Cluster, reach
from leadscore.cli.checkup.kafka_rights import groups, kafka_rights, topic_rights
from leadscore.cli.checkup.redis import _clock, _memory, _persistence, _server
from leadscore.cli.checkup.topics import _wrong_copies, _wrong_partitions
from leadscore.errors import ConfigError, Unavailable, WorkerStopped
from leadscore.ops.config import Config, load_config
from leadscore.store.shard import ServerFacts
from tests.permissions_page import kafka_rights as rights_of_the_page
from tests.permissions_page import scores_rights

REDIS = "r:6379"


def topic(copies: int, in_sync: int, *, leader: int = 1, name: str = "t") -> Any:
    """What the client tells of a topic with one partition."""
    partition = SimpleNamespace(replicas=list(range(copies)), isrs=list(range(in_sync)), leader=leader)
    return SimpleNamespace(topic=name, partitions={0: partition})


def cluster(brokers: int) -> Cluster:
    metadata = SimpleNamespace(brokers=dict.fromkeys(range(brokers)), topics={})
    return Cluster(cast("Any", None), cast("Any", metadata))


def findings_of(brokers: int, metadata: Any, least_in_sync: str) -> list[tuple[Status, str]]:
    return [(finding.status, finding.detail) for finding in _wrong_copies(cluster(brokers), metadata, least_in_sync)]


def test_three_copies_of_which_two_are_in_sync_are_right() -> None:
    assert findings_of(3, topic(3, 3), "2") == []
    assert findings_of(3, topic(3, 2), "2") == []  # one broker is away


def test_one_copy_is_told_where_there_could_be_three() -> None:
    [(status, detail)] = findings_of(3, topic(1, 1), "1")
    assert (status, "can be lost" in detail) == (Status.WARNING, True)
    assert findings_of(1, topic(1, 1), "1") == []
    [(status, detail)] = findings_of(3, topic(3, 3), "1")
    assert (status, "min.insync.replicas: 1" in detail) == (Status.WARNING, True)


def test_copies_that_must_all_be_in_sync_stop_the_worker_at_every_restart_of_a_broker() -> None:
    [(status, detail), *_] = findings_of(2, topic(2, 2), "2")
    assert (status, "every restart of a broker" in detail) == (Status.WARNING, True)


def test_too_few_copies_in_sync_are_a_problem() -> None:
    assert findings_of(3, topic(3, 1), "2")[0][0] is Status.PROBLEM


def test_partitions_without_a_leader_are_named() -> None:
    [finding] = _wrong_partitions(load_config({}), topic(1, 1, leader=-1))
    assert finding.status is Status.PROBLEM
    assert finding.detail == "partitions without a leader: 0"


def test_kafka_is_asked_again_while_a_partition_has_no_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadscore.cli.checkup.kafka.RETRY_S", 0.0)
    answers = [SimpleNamespace(brokers={}, topics={"t": topic(1, 1, leader=leader)}) for leader in (-1, -1, 1)]
    left = iter(answers)
    session = SimpleNamespace(admin=lambda: SimpleNamespace(list_topics=lambda **_: next(left)))
    assert reach(cast("Any", session), ["t", "missing"], 60).metadata == answers[2]


def test_partitions_that_stay_without_a_leader_are_told_after_the_timeout() -> None:
    metadata = SimpleNamespace(brokers={}, topics={"t": topic(1, 1, leader=-1), "other": topic(1, 1)})
    session = SimpleNamespace(admin=lambda: SimpleNamespace(list_topics=lambda **_: metadata))
    assert reach(cast("Any", session), ["t"], 0).metadata == metadata


# Redis


@pytest.mark.parametrize(
    ("told_s", "status", "words"),
    [
        (1_000.0, Status.OK, "agrees"),
        (900.0, Status.PROBLEM, "110 s ahead of"),
        (1_300.0, Status.PROBLEM, "290 s behind"),
    ],
)
def test_the_clock_of_redis_is_compared_with_the_time_in_which_it_was_asked(
    told_s: float, status: Status, words: str
) -> None:
    [finding] = _clock(REDIS, {"server_time_usec": str(int(told_s * 1e6))}, (1_010.0, 1_010.0))
    assert finding.status is status
    assert words in finding.detail


def test_a_redis_that_does_not_tell_the_time_is_not_compared() -> None:
    assert list(_clock(REDIS, {}, (1.0, 1.0))) == []


def test_a_redis_that_is_nearly_full_is_told() -> None:
    assert list(_memory(REDIS, {"used_memory": "79", "maxmemory": "100"})) == []
    assert list(_memory(REDIS, {"used_memory": "79", "maxmemory": "0"})) == []
    [finding] = _memory(REDIS, {"used_memory": "81", "maxmemory": "100"})
    assert finding.status is Status.WARNING


def test_a_redis_that_cannot_write_its_file_is_a_problem() -> None:
    first, second = _persistence(REDIS, {"aof_enabled": "1", "aof_last_write_status": "err"})
    assert (first.status, second.status) == (Status.OK, Status.PROBLEM)


@pytest.mark.parametrize(("version", "statuses"), [("6.2.1", [Status.OK, Status.WARNING]), ("7.0.15", [Status.OK])])
def test_an_old_redis_is_told(version: str, statuses: list[Status]) -> None:
    facts = ServerFacts(product="redis", version=version, masters=1, eviction_policy="noeviction", warnings=())
    store = SimpleNamespace(check_server=lambda **_: facts)
    assert [finding.status for finding in _server(load_config({}), cast("Any", store))] == statuses


# Rights


def names_of_the_page(config: Config) -> set[tuple[str, str]]:
    rights = [*rights_of_the_page(), *(scores_rights() if config.scores_topic else [])]
    return {(right.operation, right.name) for right in rights if right.kind == "topic"}


@pytest.mark.parametrize("environ", [{}, {"LEADSCORE_SCORES_TOPIC": "leadscore.scores"}], ids=["without", "scores"])
def test_the_rights_that_are_asked_for_are_those_of_the_page(environ: dict[str, str]) -> None:
    config = load_config(environ)
    asked = {(right.name.capitalize(), name) for name, needed in topic_rights(config).items() for right in needed}
    assert asked == names_of_the_page(config)
    assert groups(config) == [right.name for right in rights_of_the_page() if right.kind == "group"]


@pytest.mark.parametrize(("role", "unneeded"), [("match", "leadscore.crossings"), ("score", "leadscore.website")])
def test_a_role_needs_only_its_own_rights(role: str, unneeded: str) -> None:
    config = load_config({"LEADSCORE_ROLE": role})
    assert unneeded not in topic_rights(config)
    assert groups(config) == [f"leadscore-{role}"]


def answer(allowed: list[AclOperation] | None) -> Any:
    return SimpleNamespace(
        result=lambda _timeout_s: SimpleNamespace(authorized_operations=allowed), exception=lambda _timeout_s: None
    )


def test_a_kafka_that_does_not_say_what_is_allowed_leaves_it_open() -> None:
    admin = SimpleNamespace(
        describe_topics=lambda *_args, **_more: {"leadscore.log": answer(None)},
        describe_consumer_groups=lambda names, **_more: {name: answer([AclOperation.READ]) for name in names},
    )
    reached = Cluster(cast("Any", admin), cast("Any", SimpleNamespace(topics={"leadscore.log": None})))
    assert [finding.status for finding in kafka_rights(load_config({}), reached)] == [Status.NOT_CHECKED]


# Findings


def test_only_a_problem_is_out_of_order() -> None:
    others = [ok("a", "b"), warning("a", "b", "c"), not_checked("a", "b", "c")]
    assert is_in_order(others)
    assert not is_in_order([*others, problem("a", "b", "c")])
    assert summary_of(others) == "1 ok, 1 warning, 0 problems, 1 not checked"
    assert summary_of([*others, others[1], problem("a", "b", "c")]) == "1 ok, 2 warnings, 1 problem, 1 not checked"


def test_a_finding_for_people_has_its_advice_below() -> None:
    assert list(lines_of([warning("kafka", "one broker", "Run three.")])) == [
        "warning      kafka: one broker",
        "             -> Run three.",
    ]


def test_an_error_in_the_middle_of_a_check_is_a_finding_after_those_before() -> None:
    def findings(error: Exception) -> Any:
        yield ok("a", "b")
        raise error

    wrong = list(unless_wrong("a", findings(ConfigError("one\ntwo")), "do"))
    assert [finding.detail for finding in wrong] == ["b", "one", "two"]
    with pytest.raises(Unavailable):
        list(unless_wrong("a", findings(Unavailable("kafka", "timeout", "late")), "do"))


def answers(*errors: Exception) -> Callable[[], Findings]:
    """A question that fails with each of the errors in turn, and then is answered."""
    remaining = list(errors)

    def ask() -> Findings:
        if remaining:
            raise remaining.pop(0)
        yield ok("a", "b")

    return ask


def test_kafka_is_asked_again_while_it_does_not_answer() -> None:
    moved = Unavailable("kafka", "leader", "not leader")
    assert list(once_answered("a", answers(moved), "do", 30)) == [ok("a", "b")]
    assert list(once_answered("a", answers(moved), "do", 0)) == [problem("a", str(moved), ASK_AGAIN)]


def test_what_kafka_answers_is_refused_at_once() -> None:
    wrong = list(once_answered("a", answers(WorkerStopped("a day ahead")), "do", 30))
    assert wrong == [problem("a", "a day ahead", "do")]
