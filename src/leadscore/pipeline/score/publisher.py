"""Produces what was decided; the log offsets that caused it are safe once all of it is acknowledged."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from leadscore.log.records import Forward
from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.score.forwarding import ForwardsRecord, forwards_records
from leadscore.pipeline.score.publishing import CrossingEncoding, Published, output_record
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.outputs import Output


class ShardOutputs(NamedTuple):
    """What a shard has decided, in this order."""

    shard: Shard
    outputs: list[Output]


@dataclass(frozen=True, slots=True)
class Publisher:
    """Produces crossings and erasures to the topic of crossings, and forwards to the log."""

    encoding: CrossingEncoding
    log_topic: str
    log_partitions: int
    deliveries: Deliveries[Published | ForwardsRecord]

    def produce(self, decided: Iterable[ShardOutputs], offsets: Offsets) -> None:
        """Produce what was decided; ``offsets`` become safe with the last acknowledgement."""
        deliveries = self.deliveries
        with deliveries.batch(offsets) as batch:
            for shard, outputs in decided:
                forwards: list[Forward] = []
                for output in outputs:
                    if isinstance(output, Forward):
                        forwards.append(output)
                    else:
                        deliveries.produce(batch, output_record(output, self.encoding), output)
                source = shard.source(self.log_topic)
                for one in forwards_records(forwards, source, shard.model_version, self.log_partitions):
                    deliveries.produce(batch, one.record, one, self.log_topic)
