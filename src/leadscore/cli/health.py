"""``leadscore health``: asks a running worker how it is, for the health check of a container that has no curl."""

import argparse
import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from leadscore.cli.options import duration
from leadscore.cli.worker_address import worker_address
from leadscore.ops.config import load_config

PATHS = {"live": "/livez", "ready": "/readyz", "started": "/startupz"}
DEFAULT_TIMEOUT = "3s"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "health",
        help="ask a running worker whether it is live, ready or started",
        description="Ask the worker in this container, or on this machine, at the port that its LEADSCORE_HTTP_PORT "
        "names, and print its answer. Exit code 0: it is; 1: it is not, or it does not answer.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=PATHS,
        default="live",
        help="live: its loop turns (default); ready: and all that it needs is in order; started: it has begun",
    )
    parser.add_argument(
        "--timeout",
        type=duration,
        default=DEFAULT_TIMEOUT,
        metavar="DURATION",
        help=f"longest wait for the answer (default: {DEFAULT_TIMEOUT})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask once."""
    host, port = worker_address(load_config(os.environ))
    connection = HTTPConnection(host, port, timeout=args.timeout / 1000)
    try:
        connection.request("GET", PATHS[args.what])
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace").strip())
    except (OSError, HTTPException) as error:
        print(f"leadscore: no answer from {host}:{port} (LEADSCORE_HTTP_PORT): {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    return 0 if answer.status == HTTPStatus.OK else 1
