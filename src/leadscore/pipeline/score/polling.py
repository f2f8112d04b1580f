"""How the score stage takes many records of the log in one turn, within bounds of their number and their bytes."""

from typing import NamedTuple

from confluent_kafka import Message

from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.pace import AT_ONCE, Waits

FRAMES_AT_ONCE = 200
"""The records of such a poll are at most 50 MB: a frame is at most 256 KiB."""
MOST_BYTES = 32 * 1024 * 1024
"""Of the records of a turn, but for what the last poll brings."""


class Polled(NamedTuple):
    """The records, and whether there may be more at once."""

    messages: list[Message]
    has_more: bool


def poll_much(subscription: Subscription, most: int, waits: Waits) -> Polled:
    """At most this number of records; after the first poll, what is there already."""
    messages: list[Message] = []
    size = 0
    while True:
        room = min(most - len(messages), FRAMES_AT_ONCE)
        taken = subscription.poll(room, waits if not messages else AT_ONCE)
        messages += taken
        size += sum(map(len, taken))
        has_more = len(taken) >= room
        if not has_more or len(messages) >= most or size >= MOST_BYTES:
            return Polled(messages, has_more)
