"""``leadscore erase``: delete a lead for good, by an erase command on the command topic."""

import argparse

from leadscore.cli.orders import add_common_options, run


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    erase = subparsers.add_parser(
        "erase",
        help="delete a lead for good",
        description="Append an erase command for the lead to the command topic; a person with several ids is erased "
        "under all of them, whichever is named. Configured by the worker's LEADSCORE_... variables.",
    )
    erase.add_argument("--yes", action="store_true", help="do it; without it nothing is sent")
    add_common_options(erase)
    erase.set_defaults(run=run, order="erase", points=None, reason=None, target=None, target_type=None, into=None)
