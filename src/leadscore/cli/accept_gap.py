"""``leadscore log accept-gap``: an operator lets a shard go on although log records are lost (design 2.4).

The worker stops a partition whose log no longer holds what the stored states lack. Accepting the gap lets it go on at
the oldest record held. What the lost records awarded is lost; the source offsets in the fence stay, so that nothing
counts twice.
"""

import argparse
import os
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Consumer, TopicPartition

from leadscore.cli.group_offsets import set_committed
from leadscore.cli.kafka_session import KafkaSession, check_log_partitions, records_between
from leadscore.cli.options import number_from_0
from leadscore.errors import ConfigError, PartitionStopped
from leadscore.log.records import Forwards, Frame, decode
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.kafka.questions import (
    committed_places,
    leader_epochs_at,
    log_bounds,
    partition_count,
    topic_ids,
)
from leadscore.pipeline.score.reconcile import Facts, decide
from leadscore.pipeline.score.replaced import replaced_records
from leadscore.pipeline.stores import make_store
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.fence import encode as encode_fence
from leadscore.store.shard import ShardWrite, Store, StoredShard


@dataclass(frozen=True, slots=True)
class Decision:
    """What accepting the gap does. ``committed`` is the committed offset to set, ``None`` where it stays."""

    fence: Fence
    committed: int | None


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "accept-gap",
        help="let a stopped log partition go on at the oldest record held",
        description="Let a log partition that stopped because records are lost go on at the oldest record held. What "
        "the lost records awarded is lost with them. Without --yes it only says how things are and what it would do.",
    )
    parser.add_argument("--partition", type=number_from_0, required=True, metavar="N", help="the log partition")
    parser.add_argument("--yes", action="store_true", help="do it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Say how things are; 0 if the gap was accepted, 1 if not. ``ConfigError`` where there is no gap."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    session = KafkaSession(config)
    with ExitStack() as closes:
        consumer = closes.enter_context(closing(session.consumer(config.score_group)))
        store = closes.enter_context(closing(make_store(config)))
        _check_partition(args.partition, config, consumer)
        stored = store.read_shards([args.partition])[args.partition]
        facts = _facts(config, session, consumer, args.partition, stored.fence)
        print("\n".join(_facts_in_words(facts)))
        _refuse_without_gap(facts)
        decision = decision_of(facts, _first_version(consumer, config.log_topic, facts))
        print(_would_do(decision, facts, config))
        if not args.yes:
            print("Nothing was changed. To do it, repeat with --yes.")
            return 1
        if decision.committed is not None:
            # First the committed offset, then the fence: in between the partition is still stopped.
            place = TopicPartition(config.log_topic, args.partition, decision.committed)
            set_committed(session.admin(), config.score_group, place)
        # What another log caused would be published when this one has come to the same offset.
        is_of_this_log = facts.fence is None or facts.fence.log_topic_id == facts.log_topic_id
        _replace(store, args.partition, stored, decision.fence, drop=() if is_of_this_log else tuple(stored.outbox))
    print("Done. A worker that owns the partition goes on within half a minute.")
    return 0


def decision_of(facts: Facts, first_version: int) -> Decision:
    """Where the shard goes on, and with what; ``first_version`` is for shards that lost their fence."""
    fence = facts.fence or Fence(facts.log_topic_id, -1, first_version, 0, {})
    offset = facts.low - 1
    since_ms, sources = fence.model_since_ms, fence.sources
    # Without a fence nobody knows what the leads that are left are the fold of: the worker deletes them first.
    is_clearing = facts.fence is None or facts.fence.is_clearing
    version = fence.model_version or first_version
    goes_back = fence.log_topic_id == facts.log_topic_id and offset < fence.offset
    accepted = Fence(
        facts.log_topic_id,
        offset,
        version,
        since_ms,
        sources,
        is_clearing=is_clearing,
        log_incarnation=fence.log_incarnation + 1 if goes_back else fence.log_incarnation,
    )
    return Decision(accepted, facts.low if _is_of_another_log(facts) else None)


def _is_of_another_log(facts: Facts) -> bool:
    """Whether the committed offset says nothing about this log: kept, it would hold back crossings of new records."""
    if facts.committed is None:
        return False
    recreated = facts.fence is not None and facts.fence.log_topic_id != facts.log_topic_id
    return recreated or facts.committed > facts.high or facts.replaced is not None


def _check_partition(number: int, config: Config, consumer: Consumer) -> None:
    partitions = partition_count(consumer, config.log_topic)
    check_log_partitions(config, partitions)
    if number >= partitions:
        raise ConfigError(f"--partition: {number}: expected one of the log's, 0 to {partitions - 1}")


def _facts(config: Config, session: KafkaSession, consumer: Consumer, number: int, stored: bytes | None) -> Facts:
    admin = session.admin()
    topic_id = topic_ids(admin, [config.log_topic], has_topic_ids=True)[config.log_topic]
    low, high = log_bounds(admin, [(config.log_topic, number)])[config.log_topic, number]
    partition = (config.log_topic, number)
    committed = committed_places(consumer, [TopicPartition(*partition)])
    fence = None if stored is None else decode_fence(stored)
    epochs = partial(leader_epochs_at, lambda: session.consumer(config.score_group))
    replaced = replaced_records({partition: fence}, committed, {partition: (low, high)}, epochs)
    return Facts(number, fence, committed[partition].offset, low, high, topic_id, replaced.get(partition))


def _facts_in_words(facts: Facts) -> list[str]:
    fence = facts.fence
    applied = "no state" if fence is None else f"states up to offset {fence.offset} of topic id {fence.log_topic_id}"
    return [
        f"log partition {facts.partition}",
        f"  in Redis:  {applied}",
        f"  committed: {'nothing' if facts.committed is None else f'offset {facts.committed}'}",
        f"  the log:   holds offsets {facts.low} to {facts.high - 1}, topic id {facts.log_topic_id}",
    ]


def _refuse_without_gap(facts: Facts) -> None:
    try:
        decide(facts, rebuild=True)
    except PartitionStopped:
        return
    if facts.committed is not None and facts.committed > facts.high:
        return
    lost = "" if facts.fence is not None else "; LEADSCORE_ON_STATE_LOSS=rebuild restores the state from the log"
    raise ConfigError(f"--partition: {facts.partition}: there is no gap to accept: the log holds all it needs{lost}")


def _first_version(consumer: Consumer, topic: str, facts: Facts) -> int:
    """The model version of the oldest frame held: a shard without a fence begins with it, were a tick to come first."""
    if facts.fence is not None and facts.fence.model_version:
        return facts.fence.model_version
    for message in records_between(consumer, TopicPartition(topic, facts.partition, facts.low), facts.high):
        record = decode(message.value() or b"")
        if isinstance(record, Frame | Forwards):
            return record.model_version
    return 0


def _would_do(decision: Decision, facts: Facts, config: Config) -> str:
    goes_on = f"Accepting the gap: the partition goes on at offset {facts.low}"
    if decision.committed is not None:
        return (
            f"{goes_on}. The committed offset of group {config.score_group}, which is of another log, becomes "
            f"{decision.committed}: for that all workers must be stopped."
        )
    lost = facts.low - (0 if facts.fence is None else facts.fence.offset + 1)
    return f"{goes_on}; {lost} records are lost." if lost > 0 else f"{goes_on}."


def _replace(store: Store, number: int, stored: StoredShard, fence: Fence, *, drop: tuple[int, ...]) -> None:
    expected = encode_fence(fence)
    write = ShardWrite(shard=number, expected=stored.fence, fence=expected, outbox_drop=drop)
    if store.write([write])[number] != expected:
        raise PartitionStopped(f"log partition {number}: the fence changed meanwhile, and was left alone: look again")
