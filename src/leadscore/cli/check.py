"""``leadscore check``: whether a model file or a mappings file is right, and what it says or does."""

import argparse
import json
import re
import sys
from pathlib import Path

from leadscore.cli.map import try_mappings
from leadscore.cli.mapped_records import Records, lead_id_key
from leadscore.errors import ConfigError
from leadscore.events.local_schemas import event_types_of_ours, number_fields_of
from leadscore.mapping.load import load_mappings
from leadscore.mapping.sense import may_give
from leadscore.mapping.topics import key_problem
from leadscore.model.definition import FieldPoints, ModelDefinition
from leadscore.model.describe import describe
from leadscore.model.json_schema import model_schema
from leadscore.model.load import load_model
from leadscore.model.phrases import counted
from leadscore.yaml_reading.shape import nearest

_TYPOGRAPHIC_QUOTE = re.compile("[:,\\[{-] *([\u201c\u201d\u201e\u2018\u2019\u201a])")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "check",
        help="check a model file and print it in words; check a mappings file",
        description="Check a model file and print what it says in words. If it is wrong: every problem with its line. "
        "A mappings file can be tried on JSON lines without a Kafka: each becomes an event, or what is wrong with it.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", type=Path, metavar="FILE", help="the model file to check")
    what.add_argument("--schema", action="store_true", help="print the JSON Schema of model files, for editors")
    parser.add_argument(
        "--mappings",
        type=Path,
        metavar="FILE",
        help="the mappings file to check; with --model, rules whose type no topic gives are named",
    )
    parser.add_argument("--events", type=Path, metavar="FILE", help="with --mappings: try it on these JSON lines")
    parser.add_argument(
        "--topic", metavar="NAME", help="with --events: the topic they are of, where several are mapped"
    )
    parser.set_defaults(run=run, refuse=parser.error)


def run(args: argparse.Namespace) -> int:
    """Print the schema, what the mappings do, or the model in words; ``InputError`` if the file is wrong.

    1 where a record that the mappings were tried on is a dead letter.
    """
    if args.mappings is None and (args.events or args.topic):
        raise ConfigError("--events, --topic: expected them with --mappings")
    if args.schema and args.mappings is None:
        print(json.dumps(model_schema(), indent=2))
        return 0
    if args.schema or (args.model is None and args.mappings is None):
        args.refuse("expected one of --model, --mappings (or both), --schema")
    if args.model is not None:
        loaded = load_model(args.model)
        definition = loaded.definition
        print(describe(definition), end="")
        _warn_of_typographic_quotes(args.model, loaded.text)
        _warn_of_missing_numbers(definition, args.mappings)
        if args.mappings is not None:
            _warn_of_unused_rules(definition, args.mappings)
    return _check_mappings(args.mappings, args.events, args.topic) if args.mappings is not None else 0


def _warn_of_typographic_quotes(model: Path, text: str) -> None:
    """Word processors put them in the place of straight ones; for YAML they are letters like any other."""
    for number, line in enumerate(text.splitlines(), start=1):
        quote = _TYPOGRAPHIC_QUOTE.search(line.partition(" #")[0])
        if quote is not None:
            print(f"warning: {model}:{number}: {quote[1]} is part of the text: expected \" or '", file=sys.stderr)


def _warn_of_unused_rules(definition: ModelDefinition, mappings: Path) -> None:
    """Name the rules whose type comes neither from a mapped topic nor with a schema of ours."""
    topics = load_mappings(mappings).values()
    ours = event_types_of_ours()
    types = [(name, event_type) for name, rule in definition.rules.items() for event_type in rule.event_types]
    for name, event_type in types:
        if event_type not in ours and not any(may_give(mapping, event_type) for mapping in topics):
            print(
                f"warning: rules.{name}.event: {event_type}: no topic of {mappings} gives this type, and no schema of "
                "leadscore has it; only JSON in leadscore's own form could",
                file=sys.stderr,
            )


def _warn_of_missing_numbers(definition: ModelDefinition, mappings: Path | None) -> None:
    """Name the rules whose points are out of a field that holds no number by the schema of their events."""
    topics = [] if mappings is None else list(load_mappings(mappings).values())
    out_of_fields = [
        (name, rule.points.field, event_type)
        for name, rule in definition.rules.items()
        if isinstance(rule.points, FieldPoints)
        for event_type in rule.event_types
    ]
    for name, field, event_type in out_of_fields:
        numbers = number_fields_of(event_type)
        if numbers is None or field in numbers or any(may_give(mapping, event_type) for mapping in topics):
            continue
        print(
            f"warning: rules.{name}.points.field: {field}: no number of this name in leadscore's schema of "
            f"{event_type}{nearest(field, numbers)}; only JSON or a mapped topic could give one",
            file=sys.stderr,
        )


def _check_mappings(mappings: Path, events: Path | None, topic: str | None) -> int:
    if events is not None:
        return try_mappings(str(mappings), Records(str(events), topic))
    topics = load_mappings(mappings)
    problem = key_problem(topics, lead_id_key())
    if problem is not None:
        print(f"note: {problem}", file=sys.stderr)
    print(f"{counted(len(topics), 'topic')}: {', '.join(sorted(topics))}")
    return 0
