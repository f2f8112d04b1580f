"""``leadscore topics create``: every topic of the configuration, with the settings that the delivery promise needs."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from leadscore.cli import accept_source_gap
from leadscore.cli.kafka_session import KafkaSession
from leadscore.cli.options import duration, number_from_1
from leadscore.cli.registering import schema_by_topic, with_ids
from leadscore.errors import ConfigError, Unavailable
from leadscore.model.phrases import counted
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.kafka.clients import PRODUCER
from leadscore.pipeline.kafka.questions import unavailable
from leadscore.pipeline.schema_registry import make_registry
from leadscore.time_units import DAY_MS

REQUEST_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 10.0
"""For the first question: where nothing answers by then, the address is wrong."""
MOST_REPLICAS = 3
LOG_MAX_BYTES = 2 * 1024 * 1024
"""A frame is at most 256 KiB, a producer's batch of them 1 MB."""


@dataclass(frozen=True, slots=True)
class ExpectedTopic:
    """A topic, its partitions, and the settings in which it differs from the broker's defaults."""

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the options say; retentions in milliseconds."""

    replication: int
    source_partitions: int
    crossing_partitions: int
    log_retention_ms: int
    source_retention_ms: int
    output_retention_ms: int


_SIZE_OPTIONS = (
    ("--log-retention", duration, "30d", "how long the award log is kept, to rebuild state from"),
    ("--source-retention", duration, "90d", "how long source and command topics are kept"),
    ("--output-retention", duration, "30d", "how long crossings, dead letters and tombstones are kept"),
    ("--source-partitions", number_from_1, "6", "partitions of source topics, commands, dead letters"),
    ("--crossing-partitions", number_from_1, "6", "partitions of the topics of crossings and of latest scores"),
)
"""Option, how its text is read, default, meaning."""


def default_sizes(brokers: int) -> Sizes:
    """The sizes that topics get without an option."""
    sizes = argparse.Namespace(**{option[2:].replace("-", "_"): read(text) for option, read, text, _ in _SIZE_OPTIONS})
    return _sizes(sizes, min(brokers, MOST_REPLICAS))


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "topics",
        help="create the topics the worker needs",
        description="The worker's topics in Kafka: sources, commands, award log, models, what comes out, dead letters.",
    )
    actions = parser.add_subparsers(metavar="create|accept-gap", required=True)
    create = actions.add_parser(
        "create",
        help="create the topics the worker needs",
        description="Create every topic of the configuration with the settings that the delivery promise "
        "needs. A topic that exists is left as it is, and what differs is reported: partitions and settings. With a "
        "schema registry the contracts are registered.",
    )
    create.add_argument(
        "--replication",
        type=number_from_1,
        metavar="N",
        help=f"copies of each partition (default: one per broker, at most {MOST_REPLICAS}); from 3 on, 2 are in sync",
    )
    for option, kind, default, meaning in _SIZE_OPTIONS:
        metavar = "N" if kind is number_from_1 else "DURATION"
        help_text = f"{meaning} (default: {default})"
        create.add_argument(option, type=kind, default=default, metavar=metavar, help=help_text)
    create.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    create.set_defaults(run=run)
    accept_source_gap.add_parser(actions)


def run(args: argparse.Namespace) -> int:
    """Create what is missing. 1 where the log exists with another number of partitions, which cannot be fixed."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    admin = KafkaSession(config).admin()
    existing, brokers = _existing(admin)
    if args.replication is not None and args.replication > brokers:
        raise ConfigError(
            f"--replication: {args.replication}: expected at most one copy per broker, there are {brokers}"
        )
    sizes = _sizes(args, args.replication or min(brokers, MOST_REPLICAS))
    expected = expected_topics(config, sizes)
    missing = [topic for topic in expected if topic.name not in existing]
    _create(admin, missing, sizes.replication, dry_run=args.dry_run)
    _report_existing(admin, [topic for topic in expected if topic.name in existing], existing)
    _register(config, dry_run=args.dry_run)
    log_partitions = existing.get(config.log_topic, config.log_partitions)
    if log_partitions == config.log_partitions:
        return 0
    sys.stderr.write(
        f"LEADSCORE_LOG_PARTITIONS: {config.log_partitions}: topic {config.log_topic} has {log_partitions} partitions: "
        "the number decides where each lead lives and cannot be changed; set the variable, or name a new log topic\n"
    )
    return 1


def expected_topics(config: Config, sizes: Sizes) -> list[ExpectedTopic]:
    """Every topic of the configuration, in the order of the flow."""
    safe = {"min.insync.replicas": "2"} if sizes.replication >= 3 else {}
    kept = {"cleanup.policy": "delete", **safe}
    source = {**kept, "retention.ms": str(sizes.source_retention_ms)}
    log = {
        **kept,
        "retention.ms": str(sizes.log_retention_ms),
        "max.message.bytes": str(LOG_MAX_BYTES),
        # The log's time is the broker's: it never goes back because a worker's clock does.
        "message.timestamp.type": "LogAppendTime",
    }
    output = {**kept, "retention.ms": str(sizes.output_retention_ms)}
    # What every client can read; some have no LZ4, which the worker's producer uses. The broker repacks.
    crossings = {**output, "compression.type": "gzip"}
    largest_bytes = config.kafka.get("message.max.bytes", PRODUCER["message.max.bytes"])
    dead_letters = {
        **output,
        "max.message.bytes": str(largest_bytes),  # or a dead letter stops its partition
        # Retention counts from when it became a dead letter; its record may be older than that. A header has its time.
        "message.timestamp.type": "LogAppendTime",
    }
    scores = {
        "cleanup.policy": "compact",
        **safe,
        "compression.type": "gzip",
        # What an erased lead had is gone from the disks within a day or little more; its tombstone stays for longer, so
        # that a subscriber that was away gets it.
        "max.compaction.lag.ms": str(DAY_MS),
        "delete.retention.ms": str(sizes.output_retention_ms),
    }
    return [
        *(ExpectedTopic(topic, sizes.source_partitions, source) for topic in config.input_topics),
        ExpectedTopic(config.log_topic, config.log_partitions, log),
        ExpectedTopic(config.models_topic, 1, {"cleanup.policy": "compact", **safe}),
        ExpectedTopic(config.crossing_topic, sizes.crossing_partitions, crossings),
        *(ExpectedTopic(topic, sizes.crossing_partitions, scores) for topic in config.topics_of_results[1:]),
        ExpectedTopic(config.dead_letter_topic, sizes.source_partitions, dead_letters),
    ]


def _sizes(args: argparse.Namespace, replication: int) -> Sizes:
    return Sizes(
        replication=replication,
        source_partitions=args.source_partitions,
        crossing_partitions=args.crossing_partitions,
        log_retention_ms=args.log_retention,
        source_retention_ms=args.source_retention,
        output_retention_ms=args.output_retention,
    )


def _existing(admin: AdminClient) -> tuple[dict[str, int], int]:
    """The partitions of every topic there is, and the number of brokers."""
    try:
        cluster = admin.list_topics(timeout=ANSWER_TIMEOUT_S)
    except KafkaException as error:
        raise unavailable(error, "asking for the topics", admin) from error
    return {name: len(topic.partitions) for name, topic in cluster.topics.items()}, len(cluster.brokers)


def _create(admin: AdminClient, topics: list[ExpectedTopic], replication: int, *, dry_run: bool) -> None:
    if not topics:
        return
    if not dry_run:
        new = [NewTopic(one.name, one.partitions, replication, config=dict(one.settings)) for one in topics]
        for name, answer in admin.create_topics(new, request_timeout=REQUEST_TIMEOUT_S).items():
            try:
                answer.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                    raise unavailable(error, f"creating topic {name}", admin) from error
        _wait_for(admin, topics)
    for topic in topics:
        settings = ", ".join(f"{name}={value}" for name, value in topic.settings.items())
        size = f"{counted(topic.partitions, 'partition')}, {counted(replication, 'replica')}"
        print(f"{topic.name}: {'would be created' if dry_run else 'created'}: {size}; {settings}")


def _wait_for(admin: AdminClient, topics: list[ExpectedTopic]) -> None:
    """The controller answers before the brokers know; the next command should find the topics, and their leaders."""
    deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
    while missing := [topic.name for topic in topics if _leaders(admin, topic.name) < topic.partitions]:
        if time.monotonic() > deadline_s:
            raise Unavailable("kafka", "timeout", f"created, but without leaders yet: {', '.join(missing)}")
        time.sleep(0.1)


def _leaders(admin: AdminClient, topic: str) -> int:
    """How many partitions of the topic have a leader."""
    try:
        partitions = admin.list_topics(topic, timeout=REQUEST_TIMEOUT_S).topics[topic].partitions
    except KafkaException as error:
        raise unavailable(error, f"asking for topic {topic}", admin) from error
    return sum(partition.leader >= 0 for partition in partitions.values())


def _report_existing(admin: AdminClient, topics: list[ExpectedTopic], partitions: Mapping[str, int]) -> None:
    for topic, settings in settings_of(admin, topics):
        print(f"{topic.name}: exists: {_of_existing(topic, partitions[topic.name], settings)}")


def _of_existing(topic: ExpectedTopic, partitions: int, settings: Mapping[str, str | None]) -> str:
    """The topic's partitions and settings, as far as they are other than expected."""
    size = counted(partitions, "partition") + (
        f", expected {topic.partitions}" if partitions != topic.partitions else ""
    )
    differing = [
        f"; {name} is {settings.get(name)}, expected {value}"
        for name, value in topic.settings.items()
        if settings.get(name) != value
    ]
    return f"{size}{''.join(differing)}"


def settings_of(
    admin: AdminClient, topics: list[ExpectedTopic]
) -> Iterator[tuple[ExpectedTopic, dict[str, str | None]]]:
    """The settings of topics that exist, as they are in force; ``Unavailable`` where the user may not ask."""
    if not topics:
        return
    resources = {topic.name: ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics}
    answers = admin.describe_configs(list(resources.values()), request_timeout=REQUEST_TIMEOUT_S)
    for topic in topics:
        try:
            entries = answers[resources[topic.name]].result()
        except KafkaException as error:
            raise unavailable(error, f"asking for the settings of topic {topic.name}") from error
        yield topic, {name: entry.value for name, entry in entries.items()}


def _register(config: Config, *, dry_run: bool) -> None:
    registry = make_registry(config)
    if registry is None:
        return
    register = config.schema_registry_register
    if not dry_run:
        for line in with_ids(config, registry, register=register):
            print(line)
        return
    for topic, schema in schema_by_topic(config):
        print(f"{topic}-value: the schema {schema} would be {'registered' if register else 'looked up'}")
