"""docs/commands.md has every command, argument and option, as the program itself says them."""

import re

import pytest

from leadscore.cli.main import COMMANDS
from tests.commands_page import BEGIN, PAGE, commands, generated, options_of

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_what_the_program_says() -> None:
    assert TEXT[TEXT.index(BEGIN) :] == generated(), "run: python -m tests.commands_page"


def test_the_page_has_every_command_and_no_other() -> None:
    headings = re.findall(r"^## (leadscore .+)$", TEXT, re.MULTILINE)
    assert headings == [words for words, _ in commands()]
    assert {heading.split()[1] for heading in headings} == set(COMMANDS)


def test_a_command_that_also_has_commands_below_it_is_one_itself() -> None:
    options = {words: {action.dest for action in options_of(parser)} for words, parser in commands()}
    assert options["leadscore log"] == {"lead", "partition", "start", "limit", "newest"}
    assert "leadscore log accept-gap" in options
    assert "leadscore topics" not in options


@pytest.mark.parametrize(
    ("words", "parser"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_option_says_what_it_is_for(words: str, parser: object) -> None:
    without = [action.dest for action in options_of(parser) if not action.help]  # type: ignore[arg-type]
    assert without == [], words


def test_a_command_that_has_subcommands_and_does_something_itself_is_on_the_page() -> None:
    by_words = dict(commands())
    assert {"leadscore log", "leadscore log accept-gap"} <= by_words.keys()
    assert "leadscore dlq" not in by_words
    assert "--lead" in [option for action in options_of(by_words["leadscore log"]) for option in action.option_strings]


def test_the_overview_has_every_command() -> None:
    overview = TEXT.partition(BEGIN)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", overview, re.MULTILINE)) == set(COMMANDS)
