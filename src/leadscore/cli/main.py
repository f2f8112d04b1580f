"""The ``leadscore`` command. One module per command; this one finds it and says in one line what went wrong."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from leadscore.build_kind import full_version
from leadscore.cli.ending import Ending
from leadscore.errors import InputError, LeadscoreError, Unavailable
from leadscore.ops.addresses import shown_urls

COMMANDS = (
    "demo",
    "init",
    "doctor",
    "run",
    "health",
    "check",
    "map",
    "simulate",
    "top",
    "explain",
    "list",
    "produce",
    "topics",
    "log",
    "dlq",
    "erase",
    "command",
    "schemas",
)
"""Modules of this package, in the order of the help; each adds its parser, which names its ``run``."""

_ADDRESSES = {
    "kafka": "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS",
    "redis": "LEADSCORE_REDIS_URL",
    "schema_registry": "LEADSCORE_SCHEMA_REGISTRY_URL",
}


_CANNOT_BE_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What the system says of standard output when it is a file on a full or a broken disk."""


class Parser(argparse.ArgumentParser):
    """Words that a command does not know are refused with the usage of that command, not with that of the program."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """All of them are known, or the program ends with 2."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


def program() -> None:
    """The ``leadscore`` program: a process that runs one command and ends."""
    arguments = sys.argv[1:]
    ending: Ending | None = None
    if arguments[:1] == ["run"]:
        ending = Ending()
        ending.listen()  # before the imports of a command, which take their time
    exit_code = main(arguments, ending)
    try:
        sys.stdout.flush()
    except OSError:  # of a worker: its log has said so, and how it ended counts
        _drop_what_is_left()
    sys.exit(exit_code)


def main(arguments: Sequence[str] | None = None, ending: Ending | None = None) -> int:
    """Run a command: 0 done, 1 failed, 2 the input was wrong; ``run`` has more. ``ending`` is for ``run``."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        args = program_parser(words).parse_args(
            words, argparse.Namespace(**({} if ending is None else {"ending": ending}))
        )
        exit_code = int(args.run(args))
        if ending is None:
            sys.stdout.flush()
        return exit_code
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except LeadscoreError as error:
        print(f"leadscore: {error}{_address(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _drop_what_is_left()
        return 1
    except OSError as error:
        if error.errno not in _CANNOT_BE_WRITTEN:
            raise
        _drop_what_is_left()
        print(f"leadscore: standard output: {error.strerror}: expected room for what is printed", file=sys.stderr)
        return 1


def _drop_what_is_left() -> None:
    """The interpreter writes at its end what is still in the buffer: let that fail no second time."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _address(error: LeadscoreError) -> str:
    """Where the service that does not answer was looked for: most often that is what is wrong."""
    variable = _ADDRESSES.get(error.service) if isinstance(error, Unavailable) else None
    address = os.environ.get(variable) if variable is not None else None
    return f" ({variable} is {shown_urls(address)!r})" if address else ""


def program_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """What reads the arguments: with the one command that they name, or with all commands."""
    parser = Parser(prog="leadscore", description="Event-driven lead scoring on Kafka and Redis.")
    parser.add_argument("--version", action="version", version=f"leadscore {full_version()}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in [name for name in COMMANDS if name in arguments[:1]] or COMMANDS:
        import_module(f"leadscore.cli.{name}").add_parser(subparsers)
    return parser


if __name__ == "__main__":
    program()
