"""What one input record says, whatever its schema and encoding were. Pure values."""

import re
from typing import Final

import msgspec

FieldValue = str | int | float | bool | tuple[str | int | float | bool, ...] | None
"""What rules can test: scalars, and lists of them. Objects are flattened to dotted names (``context.page.path``)."""

COMMAND_PREFIX: Final = "command."
PROFILE_UPDATED: Final = "profile.updated"
"""The type of the events of ``lead_profile``, which need no rule: they carry attributes and nothing else."""
MAX_TYPE_LENGTH: Final = 128
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_type(text: str) -> bool:
    """Whether an event may have this type."""
    return 0 < len(text) <= MAX_TYPE_LENGTH and not CONTROL_CHARACTER.search(text)


class Event(msgspec.Struct, frozen=True, gc=False):
    """One observed act of a lead, or (type ``command.*``) an order about a lead.

    ``occurred_at_ms`` is UTC, milliseconds since 1970. ``fields`` holds everything else a rule may test, ``campaign``
    (a text) among it, and no nulls; for commands it holds their arguments (``points``, ``reason``, ``target``).
    ``attributes`` is ``None`` when the event carries none; a ``None`` value in it removes that attribute.
    """

    type: str
    event_id: str
    lead_id: str
    occurred_at_ms: int
    fields: dict[str, FieldValue]
    attributes: dict[str, FieldValue] | None = None

    @property
    def is_command(self) -> bool:
        """Whether this is an order about the lead, not an act of the lead."""
        return self.type.startswith(COMMAND_PREFIX)
