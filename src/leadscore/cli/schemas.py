"""``leadscore schemas``: the contracts of the ``schemas/`` folder, for those who have the program alone."""

import argparse
import json
from importlib import resources

from leadscore.cli.columns import aligned
from leadscore.events.local_schemas import schema_texts, single_object_header

_FILES = {
    "model": "JSON Schema of model files, for editors.",
    "mappings": "JSON Schema of mappings files, for editors.",
}
"""The schemas of files that people write, and what each is."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and what it can do."""
    command = subparsers.add_parser(
        "schemas",
        help="list the contracts, or print one: the Avro schemas and the JSON Schemas of our files",
        description="The contracts that come with this version: an Avro schema for each topic, their earlier versions, "
        "and the JSON Schemas of model files and mappings files.",
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


def run(args: argparse.Namespace) -> int:
    """Print one contract, or the list."""
    if args.name is None:
        print("\n".join(aligned([("name", "first bytes", "contract"), *_rows()], [])))
    else:
        print(contract_texts()[args.name], end="")
    return 0


def contract_texts() -> dict[str, str]:
    """The text of every contract by its name."""
    folder = resources.files("leadscore") / "schemas"
    return schema_texts() | {name: (folder / f"{name}.schema.json").read_text("utf-8") for name in _FILES}


def _rows() -> list[tuple[str, ...]]:
    schemas = [
        (name, single_object_header(name).hex(), json.loads(text)["doc"]) for name, text in schema_texts().items()
    ]
    return [*schemas, *((name, "", meaning) for name, meaning in _FILES.items())]
