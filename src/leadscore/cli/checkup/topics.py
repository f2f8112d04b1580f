"""The topics of the configuration: whether they exist, and whether their settings keep what the worker promises."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]

from leadscore.cli.checkup.findings import Finding, Findings, Status, not_checked, ok, problem, warning
from leadscore.cli.checkup.kafka import SAFE_BROKERS, Cluster, without_leader
from leadscore.cli.topics import ExpectedTopic, default_sizes, expected_topics, settings_of
from leadscore.errors import LeadscoreError
from leadscore.ops.config import Config
from leadscore.pipeline.starting import wrong_log_partitions
from leadscore.time_units import DAY_MS

TOPICS = "topics"
SHORTEST_LOG_RETENTION_MS = 7 * DAY_MS
LEAST_BATCH_BYTES = 1_048_588
"""Kafka's default of max.message.bytes; a producer's batch of frames is smaller."""
_FOR_EVER = "-1"


@dataclass(frozen=True, slots=True)
class SettingRule:
    """What a setting of a topic must be, and what happens where it is not; ``right`` is a value to set."""

    setting: str
    is_right: Callable[[str], bool]
    right: str
    status: Status
    why: str

    def finding(self, topic: str, value: str) -> Finding:
        """What to tell where the setting is wrong."""
        detail = f"{self.setting} is {value}, expected {self.right}: {self.why}"
        return Finding(_check_of(topic), self.status, detail, _set(topic, self.setting, self.right))


def topics(config: Config, reached: Cluster) -> Findings:
    """One finding for each topic that is in order, else one for each thing that is wrong with it."""
    expected = {topic.name: topic for topic in expected_topics(config, default_sizes(reached.brokers))}
    for name in config.topics_of_role:
        metadata = reached.metadata.topics.get(name)
        if metadata is None or metadata.error is not None:
            yield problem(
                _check_of(name),
                "there is no such topic, or this user may not describe it",
                "Run `leadscore topics create`, or give the user the rights of docs/permissions.md.",
            )
            continue
        yield from _existing(config, reached, expected[name], metadata)


def _existing(config: Config, reached: Cluster, expected: ExpectedTopic, metadata: TopicMetadata) -> Findings:
    wrong = list(_wrong_partitions(config, metadata))
    try:
        ((_, settings),) = settings_of(reached.admin, [expected])
    except LeadscoreError as error:
        wrong.append(
            not_checked(
                _check_of(expected.name),
                f"its settings: {error}",
                "Run this once as a user with DescribeConfigs on the topics, such as the one who creates them.",
            )
        )
    else:
        wrong += _wrong_settings(config, expected, {name: text or "" for name, text in settings.items()})
        wrong += _wrong_copies(reached, metadata, settings.get("min.insync.replicas") or "1")
    yield from wrong or [ok(_check_of(expected.name), f"partitions: {len(metadata.partitions)}, settings as expected")]


def _wrong_partitions(config: Config, metadata: TopicMetadata) -> Iterator[Finding]:
    name, number = str(metadata.topic), len(metadata.partitions)
    if name == config.log_topic and number != config.log_partitions:
        yield problem(
            _check_of(name),
            wrong_log_partitions(config, number),
            f"Set LEADSCORE_LOG_PARTITIONS={number}, or name a new topic in LEADSCORE_LOG_TOPIC.",
        )
    if leaderless := without_leader(metadata):
        yield problem(
            _check_of(name),
            f"partitions without a leader: {', '.join(map(str, leaderless))}",
            "Start the brokers that hold them; nothing can be read or written there until then.",
        )


def _wrong_settings(config: Config, expected: ExpectedTopic, settings: Mapping[str, str]) -> Iterator[Finding]:
    for rule in _rules_of(config, expected):
        value = settings.get(rule.setting)
        if value is not None and not rule.is_right(value):
            yield rule.finding(expected.name, value)


def _wrong_copies(reached: Cluster, metadata: TopicMetadata, least_in_sync: str) -> Iterator[Finding]:
    name, least = str(metadata.topic), int(least_in_sync)
    copies = min((len(one.replicas) for one in metadata.partitions.values()), default=0)
    in_sync = min((len(one.isrs) for one in metadata.partitions.values()), default=0)
    if in_sync < least:
        yield problem(
            _check_of(name),
            f"copies in sync: {in_sync}, fewer than min.insync.replicas: {least}: Kafka refuses to store records",
            "Start the brokers that are missing, or lower min.insync.replicas below the number of copies.",
        )
    elif least > 1 and copies == least:
        yield warning(
            _check_of(name),
            f"min.insync.replicas is {least} of {copies} copies: every restart of a broker stops the worker",
            f"Add copies, or set min.insync.replicas={least - 1}.",
        )
    if reached.brokers >= SAFE_BROKERS and (copies < SAFE_BROKERS or least < 2):
        yield warning(
            _check_of(name),
            f"copies: {copies}, min.insync.replicas: {least}: a record that was acknowledged can be lost with one disk",
            f"From {SAFE_BROKERS} brokers on: three copies and min.insync.replicas=2.",
        )


def _rules_of(config: Config, expected: ExpectedTopic) -> list[SettingRule]:
    """What is expected of the topic, by what it is used for."""
    name = expected.name
    if name == config.log_topic:
        return [*_LOG_RULES, *_EVERY_TOPIC]
    if name == config.models_topic:
        return [_compacted("without it old versions of the model are deleted, and a replay needs them"), *_EVERY_TOPIC]
    if name == config.scores_topic:
        return [_compacted("subscribers expect the latest score of every lead, however old it is"), *_EVERY_TOPIC]
    if name == config.crossing_topic:
        return [_kept("a subscriber that is behind misses crossings of leads that crossed again"), *_EVERY_TOPIC]
    if name == config.dead_letter_topic:
        return [_kept("dead letters with the same key vanish"), _large(expected), *_EVERY_TOPIC]
    return [_kept("events that have not been read yet vanish"), _remembered(config), *_EVERY_TOPIC]


def _compacted(why: str) -> SettingRule:
    return SettingRule("cleanup.policy", lambda policy: "compact" in policy, "compact", Status.PROBLEM, why)


def _kept(why: str) -> SettingRule:
    return SettingRule("cleanup.policy", lambda policy: "compact" not in policy, "delete", Status.WARNING, why)


def _large(expected: ExpectedTopic) -> SettingRule:
    largest = expected.settings["max.message.bytes"]
    why = "a dead letter that is larger stops the partition that it came from"
    return SettingRule("max.message.bytes", lambda size: int(size) >= LEAST_BATCH_BYTES, largest, Status.WARNING, why)


def _remembered(config: Config) -> SettingRule:
    memory_ms = config.erasure_memory_ms
    why = "an erased lead would come back from events that are kept longer than LEADSCORE_ERASURE_MEMORY"
    return SettingRule(
        "retention.ms",
        lambda retention: retention != _FOR_EVER and int(retention) <= memory_ms,
        str(memory_ms),
        Status.WARNING,
        why,
    )


_LOG_RULES = (
    SettingRule(
        "cleanup.policy",
        lambda policy: policy == "delete",
        "delete",
        Status.PROBLEM,
        "a compacted log loses awards, and scores that are rebuilt from it are wrong",
    ),
    SettingRule(
        "message.timestamp.type",
        lambda kind: kind == "LogAppendTime",
        "LogAppendTime",
        Status.PROBLEM,
        "the log's time would follow the clock of each worker, and with it when leads leave",
    ),
    SettingRule(
        "max.message.bytes",
        lambda size: int(size) >= LEAST_BATCH_BYTES,
        "2097152",
        Status.PROBLEM,
        "a batch of frames may be refused, and the worker ends",
    ),
    SettingRule(
        "retention.ms",
        lambda retention: retention == _FOR_EVER or int(retention) >= SHORTEST_LOG_RETENTION_MS,
        str(30 * DAY_MS),
        Status.WARNING,
        "states that Redis loses are rebuilt from what the log still holds",
    ),
    SettingRule(
        "retention.bytes",
        lambda size: size == _FOR_EVER,
        _FOR_EVER,
        Status.WARNING,
        "records go before their time is over, and states cannot be rebuilt from the log",
    ),
)
_EVERY_TOPIC = (
    SettingRule(
        "unclean.leader.election.enable",
        lambda switch: switch == "false",
        "false",
        Status.WARNING,
        "records that were acknowledged are lost when a broker that was behind becomes the leader",
    ),
)


def _check_of(topic: str) -> str:
    return f"topic {topic}"


def _set(topic: str, setting: str, value: str) -> str:
    return (
        f"Set it: kafka-configs --bootstrap-server BROKER --alter --entity-type topics --entity-name {topic} "
        f"--add-config {setting}={value}"
    )
