"""What many would write first: consume, INCRBYFLOAT, produce, commit. Its scores are plain sums."""

import json
import os
import signal
import sys

import redis
from confluent_kafka import Consumer, Producer

from tests.bench.peers.scoring import ENTER, LEAVE, Marks, act_of, decode, reader_of, source_topics

BATCH = 500


def crossing_of(before: float, after: float) -> str | None:
    """The direction in which the sum went over the threshold."""
    if before < ENTER <= after:
        return "enter"
    return "leave" if after < LEAVE <= before else None


def main() -> None:
    """Until SIGTERM."""
    environ, marks = os.environ, Marks()
    kafka = {"bootstrap.servers": environ["KAFKA"]}
    group = {"group.id": environ["GROUP"], "auto.offset.reset": "earliest", "enable.auto.commit": False}
    session = {"session.timeout.ms": int(environ.get("SESSION_MS", "45000"))}
    consumer, producer = Consumer({**kafka, **group, **session}), Producer({**kafka, "linger.ms": 5})
    store, schema = redis.Redis.from_url(environ["REDIS"]), reader_of(environ["SCHEMAS"].split(",")[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    consumer.subscribe(source_topics())
    while True:
        messages = [message for message in consumer.consume(BATCH, 0.2) if not message.error()]
        for message in messages:
            marks.first()
            act = act_of(decode(message.value() or b"", schema))
            points = sum(hit[1] for hit in act["hits"])
            after = float(store.incrbyfloat(f"{environ['GROUP']}:{act['lead_id']}", points))
            direction = crossing_of(after - points, after)
            if direction:
                value = {"lead_id": act["lead_id"], "event_id": act["id"], "direction": direction, "score": after}
                producer.produce(environ["CROSSINGS"], json.dumps(value), key=act["lead_id"])
        if messages:
            producer.flush()
            consumer.commit(asynchronous=False)
            marks.done(len(messages))


if __name__ == "__main__":
    main()
