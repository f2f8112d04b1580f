"""Names of events in one form, however they are spelt. Pure."""

import re

_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def snake_case(name: str) -> str:
    """``Page Viewed`` and ``pageViewed`` to ``page_viewed``."""
    return _BETWEEN_WORDS.sub("_", _CAMEL_HUMP.sub("_", name)).strip("_").lower()


def normalised(name: str) -> str:
    """The parts between dots in snake case: ``Contact.propertyChange`` to ``contact.property_change``."""
    return ".".join(filter(None, map(snake_case, name.split("."))))


def compared(name: str) -> str:
    """What is the same of two spellings of a name. A `$` before it counts: trackers mark their own events by it."""
    return f"${normalised(name)}" if name.startswith("$") else normalised(name)
