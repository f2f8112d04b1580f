"""``leadscore check``: whether a model file is right, and what it says in words; whether a mappings file is."""

import argparse
import json
from pathlib import Path

from leadscore.events.mapping import load_mappings
from leadscore.model.describe import describe
from leadscore.model.json_schema import model_schema
from leadscore.model.load import load_model


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "check",
        help="check a model file and print it in words; check a mappings file",
        description="Check a model file and print what it says in words. If it is wrong: every problem with its line.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, metavar="FILE", help="the model file to check")
    what.add_argument("--mappings", type=Path, metavar="FILE", help="the mappings file to check instead of a model")
    what.add_argument("--schema", action="store_true", help="print the JSON Schema of model files, for editors")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema, the mapped topics, or the model in words; ``InputError`` if the file is wrong."""
    if args.schema:
        print(json.dumps(model_schema(), indent=2))
    elif args.mappings is not None:
        topics = sorted(load_mappings(args.mappings))
        print(f"{len(topics)} topics: {', '.join(topics)}" if len(topics) != 1 else f"1 topic: {topics[0]}")
    else:
        print(describe(load_model(args.model).definition), end="")
    return 0
