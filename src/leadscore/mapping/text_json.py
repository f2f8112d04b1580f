"""JSON inside text: a record's text that is itself JSON, or Base64 of it, becomes what it says. Pure."""

import base64
import binascii

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.json_text import read_json
from leadscore.events.validation import Record
from leadscore.mapping.paths import Steps, value_at


def read_text_json(record: Record, path: str, steps: Steps) -> None:
    """Replace the text at the path by what it says; what is no text, or is empty, stays."""
    around = value_at(record, steps[:-1])
    text = value_at(record, steps)
    if type(text) is not str or not text.strip():
        return
    if isinstance(around, dict | list):
        around[steps[-1]] = _read(text, path)  # type: ignore[index]  # ``value_at`` has been there


def _read(text: str, path: str) -> object:
    try:
        return read_json(text)
    except DeadLetter:
        pass
    try:
        return read_json(base64.b64decode(text, validate=True))
    except (DeadLetter, binascii.Error, ValueError) as error:
        raise DeadLetter(DeadLetterReason.MALFORMED, f"{path}: expected text that is JSON, or Base64 of it") from error
