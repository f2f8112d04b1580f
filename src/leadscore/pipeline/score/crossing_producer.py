"""Hands crossings and erasures to the producer; the log offsets that caused them are safe once all are acknowledged."""

from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Producer

from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.outbound import hand_over
from leadscore.pipeline.score.counts import ScoreCounts
from leadscore.pipeline.score.publishing import CrossingEncoding, Output, output_record


@dataclass(frozen=True, slots=True)
class CrossingProducer:
    """Produces to the topic of crossings."""

    producer: Producer
    topic: str
    encoding: CrossingEncoding
    deliveries: Deliveries
    counts: ScoreCounts

    def produce(self, outputs: Iterable[Output], offsets: Offsets) -> None:
        """Hand over what was decided, in that order; ``offsets`` become safe with the last acknowledgement."""
        with self.deliveries.batch(offsets) as batch:
            for output in outputs:
                record = output_record(output, self.encoding)
                on_delivery = self.deliveries.expect(batch, self.counts.when_published(output))
                hand_over(self.producer, self.topic, record, on_delivery)
