"""``leadscore command``: order something about a lead."""

import argparse

from leadscore.cli.options import number
from leadscore.cli.orders import add_common_options, run
from leadscore.errors import ConfigError

_ORDERS = {
    "adjust": "add points, or take some away; they decay as the model says by default",
    "reset": "let events and adjustments up to the time of the order count no longer",
    "retract": "take one event back, as if it had never come",
    "suspend": "score the lead, but let it enter no threshold",
    "resume": "end the suspension",
    "requalify": "lift a disqualification that a rule gave",
    "merge": "make the lead another id of a second one, for good: it is the same person",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    command = subparsers.add_parser(
        "command",
        help="order something about a lead: adjust, reset, retract, suspend, resume, requalify, merge",
        description="Append a command for a lead to the command topic. Configured by the worker's LEADSCORE_... "
        "variables. To erase a lead: leadscore erase.",
    )
    orders = command.add_subparsers(metavar="ORDER", required=True)
    for order, meaning in _ORDERS.items():
        _add_order(orders.add_parser(order, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}."), order)
    erase = orders.add_parser("erase")  # without help, so that it is not listed
    erase.add_argument("words", nargs=argparse.REMAINDER)
    erase.set_defaults(run=_refuse_erase)


def _refuse_erase(args: argparse.Namespace) -> int:
    """Erasing asks for a confirmation, so it is not an order like the others."""
    raise ConfigError(f"leadscore command erase: expected leadscore erase {' '.join(args.words)}".rstrip())


def _add_order(parser: argparse.ArgumentParser, order: str) -> None:
    add_common_options(parser)
    parser.set_defaults(run=run, order=order, points=None, reason=None, target=None, target_type=None, into=None)
    if order == "adjust":
        parser.add_argument("--points", type=number, required=True, metavar="N", help="the points; may be negative")
    if order == "retract":
        parser.add_argument("--target", required=True, metavar="ID", help="the event_id of the event to take back")
        parser.add_argument(
            "--target-type",
            metavar="TYPE",
            help="the type of that event, such as email.click (default: every type that the model names)",
        )
    if order == "merge":
        parser.add_argument("--into", required=True, metavar="LEAD", help="the lead that it is from now on")
    parser.add_argument("--reason", metavar="TEXT", help="why, for people")
