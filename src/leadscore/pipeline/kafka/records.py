"""The values that the stages and the Kafka seam exchange: partitions, and records to produce. Pure."""

from typing import NamedTuple

Partition = tuple[str, int]
"""Topic and number."""
Bounds = tuple[int, int]
"""The oldest offset that a partition holds, and the offset that the next record will have."""
Headers = list[tuple[str, str | bytes | None]]

ANY_PARTITION = -1
NOW = 0


class OutputRecord(NamedTuple):
    """A record to produce; without a partition its key decides, without a timestamp (ms) it is of now."""

    key: bytes | None
    value: bytes | None
    headers: Headers = []  # noqa: RUF012  # never changed
    partition: int = ANY_PARTITION
    timestamp_ms: int = NOW
