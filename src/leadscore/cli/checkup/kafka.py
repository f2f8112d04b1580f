"""Kafka as a worker finds it: whether it answers, who else scores the log, the clocks, the published model versions."""

import time
from collections.abc import Collection
from functools import partial
from typing import NamedTuple, cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import ClusterMetadata, TopicMetadata  # type: ignore[attr-defined]

from leadscore.cli.checkup.findings import RETRY_S, Finding, Findings, not_checked, ok, problem, warning
from leadscore.cli.kafka_session import KafkaSession
from leadscore.errors import KafkaErrorKind, Unavailable
from leadscore.model.definition import ModelDefinition
from leadscore.ops.choices import Role
from leadscore.ops.config import Config
from leadscore.ops.services import KAFKA, addresses_of
from leadscore.pipeline.kafka.clients import Admin
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.questions import topic_ids, unavailable
from leadscore.pipeline.other_deployments import groups_on, refuse_other_scorers
from leadscore.pipeline.starting import compare_clocks, latest_log_time_ms

DEPLOYMENTS, CLOCK, MODELS = "other deployments", "clock", "models topic"
SAFE_BROKERS = 3
DEPLOYMENTS_ADVICE = "Give this deployment a group, a log, a models topic and a Redis prefix of its own."
CLOCK_ADVICE = "Synchronise the clocks of this machine and of the servers (NTP), then start the worker."
MODELS_ADVICE = "Raise the model's version with every change, and run no version that is older than the published one."

_ADVICE = {
    KafkaErrorKind.AUTHENTICATION: "Correct the login: LEADSCORE_KAFKA__SECURITY_PROTOCOL, ..._SASL_MECHANISM, "
    "..._SASL_USERNAME, ..._SASL_PASSWORD and the certificates; docs/security.md has the settings of every login.",
}
_ADVICE_OTHERWISE = (
    "Check LEADSCORE_KAFKA__BOOTSTRAP_SERVERS, that a broker listens there, that its listener has the protocol of "
    "LEADSCORE_KAFKA__SECURITY_PROTOCOL, and that its advertised.listeners can be reached from here."
)


class Cluster(NamedTuple):
    """A Kafka cluster that answered."""

    admin: Admin
    metadata: ClusterMetadata

    @property
    def cluster_id(self) -> str:
        """The id of the cluster; empty where the brokers do not tell."""
        return cast("str | None", self.metadata.cluster_id) or ""

    @property
    def brokers(self) -> int:
        """How many brokers there are."""
        return len(self.metadata.brokers)


def reach(session: KafkaSession, topics: Collection[str], timeout_s: float) -> Cluster:
    """The cluster; ``Unavailable`` where none answers in time.

    It is asked again for ``timeout_s`` while a partition of these topics has no leader: leaders move.
    """
    admin = session.admin()
    deadline = Deadline(timeout_s)
    try:
        while True:
            metadata = admin.list_topics(timeout=timeout_s)
            existing = [metadata.topics[name] for name in topics if name in metadata.topics]
            if not any(map(without_leader, existing)) or not deadline.left_s:
                return Cluster(admin, metadata)
            time.sleep(RETRY_S)
    except KafkaException as error:
        raise unavailable(error, "asking for the brokers", admin) from error


def without_leader(topic: TopicMetadata) -> list[int]:
    """The partitions of the topic that have no leader, in order."""
    return sorted(number for number, partition in topic.partitions.items() if partition.leader < 0)


def unreached(config: Config, outage: Unavailable) -> Finding:
    """The problem of a Kafka that does not answer."""
    advice = _ADVICE.get(KafkaErrorKind(outage.kind), _ADVICE_OTHERWISE)
    return problem(KAFKA, f"{addresses_of(config)[KAFKA]}: {outage}", advice)


def cluster(config: Config, reached: Cluster) -> Findings:
    """The brokers, and whether they are new enough."""
    where, number = addresses_of(config)[KAFKA], reached.brokers
    yield ok(KAFKA, f"{where} answers: cluster {reached.cluster_id}, brokers: {number}")
    if number < SAFE_BROKERS:
        yield warning(
            KAFKA,
            f"brokers: {number}: a record is lost with the disk it is on",
            f"In production run at least {SAFE_BROKERS} brokers: topics then have three copies, two of them in sync.",
        )
    topic = next(iter(set(config.topics) & set(reached.metadata.topics)), None)
    if topic is not None:
        yield from _version(reached, topic)


def _version(reached: Cluster, topic: str) -> Findings:
    """Kafka does not tell its version; what it can do shows whether it is new enough."""
    if set(topic_ids(reached.admin, [topic], has_topic_ids=True)[topic]) <= set("A="):
        yield problem(
            KAFKA,
            f"topic {topic} has no id: the brokers are older than Kafka 2.8",
            "Upgrade Kafka: without topic ids a topic that was made anew cannot be told from a replay.",
        )
    else:
        yield ok(KAFKA, "topics have ids: Kafka 2.8 or newer")


def other_deployments(config: Config, reached: Cluster) -> Findings:
    """Whether another group scores the log at present."""
    refuse_other_scorers(config, partial(groups_on, reached.admin, config.log_topic))
    yield ok(DEPLOYMENTS, f"no other group scores {config.log_topic} at present, as far as this user may see")


def clock(config: Config, reached: Cluster) -> Findings:
    """Whether the newest record of the log is of a time that has come."""
    latest_ms = latest_log_time_ms(reached.admin, config)
    compare_clocks(latest_ms)
    seen = "has no record to compare with yet; the worker compares with the first" if latest_ms is None else "agrees"
    yield ok(CLOCK, f"Kafka: {config.log_topic} {seen}")


def models(config: Config, session: KafkaSession, definition: ModelDefinition | None) -> Findings:
    """Whether the model's version may be published, or is; ``None`` is a model that could not be read."""
    if config.role is Role.SCORE:
        versions = session.models().versions()
        yield ok(MODELS, f"{config.models_topic} holds versions: {', '.join(map(str, versions)) or 'none yet'}")
        return
    if definition is None:
        yield not_checked(MODELS, "the model cannot be read", "Correct the problem of the model first.")
        return
    holds = session.models_of(definition.model).holds(definition)
    state = "is published" if holds else "is new, and is published when a worker starts"
    yield ok(MODELS, f"{config.models_topic}: version {definition.version} of {definition.model} {state}")
