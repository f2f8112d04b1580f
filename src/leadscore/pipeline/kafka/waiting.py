"""Records that Kafka does not acknowledge. For more than a moment that is an outage, of which the client does not tell.

A partition with fewer replicas in sync than its topic asks for, for example, refuses records, and librdkafka repeats
them without end and without a word. Nothing is lost meanwhile; but nothing goes on either.
"""

from leadscore.errors import KafkaErrorKind, Unavailable

LATE_S = 5.0


class Waiting:
    """One kind of records that is waited for; late once the same ones have been for ``LATE_S``."""

    def __init__(self, name: str) -> None:
        self._detail = f"{name} are not acknowledged; nothing behind them goes on until they are"
        self._subject: object = None
        self._since_s = 0.0
        self.is_late = False

    def look(self, now_s: float, subject: object) -> Unavailable | None:
        """The outage, when it has just become one; ``subject`` is what is waited for first, ``None``: nothing is."""
        if subject is None or subject is not self._subject:
            self._subject, self._since_s, self.is_late = subject, now_s, False
            return None
        if self.is_late or now_s - self._since_s <= LATE_S:
            return None
        self.is_late = True
        return Unavailable("kafka", KafkaErrorKind.TIMEOUT, self._detail)
