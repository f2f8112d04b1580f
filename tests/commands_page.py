"""The part of docs/commands.md that the program itself says: every command, argument and option with its meaning.

``python -m tests.commands_page`` writes it anew.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from leadscore.cli.main import program_parser

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
BEGIN = "<!-- From here on the page is written by python -m tests.commands_page -->\n"


def generated() -> str:
    """Everything below the mark."""
    return BEGIN + "".join(_section(words, parser) for words, parser in commands())


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, in the order of the help: its words and its parser."""
    return _commands("leadscore", program_parser())


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments and options of a command, but for the help that every command has."""
    return [
        action
        for action in parser._actions
        if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
    ]


def _commands(words: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    choices = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not any(action.required for action in choices):
        yield words, parser
    for action in choices:
        listed = [one.dest for one in action._choices_actions]  # one without help is not listed there
        for name, inner in ((name, action.choices[name]) for name in listed):
            yield from _commands(f"{words} {name}", inner)


def _section(words: str, parser: argparse.ArgumentParser) -> str:
    described = _cell(parser.description or "")
    rows = [f"| `{_usage(action)}` | {_cell(_help_of(action, parser))} |\n" for action in options_of(parser)]
    table = ["\n| Option | Meaning |\n|---|---|\n", *rows] if rows else []
    return f"\n## {words}\n\n{described}\n{''.join(table)}"


def _usage(action: argparse.Action) -> str:
    """``--limit N``, ``--json``, ``LEAD``."""
    value = _value_of(action)
    if not action.option_strings:
        return value
    return f"{', '.join(action.option_strings)}{f' {value}' if value else ''}"


def _value_of(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    if action.metavar is not None:
        return action.metavar
    return "\\|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _help_of(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """As ``--help`` says it."""
    return argparse.HelpFormatter(parser.prog)._expand_help(action) if action.help else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write() -> None:
    """Write the generated part, and leave what is above it."""
    above = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    PAGE.write_text(above + generated(), encoding="utf-8")


if __name__ == "__main__":
    write()
