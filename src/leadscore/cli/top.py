"""``leadscore top``: a running deployment in one terminal, again and again: load, lag, latency, crossings, leads."""

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import msgspec

from leadscore.cli.list import lead_object
from leadscore.cli.options import number_from_1, number_up_to
from leadscore.cli.watching.deployment import Watch
from leadscore.cli.watching.scrape import address_of
from leadscore.cli.watching.view import Snapshot, lines_of
from leadscore.cli.worker_address import worker_url
from leadscore.ops.config import load_config

DEFAULT_INTERVAL_S = 2
LONGEST_INTERVAL_S = 3_600
DEFAULT_SHOWN = 8


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "top",
        help="watch a running deployment: throughput, lag, latency, last crossings, stopped partitions, hottest leads",
        description="Watch a running deployment. Throughput, lag, latency and stopped partitions come from the HTTP "
        "ports of the workers, crossings from their topic and leads from Redis, with the worker's own variables. On a "
        "terminal the view is drawn anew (package rich, extra top); elsewhere lines are printed. Nothing is written.",
    )
    parser.add_argument(
        "workers",
        nargs="*",
        metavar="WORKER",
        help="host:port or URL of each worker's HTTP port (default: LEADSCORE_HTTP_HOST and LEADSCORE_HTTP_PORT)",
    )
    parser.add_argument("--once", action="store_true", help="look once, after one interval, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each look, one a line")
    parser.add_argument(
        "--interval",
        type=number_up_to(LONGEST_INTERVAL_S),
        default=DEFAULT_INTERVAL_S,
        metavar="SECONDS",
        help=f"time between two looks (default: {DEFAULT_INTERVAL_S})",
    )
    parser.add_argument(
        "--limit",
        type=number_from_1,
        default=DEFAULT_SHOWN,
        metavar="N",
        help=f"at most this many crossings and leads (default: {DEFAULT_SHOWN})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the deployment until Ctrl-C, or once; 1 where at the last look no worker answered."""
    config = load_config(os.environ)
    urls = [address_of(text) for text in args.workers] or [worker_url(config)]
    with closing(Watch(config, urls, args.limit)) as watch:
        snapshots = _looks(watch, args.interval, once=args.once)
        last = _show(snapshots, as_json=args.json, once=args.once)
    return 0 if last is not None and any(worker.answers for worker in last.load.workers) else 1


def _looks(watch: Watch, interval_s: float, *, once: bool) -> Iterator[Snapshot]:
    watch.begin()
    while True:
        time.sleep(interval_s)
        yield watch.look()
        if once:
            return


def _show(snapshots: Iterator[Snapshot], *, as_json: bool, once: bool) -> Snapshot | None:
    last = None
    if as_json:
        for last in snapshots:
            print(json.dumps(object_of(last)), flush=True)
    elif once or not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        for last in snapshots:
            print("\n".join(lines_of(last)), flush=True)
    else:
        from leadscore.cli.watching.screen import draw  # it needs a package that the other commands do not

        last = draw(snapshots)
    return last


def object_of(snapshot: Snapshot) -> dict[str, object]:
    """The snapshot as plain JSON values; leads as ``leadscore list --json`` has them."""
    leads = None if snapshot.hottest is None else [lead_object(lead) for lead in snapshot.hottest]
    return {**msgspec.to_builtins(snapshot), "hottest": leads}
