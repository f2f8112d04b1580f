"""Instants of the model file: text to numbers."""

from leadscore import readers


def instant_ms(text: str) -> int:
    """UTC milliseconds of a day such as ``2026-03-01``, which is its midnight, or of an instant with an offset.

    ``ValueError`` for anything else.
    """
    try:
        return readers.instant_ms(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise ValueError(
            f"{text}: no such day or time: expected one such as 2026-03-01 or 2026-03-01T08:00:00Z"
        ) from error
