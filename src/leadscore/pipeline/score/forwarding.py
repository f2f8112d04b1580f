"""What goes on to other log partitions, as records of the log (design 2.9). Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from leadscore.log.records import (
    COMMANDS,
    MAX_FRAME_AWARDS,
    MAX_FRAME_BYTES,
    Forward,
    Forwards,
    Source,
    encode,
    partition_of,
)
from leadscore.pipeline.kafka.records import OutputRecord


class ForwardsRecord(NamedTuple):
    """Forwards of one log partition to another, and the record of the log that carries them."""

    forwards: list[Forward]
    record: OutputRecord


def forwards_records(
    forwards: Iterable[Forward], source: Source, model_version: int, partitions: int
) -> Iterator[ForwardsRecord]:
    """The forwards by the log partition that they go to, of ``partitions``, each in the order of their positions.

    ``model_version`` is one that the sender has seen: not lower than that of any state that it sends.
    """
    by_partition: dict[int, list[Forward]] = {}
    for forward in forwards:
        by_partition.setdefault(partition_of(forward.award.lead_id, partitions), []).append(forward)
    for number, of_partition in by_partition.items():
        yield from _records(of_partition, source, model_version, number)


def _records(forwards: list[Forward], source: Source, model_version: int, number: int) -> Iterator[ForwardsRecord]:
    """As few records as their limits allow; one forward alone may be larger: it holds a lead's state."""
    if len(forwards) <= MAX_FRAME_AWARDS:
        value = encode(Forwards(model_version, source, forwards))
        if len(value) <= MAX_FRAME_BYTES or len(forwards) == 1:
            yield ForwardsRecord(forwards, OutputRecord(None, value, partition=number))
            return
    middle = len(forwards) // 2
    yield from _records(forwards[:middle], source, model_version, number)
    yield from _records(forwards[middle:], source, model_version, number)


def kind_of(forward: Forward) -> str:
    """What is forwarded: the label of its metric."""
    if forward.absorbed is not None:
        return "absorb"
    if forward.erased_edge is not None:
        return "erasure"
    return "command" if forward.award.type in COMMANDS else "award"
