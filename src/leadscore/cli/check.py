"""``leadscore check``: whether a model file is right, and what it says in words."""

import argparse
import json
from pathlib import Path

from leadscore.model.describe import describe
from leadscore.model.json_schema import model_schema
from leadscore.model.load import load_model


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "check",
        help="check a model file and print it in words",
        description="Check a model file and print what it says in words. If it is wrong: every problem with its line.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, metavar="FILE", help="the model file to check")
    what.add_argument("--schema", action="store_true", help="print the JSON Schema of model files, for editors")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema, or the model in words; ``ModelError`` if the file is wrong."""
    if args.schema:
        print(json.dumps(model_schema(), indent=2))
    else:
        print(describe(load_model(args.model).definition), end="")
    return 0
