"""JSON inside text: a record's text that is itself JSON, or Base64 of it, becomes what it says. Pure."""

import base64
import binascii

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.json_text import read_json
from leadscore.events.validation import Record
from leadscore.mapping.paths import Steps, put_at, value_at


def read_text_json(record: Record, path: str, steps: Steps) -> None:
    """Replace the text at the path by what it says; what is no text, or is empty, stays."""
    text = value_at(record, steps)
    if type(text) is str and text.strip():
        put_at(record, steps, _read(text, path))


def _read(text: str, path: str) -> object:
    try:
        return read_json(text)
    except DeadLetter:
        pass
    try:
        return read_json(base64.b64decode(text, validate=True))
    except (DeadLetter, binascii.Error, ValueError) as error:
        raise DeadLetter(DeadLetterReason.MALFORMED, f"{path}: expected text that is JSON, or Base64 of it") from error
