"""Values in the form that a mapping asks for: the same field is text in one system, a number in another. Pure."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Literal

FormName = Literal["text", "number", "boolean"]
Plain = str | int | float | bool

_NUMBER = re.compile(r"[-+]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_MOST_WHOLE = 2.0**53
"""Below this a float that is whole is that number and no other."""


def number_in(text: str) -> int | float | None:
    """The number that a text is; one too large for a float is infinite."""
    if _NUMBER.fullmatch(text) is None:
        return None
    return float(text) if "." in text or "e" in text.lower() else int(text)


def as_text(value: object) -> str | None:
    """Text, a number or a flag as text; a float that is whole as the whole number, which others send."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return str(value).lower()
    if type(value) is float:
        if not isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _MOST_WHOLE else str(value)
    return str(value) if isinstance(value, int) else None


def as_number(value: object) -> int | float | None:
    """A number, or the one in a text."""
    if type(value) is str:
        return number_in(value.strip())
    return value if type(value) is int or type(value) is float else None


def as_boolean(value: object) -> bool | None:
    """A flag; text that is true or false, in any case; 1 and 0."""
    if type(value) is bool:
        return value
    return _BOOLEANS.get((as_text(value) or "").strip().lower())


READERS: dict[FormName, Callable[[object], Plain | None]] = {
    "text": as_text,
    "number": as_number,
    "boolean": as_boolean,
}
"""What reads a value in each form; ``None`` where it cannot be read so."""
