"""What was decided, as the records it becomes: crossings and erasures of their topic, forwards of the log."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from leadscore.log.records import Forward
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.score.forwarding import ForwardsRecord, forwards_records
from leadscore.pipeline.score.publishing import CrossingEncoding, Published, output_record
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.outputs import Output


class ShardOutputs(NamedTuple):
    """What a shard has decided, in this order."""

    shard: Shard
    outputs: list[Output]


class Outgoing(NamedTuple):
    """A record, the topic it goes to, and what it says."""

    topic: str
    record: OutputRecord
    output: Published | ForwardsRecord


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where outputs go, and how they are written."""

    encoding: CrossingEncoding
    crossing_topic: str
    log_topic: str
    log_partitions: int

    def records_of(self, decided: ShardOutputs) -> Iterator[Outgoing]:
        """The records of what a shard has decided; those of the log come last."""
        shard, forwards = decided.shard, list[Forward]()
        for output in decided.outputs:
            if isinstance(output, Forward):
                forwards.append(output)
            else:
                yield Outgoing(self.crossing_topic, output_record(output, self.encoding), output)
        source = shard.source(self.log_topic)
        for one in forwards_records(forwards, source, shard.model_version, self.log_partitions):
            yield Outgoing(self.log_topic, one.record, one)
