"""``leadscore doctor``: looks at everything a worker needs, before its first start, and says what to do about it."""

import argparse
import json
import os
from contextlib import closing
from functools import partial

import msgspec

from leadscore.cli.checkup.files import files
from leadscore.cli.checkup.findings import (
    ASK_AGAIN,
    Findings,
    is_in_order,
    lines_of,
    not_checked,
    ok,
    once_answered,
    refused,
    summary_of,
)
from leadscore.cli.checkup.kafka import (
    CLOCK,
    CLOCK_ADVICE,
    DEPLOYMENTS,
    DEPLOYMENTS_ADVICE,
    MODELS,
    MODELS_ADVICE,
    Cluster,
    clock,
    cluster,
    models,
    other_deployments,
    reach,
    unreached,
)
from leadscore.cli.checkup.kafka_rights import RIGHTS as KAFKA_RIGHTS
from leadscore.cli.checkup.kafka_rights import kafka_rights, transaction_rights
from leadscore.cli.checkup.redis import redis
from leadscore.cli.checkup.schema_registry import schema_registry
from leadscore.cli.checkup.topics import TOPICS, topics
from leadscore.cli.kafka_session import KafkaSession
from leadscore.cli.options import number_up_to
from leadscore.errors import ConfigError, Unavailable
from leadscore.model.definition import ModelDefinition
from leadscore.ops.choices import Role
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.ops.services import KAFKA, REDIS
from leadscore.pipeline.stores import make_store

CONFIGURATION = "configuration"
CONFIGURATION_ADVICE = "Correct the variable; docs/configuration.md lists all of them."
DEFAULT_TIMEOUT_S = 5
LONGEST_TIMEOUT_S = 300


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "doctor",
        help="check Kafka, Redis, topics, rights, clock and files before the first start",
        description="Check what a worker with this environment needs: the configuration, the model and the mappings, "
        "Kafka and its topics, the rights in Kafka and Redis, the clocks, the schema registry. Each finding that needs "
        "one comes with what to do about it. Nothing is written to your topics or to Redis. The exit code is 1 where "
        "there is a problem.",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    parser.add_argument(
        "--timeout",
        type=number_up_to(LONGEST_TIMEOUT_S),
        default=DEFAULT_TIMEOUT_S,
        metavar="SECONDS",
        help=f"how long Kafka may take to answer (default: {DEFAULT_TIMEOUT_S})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 where one of them is a problem."""
    findings = []
    for finding in check_up(args.timeout):
        findings.append(finding)
        if not args.json:
            print("\n".join(lines_of([finding])), flush=True)
    if args.json:
        print(json.dumps({"ok": is_in_order(findings), "findings": msgspec.to_builtins(findings)}))
    else:
        print(summary_of(findings))
    return 0 if is_in_order(findings) else 1


def check_up(timeout_s: float) -> Findings:
    """Every finding, in the order in which a worker would come upon it."""
    try:
        config = load_config(os.environ, required=[BOOTSTRAP_SERVERS], for_worker=True)
    except ConfigError as error:
        yield from refused(CONFIGURATION, error, CONFIGURATION_ADVICE)
        return
    yield ok(CONFIGURATION, "every variable is right")
    definition = yield from files(config)
    session = KafkaSession(config)
    reached = None
    try:
        reached = reach(session, config.topics_of_role, timeout_s)
    except ConfigError as error:
        yield from refused(CONFIGURATION, error, CONFIGURATION_ADVICE)
    except Unavailable as outage:
        yield unreached(config, outage)
    yield from _of_kafka(config, session, reached, definition, timeout_s)
    yield from _of_redis(config, reached)
    yield from schema_registry(config)


def _of_kafka(
    config: Config,
    session: KafkaSession,
    reached: Cluster | None,
    definition: ModelDefinition | None,
    timeout_s: float,
) -> Findings:
    if reached is None:
        for check in (TOPICS, KAFKA_RIGHTS, CLOCK, MODELS):
            yield not_checked(check, "Kafka did not answer", "Correct the problem of Kafka first.")
        return
    asking = partial(once_answered, timeout_s=timeout_s)
    yield from asking(KAFKA, lambda: cluster(config, reached), ASK_AGAIN)
    yield from topics(config, reached)
    yield from kafka_rights(config, reached)
    yield from transaction_rights(config, session)
    log = reached.metadata.topics.get(config.log_topic)
    if log is not None and len(log.partitions) == config.log_partitions:
        yield from asking(CLOCK, lambda: clock(config, reached), CLOCK_ADVICE)
        yield from asking(DEPLOYMENTS, lambda: other_deployments(config, reached), DEPLOYMENTS_ADVICE)
    if config.models_topic in reached.metadata.topics:
        yield from asking(MODELS, lambda: models(config, session, definition), MODELS_ADVICE)


def _of_redis(config: Config, reached: Cluster | None) -> Findings:
    if config.role is Role.MATCH:
        yield ok(REDIS, "a worker that only matches needs none")
        return
    cluster_id = "" if reached is None else reached.cluster_id
    with closing(make_store(config)) as store:
        yield from redis(config, store, cluster_id)
