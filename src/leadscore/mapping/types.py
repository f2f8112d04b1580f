"""From what a record says to the type of an event: a table, a prefix, names in one form. Pure."""

from collections.abc import Mapping

from leadscore.errors import DeadLetterReason
from leadscore.events.event import COMMAND_PREFIX
from leadscore.events.validation import FieldProblem
from leadscore.mapping.spelling import compared, normalised, snake_case

MOST_REMEMBERED = 1_000
"""Names of types a topic has; a sender that invents more is read all the same."""
LONGEST_REMEMBERED = 256
"""Characters: a thousand names of a megabyte are a gigabyte."""
_EXPECTED = "text with a letter or digit in it: a type"


class Types:
    """The types of one topic. Remembers what became of each name."""

    def __init__(self, types: Mapping[str, str], prefix: str, path: str, *, gives_commands: bool) -> None:
        """``path`` is what messages call the place of the name; commands come from the command topic alone."""
        self._types = types
        self._by_spelling = {compared(name): event_type for name, event_type in types.items()}
        self._prefix = prefix
        self._path = path
        self._gives_commands = gives_commands
        self.remembered: dict[str, str] = {}
        """What became of names so far."""

    def of(self, name: object) -> str:
        """The type of a record that says ``name``; ``FieldProblem`` where that is no name."""
        if type(name) is not str:
            raise FieldProblem(self._path, name, _EXPECTED)
        event_type = self._looked_up(name)
        if len(self.remembered) < MOST_REMEMBERED and len(name) <= LONGEST_REMEMBERED:
            self.remembered[name] = event_type
        return event_type

    def _looked_up(self, name: str) -> str:
        event_type = self._types.get(name) or self._by_spelling.get(compared(name))
        if event_type is None:
            words = snake_case(name) if self._prefix else normalised(name)
            if not words:
                raise FieldProblem(self._path, name, _EXPECTED)
            event_type = f"{self._prefix}{words}"
        if event_type.startswith(COMMAND_PREFIX) and not self._gives_commands:
            expected = "no commands on this topic: they come from LEADSCORE_COMMAND_TOPIC"
            raise FieldProblem(self._path, name, expected, DeadLetterReason.INVALID_COMMAND)
        return event_type
