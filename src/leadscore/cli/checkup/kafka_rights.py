"""The rights of the worker's user in Kafka, as docs/permissions.md lists them.

Kafka is asked which operations it allows on topics and groups. It has no such question for transactional ids: what a
transaction begins with is tried there.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from leadscore.cli.checkup.findings import ASK_AGAIN, RETRY_S, Finding, Findings, not_checked, ok, problem
from leadscore.cli.checkup.kafka import Cluster
from leadscore.cli.kafka_session import KafkaSession
from leadscore.errors import KafkaErrorKind
from leadscore.ops.choices import Role
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import kind_of
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S, ask_for_rights

RIGHTS = "rights in Kafka"
OWN_ID = ":doctor"
"""No worker's: the colon keeps it from being the name of one, whose transactions would end."""
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
        return [not_checked(RIGHTS, detail, ASK_AGAIN)]
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


def transaction_rights(config: Config, session: KafkaSession) -> Findings:
    """A problem where transactions under the worker's ids are refused; nothing where it commits in none.

    No transaction is begun. Kafka keeps a note of the id that was tried, and drops it after a week.
    """
    if config.role is Role.MATCH or not config.has_transactions:
        return
    prefix = config.transactional_id_prefix
    detail = f"Write on the transactional ids that begin with {prefix}"
    try:
        session.transactional_producer(prefix + OWN_ID).init_transactions(REQUEST_TIMEOUT_S)
    except KafkaException as error:
        yield _refused_transactions(detail, prefix, error)
    else:
        yield ok(RIGHTS, detail)


def _refused_transactions(detail: str, prefix: str, error: KafkaException) -> Finding:
    if kind_of(error.args[0]) is KafkaErrorKind.AUTHORIZATION:
        advice = (
            "kafka-acls --bootstrap-server BROKER --add --allow-principal User:NAME --operation Write "
            f"--transactional-id {prefix} --resource-pattern-type prefixed (docs/permissions.md)"
        )
        return problem(RIGHTS, f"{detail} is missing", advice)
    return not_checked(RIGHTS, f"{detail}: {error.args[0].str()}", ASK_AGAIN)
