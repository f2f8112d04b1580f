"""The rights of the worker's user in Kafka, as docs/permissions.md lists them. Kafka is asked; nothing is tried."""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from leadscore.cli.checkup.findings import Finding, Findings, not_checked, ok, problem
from leadscore.cli.checkup.kafka import Cluster
from leadscore.errors import KafkaErrorKind
from leadscore.ops.choices import Delivery, Role
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import kind_of
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S, ask_for_rights

RIGHTS = "rights in Kafka"
RETRY_S = 0.5
_WAITED_FOR = {KafkaErrorKind.COORDINATOR, KafkaErrorKind.TIMEOUT}
_READ, _WRITE = AclOperation.READ, AclOperation.WRITE


def topic_rights(config: Config) -> dict[str, frozenset[AclOperation]]:
    """The operations that a worker of the role needs on each topic."""
    both, read, write = frozenset({_READ, _WRITE}), frozenset({_READ}), frozenset({_WRITE})
    needed = {config.log_topic: both, config.models_topic: both}
    if config.role is not Role.SCORE:
        needed |= dict.fromkeys(config.input_topics, read) | {config.dead_letter_topic: write}
    if config.role is not Role.MATCH:
        needed |= dict.fromkeys(config.topics_of_results, write)
    return needed


def groups(config: Config) -> list[str]:
    """The groups that a worker of the role reads with."""
    return {
        Role.ALL: [config.match_group, config.score_group],
        Role.MATCH: [config.match_group],
        Role.SCORE: [config.score_group],
    }[config.role]


def kafka_rights(config: Config, reached: Cluster) -> Findings:
    """A problem for each right that is missing."""
    needed = topic_rights(config)
    there = [name for name in needed if name in reached.metadata.topics]
    answers = ask_for_rights(reached.admin, there) if there else {}
    wrong = [finding for name in there for finding in _of("topic", name, needed[name], answers[name])]
    described = _ask_of_groups(reached.admin, groups(config))
    wrong += [finding for name, answer in described.items() for finding in _of("group", name, {_READ}, answer)]
    if not wrong:
        yield ok(RIGHTS, f"all of docs/permissions.md on {len(there)} topics and {len(described)} groups")
    yield from wrong
    yield from _transactions(config)


def _ask_of_groups(admin: AdminClient, names: list[str]) -> Mapping[str, "Future[Any]"]:
    """The answers; a cluster that has had no group before makes the topic of groups first, and is asked again."""
    deadline = Deadline(REQUEST_TIMEOUT_S)
    while True:
        answers: Mapping[str, Future[Any]] = admin.describe_consumer_groups(
            names, include_authorized_operations=True, request_timeout=REQUEST_TIMEOUT_S
        )
        if not deadline.left_s or not any(_may_pass(answer) for answer in answers.values()):
            return answers
        time.sleep(RETRY_S)


def _may_pass(answer: "Future[Any]") -> bool:
    error = answer.exception(REQUEST_TIMEOUT_S)
    return isinstance(error, KafkaException) and kind_of(error.args[0]) in _WAITED_FOR


def _of(
    kind: str, name: str, needed: frozenset[AclOperation] | set[AclOperation], answer: "Future[Any]"
) -> list[Finding]:
    try:
        allowed = answer.result(REQUEST_TIMEOUT_S).authorized_operations
    except KafkaException as error:
        detail = f"{kind} {name}: {error.args[0].str() or error.args[0].name()}"
        if kind_of(error.args[0]) is KafkaErrorKind.AUTHORIZATION:
            return [problem(RIGHTS, detail, _advice(kind, name, needed))]
        return [not_checked(RIGHTS, detail, "Ask again; if it stays, look into the brokers' log.")]
    if allowed is None:
        return [
            not_checked(
                RIGHTS, f"{kind} {name}: Kafka does not say what is allowed", "Compare with docs/permissions.md."
            )
        ]
    missing = needed - set(allowed)
    words = " and ".join(sorted(operation.name.capitalize() for operation in missing))
    return [problem(RIGHTS, f"{kind} {name}: {words} is missing", _advice(kind, name, missing))] if missing else []


def _advice(kind: str, name: str, missing: frozenset[AclOperation] | set[AclOperation]) -> str:
    operations = " ".join(f"--operation {operation.name.capitalize()}" for operation in sorted(missing, key=str))
    return (
        f"kafka-acls --bootstrap-server BROKER --add --allow-principal User:NAME {operations} --{kind} {name} "
        "(docs/permissions.md)"
    )


def _transactions(config: Config) -> Findings:
    """Kafka tells nothing of transactional ids before a transaction is begun, which would be a write."""
    if config.role is not Role.MATCH and (config.scores_topic or config.delivery is Delivery.TRANSACTIONAL):
        yield not_checked(
            RIGHTS,
            f"Write on the transactional ids that begin with {config.group}-scores-",
            "Compare with docs/permissions.md; a worker that lacks it ends at its start and says so.",
        )
