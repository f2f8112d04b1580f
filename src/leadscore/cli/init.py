"""``leadscore init``: a folder with the files to start from: a model, a mapping file, an environment file."""

import argparse
import shlex
from pathlib import Path

from leadscore.errors import ConfigError
from leadscore.starter_files import ENVIRONMENT, MAPPINGS, MODEL, NAMES, text_outside_repository

_MEANINGS = {
    MODEL: "the scoring model: change it with sales",
    MAPPINGS: "how topics in a foreign format are read; not in use until the environment file says so",
    ENVIRONMENT: "the worker's settings: where Kafka and Redis are",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "init",
        help="write a model, a mapping file and an environment file to start from",
        description="Write model.yaml, mappings.yaml and leadscore.env into a folder, which is made if it does not "
        "exist. A file that is there already is never overwritten: then nothing is written.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files; ``ConfigError`` where one of them exists or the folder cannot be written."""
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        _refuse_to_overwrite(args.folder)
        for name in NAMES:
            with (args.folder / name).open("x", encoding="utf-8") as new:
                new.write(text_outside_repository(name))
    except OSError as error:
        raise ConfigError(f"DIR: {args.folder}: {error.strerror}: expected a folder that can be written") from error
    print("\n".join(_written(args.folder)))
    return 0


def _refuse_to_overwrite(folder: Path) -> None:
    existing = [name for name in NAMES if (folder / name).exists()]
    if existing:
        raise ConfigError(
            f"DIR: {folder}: {', '.join(existing)}: already there, and nothing was written: expected a folder without "
            f"{', '.join(NAMES)}"
        )


def _written(folder: Path) -> list[str]:
    width = max(len(str(folder / name)) for name in NAMES)
    return [
        *(f"{folder / name!s:<{width}}  {_MEANINGS[name]}" for name in NAMES),
        "",
        "Next:",
        f"  leadscore check --model {shlex.quote(str(folder / MODEL))}",
        f"  cd {shlex.quote(str(folder))} && set -a && . ./{ENVIRONMENT} && set +a",
        "  leadscore topics create",
        "  leadscore doctor",
        "  leadscore run",
    ]
