"""``leadscore dlq``: the dead letters: what there is, one of them whole, and back to their topics."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from leadscore.cli.dead_letter_text import Summary, letter_line, letter_object, letter_whole
from leadscore.cli.dead_letter_topic import DeadLetterTopic, Positions, Selection, StoredLetter
from leadscore.cli.kafka_session import KafkaSession
from leadscore.cli.options import instant, number_from_1
from leadscore.cli.redriving import Redriving, RefusedLetter, batches
from leadscore.errors import ConfigError, DeadLetterReason
from leadscore.model.phrases import noun_for
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS

_PERSONAL = "What follows is a record as it was sent: it may hold personal data."


class Place(NamedTuple):
    """Where a dead letter lies in the dead-letter topic."""

    partition: int
    offset: int


@dataclass(slots=True)
class Tally:
    """What became of the dead letters that were asked for."""

    sent: Counter[str] = field(default_factory=Counter)
    redriven_before: int = 0
    copies: int = 0
    of_other_topics: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedLetter] = field(default_factory=list)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its actions."""
    parser = subparsers.add_parser(
        "dlq",
        help="list the dead letters, show one, send them back to their topics",
        description="The dead letters of LEADSCORE_DEAD_LETTER_TOPIC. Configured by the worker's LEADSCORE_... "
        "variables.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="how many dead letters there are, by reason and topic",
        description="Count the dead letters by reason and topic, with the times of the first and the last record. The "
        "whole dead-letter topic is read, twice.",
    )
    _add_selection(listing)
    lines = listing.add_mutually_exclusive_group()
    lines.add_argument("--verbose", action="store_true", help="a line for each dead letter before the summary")
    lines.add_argument("--json", action="store_true", help="a JSON object for each dead letter, without the summary")
    listing.set_defaults(run=run, action=_list)
    _add_show(actions)
    _add_redrive(actions)


def _add_show(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    show = actions.add_parser(
        "show",
        help="one dead letter whole",
        description="Print a dead letter: why it is one, where it came from, its headers, key and value. A value that "
        "is no text is printed in hexadecimal. It is the record as it was sent, and may hold personal data.",
    )
    show.add_argument("place", type=place, metavar="PARTITION/OFFSET", help="its place, as list --verbose has it")
    show.add_argument("--raw", action="store_true", help="write the bytes of the value and nothing else")
    show.set_defaults(run=run, action=_show)


def _add_redrive(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    redrive = actions.add_parser(
        "redrive",
        help="send dead letters back to their topics, each at most once",
        description="Send dead letters back to the topics that they came from, after the cause is fixed: key, value, "
        "headers and timestamp as they were, and leadscore.redriven.* headers with the original position. What was "
        "redriven is never sent again. The exit code is 1 if any of them cannot be sent.",
    )
    _add_selection(redrive)
    redrive.add_argument("--limit", type=number_from_1, metavar="N", help="send at most this many (default: all)")
    redrive.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    redrive.set_defaults(run=run, action=_redrive)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    reasons = [reason.value for reason in DeadLetterReason]
    parser.add_argument(
        "--reason", action="append", default=[], choices=reasons, metavar="REASON", help=", ".join(reasons)
    )
    parser.add_argument("--topic", action="append", default=[], metavar="NAME", help="the topic they came from")
    for option, meaning in (("--since", "at or after TIME"), ("--until", "before TIME")):
        parser.add_argument(
            option, type=instant, metavar="TIME", help=f"whose record came into its topic {meaning} (ISO 8601)"
        )


def place(text: str) -> Place:
    """``0/17`` is offset 17 of partition 0."""
    partition, slash, offset = text.partition("/")
    if not slash or not (partition.isdecimal() and offset.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected partition and offset, such as 0/17")
    return Place(int(partition), int(offset))


def run(args: argparse.Namespace) -> int:
    """List, show or redrive; ``InputError`` for wrong options, ``Unavailable`` without Kafka."""
    return int(args.action(args))


def _list(args: argparse.Namespace) -> int:
    """Print how many there are, or each of them."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    session = KafkaSession(config)
    summary = Summary()
    with closing(session.consumer(f"{config.group}-tool")) as consumer:
        topic = DeadLetterTopic(session, consumer, config.dead_letter_topic)
        redriven = topic.redriven()
        for letter in topic.letters(_selection(args)):
            is_redriven = letter.position in redriven
            summary.count(letter, is_redriven=is_redriven)
            if args.json:
                print(json.dumps(letter_object(letter, is_redriven=is_redriven)))
            elif args.verbose:
                print(letter_line(letter, is_redriven=is_redriven))
    if not args.json:
        print("\n".join(summary.lines()))
    return 0


def _show(args: argparse.Namespace) -> int:
    """Print one dead letter; ``ConfigError`` if that place has no dead letter."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    session = KafkaSession(config)
    with closing(session.consumer(f"{config.group}-tool")) as consumer:
        letter = DeadLetterTopic(session, consumer, config.dead_letter_topic).letter(*args.place)
    if args.raw:
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.buffer.flush()
        return 0
    print(_PERSONAL, file=sys.stderr)
    print("\n".join(letter_whole(letter)))
    return 0


def _redrive(args: argparse.Namespace) -> int:
    """Send them back and print the counts, also those up to an error; 1 if some cannot be sent."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    selection = _selection(args)
    _check_topics(selection, config)
    session = KafkaSession(config)
    tally = Tally()
    with closing(session.consumer(f"{config.group}-tool")) as consumer:
        redriving = None if args.dry_run else _redriving(session, config)
        topic = DeadLetterTopic(session, consumer, config.dead_letter_topic)  # after which nothing older is sent
        due = _due(topic, selection, frozenset(config.input_topics), tally)
        try:
            for batch in batches(islice(due, args.limit)):
                refused = [] if redriving is None else redriving.send(batch)
                _count_sent(tally, batch, refused)
        finally:
            print("\n".join(_counts(tally, is_dry_run=args.dry_run)))
    return 1 if tally.refused or tally.of_other_topics else 0


def _redriving(session: KafkaSession, config: Config) -> Redriving:
    name = config.dead_letter_topic
    return Redriving(session.transactional_producer(f"{name}-redrive"), name)


def _selection(args: argparse.Namespace) -> Selection:
    return Selection(frozenset(args.reason), frozenset(args.topic), args.since, args.until)


def _check_topics(selection: Selection, config: Config) -> None:
    for topic in sorted(selection.topics - set(config.input_topics)):
        raise ConfigError(
            f"--topic: {topic!r}: nothing is sent to a topic that the worker does not read: expected one of "
            f"{', '.join(config.input_topics)}"
        )


def _due(topic: DeadLetterTopic, selection: Selection, inputs: frozenset[str], tally: Tally) -> Iterator[StoredLetter]:
    """The dead letters to send: one for each record, none that was sent before or has no topic to go to."""
    redriven, chosen = topic.redriven(), Positions()
    for letter in topic.letters(selection):
        if letter.position in redriven:
            tally.redriven_before += 1
        elif letter.position in chosen:  # a worker that crashed writes a dead letter again
            tally.copies += 1
        elif letter.position.topic not in inputs:
            tally.of_other_topics[letter.position.topic] += 1
        else:
            chosen.add(letter.position)
            yield letter


def _count_sent(tally: Tally, batch: list[StoredLetter], refused: list[RefusedLetter]) -> None:
    tally.sent.update(letter.position.topic for letter in batch)
    tally.sent.subtract(refusal.letter.position.topic for refusal in refused)
    tally.refused += refused


def _counts(tally: Tally, *, is_dry_run: bool) -> Iterator[str]:
    total = tally.sent.total()
    what = noun_for(total, "dead letter")
    to = ", ".join(f"{number} to {topic}" for topic, number in sorted(tally.sent.items()) if number)
    yield f"{total} {what} {'would be sent' if is_dry_run else 'sent'} back{f': {to}' if to else ''}"
    if tally.redriven_before:
        yield f"{tally.redriven_before} not sent: redriven before"
    if tally.copies:
        yield f"{tally.copies} not sent: copies of others, as a worker that crashed leaves them"
    for topic, number in sorted(tally.of_other_topics.items()):
        yield f"{number} not sent: the worker does not read their topic {topic} (LEADSCORE_SOURCE_TOPICS)"
    for letter, why in tally.refused:
        yield f"{letter.partition}/{letter.offset} not sent: topic {letter.position.topic} refuses it: {why}"
