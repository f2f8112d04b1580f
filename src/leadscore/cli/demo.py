"""``leadscore demo``: the whole product in one terminal, with nothing but Python packages."""

import argparse
import secrets
from pathlib import Path

from leadscore.cli.options import number_from_0, number_up_to
from leadscore.demo.embedded import MOST_LEADS, require_packages

DEFAULT_DURATION_S = 25
DEFAULT_LEADS = 300


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "demo",
        help="see leads cross the threshold, with nothing but Python",
        description="Start an embedded broker and an embedded Valkey, send 30 days of made-up traffic, let the worker "
        "catch up with it, and show throughput, the hottest leads and each crossing with its reasons.",
    )
    parser.add_argument(
        "--duration",
        type=_seconds,
        default=DEFAULT_DURATION_S,
        metavar="SECONDS",
        help=f"how long it takes, about (default: {DEFAULT_DURATION_S}); 1: as fast as the worker can",
    )
    parser.add_argument(
        "--leads",
        type=number_up_to(MOST_LEADS),
        default=DEFAULT_LEADS,
        metavar="N",
        help=f"how many leads there are, up to {MOST_LEADS} (default: {DEFAULT_LEADS})",
    )
    parser.add_argument(
        "--seed", type=number_from_0, metavar="N", help="the same leads again (default: drawn, and said)"
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="the model file (default: the starter model)",
    )
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object on the last line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when its numbers add up, or when it was interrupted."""
    require_packages()
    from leadscore.demo.run import DemoPlan, run_demo  # they need a package that the other commands do not

    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    return run_demo(DemoPlan(args.duration, args.leads, seed, args.model), as_json=args.json)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds from 1 to 3600")
    return value
