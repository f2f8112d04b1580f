"""``leadscore topics accept-gap``: an operator lets an input partition go on that lacks records (design 2.3).

The worker stops a partition that no longer has the records behind its committed offset. What those earned is in the log
and stays. Where the partition has lost its end, other records may stand at their offsets by now: those of a later
leader. Accepting the gap sets the committed offset to the first of them.
"""

import argparse
import os
from bisect import bisect_right
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from leadscore.cli.group_offsets import REQUEST_TIMEOUT_S, set_committed
from leadscore.cli.kafka_session import KafkaSession, records_between
from leadscore.cli.options import number_from_0
from leadscore.errors import ConfigError
from leadscore.log.records import NO_EPOCH
from leadscore.ops.config import load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.kafka.questions import Committed, committed_places, log_bounds, partition_count, unavailable
from leadscore.pipeline.kafka.records import Partition


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is committed of a partition, what it holds, and under which leader it is written now.

    ``first_later`` is the offset of the first record of a later leader than that of the records which were read, or
    the end where no record is of one.
    """

    partition: Partition
    committed: Committed
    low: int
    high: int
    end_epoch: int
    first_later: int


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "accept-gap",
        help="let a stopped input partition go on at the first record that was not read",
        description="Let an input partition that stopped because records are gone go on at the first record that was "
        "not read. All workers must be stopped. Without --yes it only says how things are and what it would do.",
    )
    parser.add_argument("--topic", required=True, metavar="TOPIC", help="the topic")
    parser.add_argument("--partition", type=number_from_0, required=True, metavar="N", help="its partition")
    parser.add_argument("--yes", action="store_true", help="do it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Say how things are; 0 if the gap was accepted, 1 if not. ``ConfigError`` where there is no gap."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    if args.topic not in config.input_topics:
        raise ConfigError(f"--topic: {args.topic}: expected one that is read: {', '.join(config.input_topics)}")
    session = KafkaSession(config)
    with closing(session.consumer(config.match_group)) as consumer:
        partitions = partition_count(consumer, args.topic)
        if args.partition >= partitions:
            raise ConfigError(f"--partition: {args.partition}: expected one of the topic's, 0 to {partitions - 1}")
        facts = _facts(session.admin(), consumer, (args.topic, args.partition))
    print("\n".join(_in_words(facts)))
    goes_on = place_of(facts)
    print(f"Accepting the gap: the partition goes on at offset {goes_on}.")
    if not args.yes:
        print("Nothing was changed. To do it, stop all workers and repeat with --yes.")
        return 1
    set_committed(session.admin(), config.match_group, TopicPartition(*facts.partition, goes_on))
    print("Done. Start the workers.")
    return 0


def place_of(facts: SourceFacts) -> int:
    """Where the partition goes on; ``ConfigError`` where there is no gap, or what comes cannot be told from before."""
    topic, number = facts.partition
    offset, epoch = facts.committed.offset, facts.committed.leader_epoch
    if offset is None:
        raise ConfigError(f"--partition: {number}: there is no gap to accept: nothing of {topic} is committed")
    if offset < facts.low:
        return facts.low
    if offset <= facts.first_later:
        raise ConfigError(
            f"--partition: {number}: there is no gap to accept: {topic} holds the records up to the committed offset"
        )
    if facts.end_epoch <= epoch or epoch == NO_EPOCH:
        raise ConfigError(
            f"--partition: {number}: {topic} has lost its end, and its leader epoch does not tell the records of now "
            f"from those before (it is {facts.end_epoch}, and was {epoch}): they would be taken for replays. Delete "
            "the topic and create it again: a topic of another id begins anew"
        )
    return facts.first_later


def _facts(admin: AdminClient, consumer: Consumer, partition: Partition) -> SourceFacts:
    committed = committed_places(consumer, [TopicPartition(*partition)])[partition]
    low, high = log_bounds(admin, [partition])[partition]
    first_later = _first_of_later_leader(consumer, partition, range(low, high), committed.leader_epoch)
    return SourceFacts(partition, committed, low, high, _end_epoch(admin, partition), first_later)


def _end_epoch(admin: AdminClient, partition: Partition) -> int:
    asked = {TopicPartition(*partition): OffsetSpec.latest()}
    answers = admin.list_offsets(
        asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=REQUEST_TIMEOUT_S
    )
    try:
        [answer] = [answer.result() for answer in answers.values()]
    except KafkaException as error:
        raise unavailable(error, "asking for the leader epoch") from error
    return NO_EPOCH if answer.leader_epoch is None else int(answer.leader_epoch)


def _first_of_later_leader(consumer: Consumer, partition: Partition, offsets: range, epoch: int) -> int:
    """Leader epochs only grow along a partition, so the first of a later one is found by halves."""
    if epoch == NO_EPOCH:
        return offsets.stop

    def epoch_at(offset: int) -> int:
        place = TopicPartition(*partition, offset)
        for message in records_between(consumer, place, offsets.stop):
            said = message.leader_epoch()
            return NO_EPOCH if said is None else said
        return epoch + 1  # nothing is left but marks of transactions

    return offsets.start + bisect_right(offsets, epoch, key=epoch_at)


def _in_words(facts: SourceFacts) -> list[str]:
    topic, number = facts.partition
    offset, epoch = facts.committed.offset, facts.committed.leader_epoch
    later = f"those of later leaders than the committed one begin at {facts.first_later}"
    return [
        f"{topic}, partition {number}",
        f"  committed: {'nothing' if offset is None else f'offset {offset}, leader epoch {epoch}'}",
        f"  the topic: holds offsets {facts.low} to {facts.high - 1}, leader epoch {facts.end_epoch}; {later}",
    ]
