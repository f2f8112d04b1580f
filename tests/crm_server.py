"""Runs the stand-in for a CRM until Ctrl-C, for docs/walkthrough.md: ``python -m tests.crm_server 8090``."""

import argparse
import signal
import sys
from threading import Event

from tests.http_stand_in import Crm


def main() -> int:
    """Listen on the loopback until the process is told to end."""
    parser = argparse.ArgumentParser(description="Run a stand-in for a CRM until Ctrl-C.")
    parser.add_argument("port", type=int, help="the port on 127.0.0.1; 0: any free one")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    crm = Crm()
    try:
        with crm.listening(args.port):
            print(f"A CRM at {crm.url}. Ctrl-C stops it.", flush=True)
            Event().wait()
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"port {args.port}: {error.strerror}: expected a free port", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
