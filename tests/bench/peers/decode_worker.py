"""Consume and decode with bare fastavro, and nothing else: what any worker in Python pays before it begins."""

import os
import signal

from confluent_kafka import Consumer

from tests.bench.peers.scoring import Marks, decode, reader_of, source_topics


def main() -> None:
    """Until SIGTERM."""
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    schema, marks = reader_of(os.environ["SCHEMAS"].split(",")[0]), Marks()
    group = {"group.id": os.environ["GROUP"], "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": os.environ["KAFKA"], **group})
    consumer.subscribe(source_topics())
    while going:
        messages = [message for message in consumer.consume(10_000, 0.2) if not message.error()]
        if messages:
            marks.first()
            for message in messages:
                decode(message.value() or b"", schema)
            marks.done(len(messages))
    consumer.close()


if __name__ == "__main__":
    main()
