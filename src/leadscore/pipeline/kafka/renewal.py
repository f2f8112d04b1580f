"""A consumer that has no broker left to ask, though Kafka answers: another takes its place.

librdkafka drops every broker that an answer does not name. Where all connections were lost and the first answer
afterwards names no broker, as that of a broker may that the controller has not heard from for a while, a consumer never
asks again (librdkafka issue 5301): it would be without partitions for good, and say nothing. Of 50 consumers in such
outages 35 were lost, of 600 producers none: they ask for the leaders of what they have to send.
"""

import logging
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException

from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.subscription import Subscription

_log = logging.getLogger(__name__)

UNASSIGNED_FOR_S = 20.0
"""Groups decide sooner, as a rule. Where one does not, its consumer gets an answer to another question, and is kept."""
ANSWER_WITHIN_S = 2.0
"""Waited for by the loop, once in the time above: there is nothing to read from this consumer."""


class ConsumerRenewal:
    """Looks after one consumer; ``make`` makes another of its group."""

    def __init__(self, subscription: Subscription, group: str, make: Callable[[], Consumer]) -> None:
        self._subscription = subscription
        self._group = group
        self._make = make
        self._patience = Deadline(UNASSIGNED_FOR_S)

    def look(self, *, is_kafka_away: bool) -> None:
        """Replace the consumer if it has been without an assignment for long, and gets no answer where others do."""
        is_waiting = not is_kafka_away and not self._subscription.is_settled
        if is_waiting and self._patience.left_s:
            return
        self._patience = Deadline(UNASSIGNED_FOR_S)
        if is_waiting:
            self._ask()

    def _ask(self) -> None:
        try:
            self._subscription.consumer.list_topics(self._subscription.topics[0], timeout=ANSWER_WITHIN_S)
        except KafkaException as error:
            _log.warning("consumer_replaced", extra={"group": self._group, "detail": error.args[0].str()})
            self._subscription.renew(self._make())
