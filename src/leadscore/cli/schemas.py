"""``leadscore schemas``: the contracts of the ``schemas/`` folder, for those who have the program alone.

``register`` is for those whose CI may write to the schema registry, and whose workers may only read there.
"""

import argparse
import json
import os
from importlib import resources

from leadscore.cli.columns import aligned
from leadscore.cli.registering import what_is_missing, with_ids
from leadscore.events.local_schemas import schema_texts, single_object_header
from leadscore.ops.config import load_config
from leadscore.pipeline.schema_registry import make_registry

REGISTRY_VARIABLE = "LEADSCORE_SCHEMA_REGISTRY_URL"

_FILES = {
    "model": "JSON Schema of model files, for editors.",
    "mappings": "JSON Schema of mappings files, for editors.",
    "asyncapi": "AsyncAPI document of all topics, which refers to the Avro schemas beside it.",
}
"""What there is besides Avro schemas, and what each is."""
_FILE_NAMES = {"asyncapi": "asyncapi.yaml"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and what it can do."""
    command = subparsers.add_parser(
        "schemas",
        help="list the contracts, print one, or register them: Avro schemas, an AsyncAPI document, JSON Schemas",
        description="The contracts that come with this version: an Avro schema for each topic, their earlier versions, "
        "an AsyncAPI document of all topics, and the JSON Schemas of model files and mappings files.",
    )
    actions = command.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="list the contracts",
        description="List the contracts: the name, the ten bytes that stand before a value in Avro single-object "
        "encoding, and what it is.",
    )
    listing.set_defaults(run=run, name=None)
    printing = actions.add_parser("print", help="print one", description="Print a contract as it is in its file.")
    printing.add_argument("name", choices=sorted(contract_texts()), metavar="NAME", help="its name, as list has it")
    printing.set_defaults(run=run)
    registering = actions.add_parser(
        "register",
        help="put those of the configured topics into the schema registry",
        description="Register the contract of every configured topic under TOPIC-value, and print its id. What is "
        "there already stays as it is. Kafka is not asked. Workers with LEADSCORE_SCHEMA_REGISTRY_REGISTER=false find "
        "them then.",
    )
    registering.add_argument("--dry-run", action="store_true", help="say what is there and what is not, and only read")
    registering.set_defaults(run=register)


def run(args: argparse.Namespace) -> int:
    """Print one contract, or the list."""
    if args.name is None:
        print("\n".join(aligned([("name", "first bytes", "contract"), *_rows()], [])))
    else:
        print(contract_texts()[args.name], end="")
    return 0


def register(args: argparse.Namespace) -> int:
    """Register what is missing; ``ConfigError`` without a registry, or where it refuses a schema."""
    config = load_config(os.environ, required=[REGISTRY_VARIABLE])
    registry = make_registry(config)
    if registry is not None:
        lines = what_is_missing(config, registry) if args.dry_run else with_ids(config, registry, register=True)
        for line in lines:
            print(line)
    return 0


def contract_texts() -> dict[str, str]:
    """The text of every contract by its name."""
    folder = resources.files("leadscore") / "schemas"
    return schema_texts() | {
        name: (folder / _FILE_NAMES.get(name, f"{name}.schema.json")).read_text("utf-8") for name in _FILES
    }


def _rows() -> list[tuple[str, ...]]:
    schemas = [
        (
            name,
            single_object_header(name).hex(),
            f"{'Earlier version: ' if '.' in name else ''}{json.loads(text)['doc']}",
        )
        for name, text in schema_texts().items()
    ]
    return [*schemas, *((name, "", meaning) for name, meaning in _FILES.items())]
