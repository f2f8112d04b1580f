"""Runs one stand-in until Ctrl-C, for docs/walkthrough.md: ``python -m tests.stand_ins registry 8081``."""

import argparse
import signal
import sys
from threading import Event

from tests.http_stand_in import Crm, StandIn
from tests.registry_stand_in import Registry

STAND_INS: dict[str, type[StandIn]] = {"crm": Crm, "registry": Registry}


def main() -> int:
    """Listen on the loopback until the process is told to end."""
    parser = argparse.ArgumentParser(description="Run a stand-in for a CRM or a schema registry until Ctrl-C.")
    parser.add_argument("name", choices=sorted(STAND_INS))
    parser.add_argument("port", type=int, help="the port on 127.0.0.1; 0: any free one")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stand_in = STAND_INS[args.name]()
    try:
        with stand_in.listening(args.port):
            print(f"{args.name} at {stand_in.url}. Ctrl-C stops it.", flush=True)
            Event().wait()
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"port {args.port}: {error.strerror}: expected a free port", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
