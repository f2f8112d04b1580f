"""Produces crossings and erasures; the log offsets that caused them are safe once all are acknowledged."""

from collections.abc import Iterable
from dataclasses import dataclass

from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.score.publishing import CrossingEncoding, Output, output_record


@dataclass(frozen=True, slots=True)
class CrossingProducer:
    """Produces to the topic of crossings."""

    encoding: CrossingEncoding
    deliveries: Deliveries[Output]

    def produce(self, outputs: Iterable[Output], offsets: Offsets) -> None:
        """Produce what was decided, in that order; ``offsets`` become safe with the last acknowledgement."""
        with self.deliveries.batch(offsets) as batch:
            for output in outputs:
                self.deliveries.produce(batch, output_record(output, self.encoding), output)
