"""Frames that this process has logged and will read again, by their bytes. No client and no clock in here.

A process with both stages reads from the log what it has just encoded. The same bytes are the same record, whoever
wrote them, so what comes back is looked up by its bytes before it is decoded. What is not there is decoded as ever.
"""

from collections.abc import Container

from leadscore.log.records import Frame

MOST_BYTES = 16 * 1024 * 1024
"""Of encoded frames: more than what a worker that is behind matches before it scores; in memory several times that."""


class OwnFrames:
    """Kept from logging on until they come back, the latest ones up to ``most_bytes``."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.numbers: Container[int] = ()
        """The log partitions that this process scores: what goes to others does not come back."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._frames: dict[bytes, Frame] = {}

    def keep(self, number: int, value: bytes, frame: Frame) -> bool:
        """Remember what a frame was encoded from, if it will come back; whether it will."""
        if number not in self.numbers:
            return False
        if value in self._frames:
            return True
        self._frames[value] = frame
        self._bytes += len(value)
        while self._bytes > self._most_bytes:
            self.take(next(iter(self._frames)))
        return True

    def take(self, value: bytes) -> Frame | None:
        """The frame behind the bytes, if it is one of these; it is then forgotten."""
        frame = self._frames.pop(value, None)
        if frame is not None:
            self._bytes -= len(value)
        return frame
