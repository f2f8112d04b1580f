"""``leadscore check``: whether a model file or a mappings file is right, and what it says or does."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from leadscore.errors import ConfigError, DeadLetter
from leadscore.events.decoder import Decoder
from leadscore.events.event_bytes import json_bytes
from leadscore.events.mapping import TopicMapping, load_mappings
from leadscore.model.describe import describe
from leadscore.model.json_schema import model_schema
from leadscore.model.load import load_model


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "check",
        help="check a model file and print it in words; check a mappings file",
        description="Check a model file and print what it says in words. If it is wrong: every problem with its line. "
        "A mappings file can be tried on JSON lines without a Kafka: each becomes an event, or what is wrong with it.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, metavar="FILE", help="the model file to check")
    what.add_argument("--mappings", type=Path, metavar="FILE", help="the mappings file to check instead of a model")
    what.add_argument("--schema", action="store_true", help="print the JSON Schema of model files, for editors")
    parser.add_argument("--events", type=Path, metavar="FILE", help="with --mappings: try it on these JSON lines")
    parser.add_argument(
        "--topic", metavar="NAME", help="with --events: the topic they are of, where several are mapped"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema, what the mappings do, or the model in words; ``InputError`` if the file is wrong.

    1 where a record that the mappings were tried on is a dead letter.
    """
    if args.mappings is None and (args.events or args.topic):
        raise ConfigError("--events, --topic: expected them with --mappings")
    if args.schema:
        print(json.dumps(model_schema(), indent=2))
    elif args.mappings is not None:
        return _check_mappings(load_mappings(args.mappings), args.events, args.topic)
    else:
        print(describe(load_model(args.model).definition), end="")
    return 0


def _check_mappings(mappings: Mapping[str, TopicMapping], events: Path | None, topic: str | None) -> int:
    if events is None:
        print(f"{len(mappings)} {'topic' if len(mappings) == 1 else 'topics'}: {', '.join(sorted(mappings))}")
        return 0
    chosen = next(iter(mappings)) if topic is None and len(mappings) == 1 else topic
    if chosen is None or chosen not in mappings:
        problem = "missing" if topic is None else repr(topic)
        raise ConfigError(f"--topic: {problem}: expected one of the file's: {', '.join(sorted(mappings))}")
    return _try(Decoder(mappings), chosen, events)


def _try(decoder: Decoder, topic: str, events: Path) -> int:
    """Print what becomes of each line: an event as leadscore's own JSON, or the reason of the dead letter."""
    try:
        lines = events.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"--events: {events}: {error.strerror}: expected a file of JSON lines") from error
    dead_letters = 0
    for number, line in enumerate(lines, start=1):
        try:
            print(json_bytes(decoder.decode(topic, line)).decode())
        except DeadLetter as dead_letter:
            dead_letters += 1
            print(f"{events}:{number}: {dead_letter}", file=sys.stderr)
    return 1 if dead_letters else 0
