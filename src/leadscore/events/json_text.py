"""JSON text to what it says; whatever is wrong with it is a ``DeadLetter``. Pure."""

from collections.abc import Callable
from typing import Any

import msgspec

from leadscore.errors import DeadLetter, DeadLetterReason


def json_reader(expected: Any) -> Callable[[bytes | str], Any]:
    """The function that reads a whole JSON text as a value of the expected type."""
    decode = msgspec.json.Decoder(expected).decode

    def read(text: bytes | str) -> object:
        try:
            return decode(text)
        except UnicodeDecodeError as error:
            raise DeadLetter(DeadLetterReason.MALFORMED, "a text is not UTF-8") from error
        except RecursionError as error:
            raise DeadLetter(DeadLetterReason.MALFORMED, "JSON nested too deeply") from error
        except msgspec.MsgspecError as error:
            trailing = "trailing characters" in str(error)
            reason = DeadLetterReason.TRAILING_BYTES if trailing else DeadLetterReason.MALFORMED
            raise DeadLetter(reason, str(error)) from error

    return read
