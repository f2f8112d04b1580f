"""JSON text to what it says; whatever is wrong with it is a ``DeadLetter``. Pure."""

from collections.abc import Callable
from typing import Any

import msgspec

from leadscore.errors import DeadLetter, DeadLetterReason

Read = Callable[[bytes | str], Any]

_OUT_OF_RANGE = "Number out of range"
"""What the decoder says of a number above all floats; its place in the text follows."""


def json_reader(expected: Any) -> Read:
    """The function that reads a whole JSON text as a value of the expected type; a number such as 1e999 is infinite.

    Decoding is fastest without a hook for numbers, which only a text with such a number needs: it is decoded again.
    """
    read_any_size = _reader(msgspec.json.Decoder(expected, float_hook=float).decode)
    return _reader(msgspec.json.Decoder(expected).decode, read_any_size)


def _reader(decode: Read, read_any_size: Read | None = None) -> Read:
    def read(text: bytes | str) -> object:
        try:
            return decode(text)
        except UnicodeDecodeError as error:
            raise DeadLetter(DeadLetterReason.MALFORMED, "a text is not UTF-8") from error
        except RecursionError as error:
            raise DeadLetter(DeadLetterReason.MALFORMED, "JSON nested too deeply") from error
        except msgspec.MsgspecError as error:
            if read_any_size is not None and str(error).startswith(_OUT_OF_RANGE):
                return read_any_size(text)
            trailing = "trailing characters" in str(error)
            reason = DeadLetterReason.TRAILING_BYTES if trailing else DeadLetterReason.MALFORMED
            raise DeadLetter(reason, str(error)) from error

    return read


read_json: Read = json_reader(object)
"""Whatever a JSON text says."""
