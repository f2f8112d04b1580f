"""The naive worker: batches of 500 events, one call of a Lua script per event in one pipeline, then the offsets.

The script (``score.lua``) drops repeats, adds the points and decides, on one hash per lead and one key per event id.
"""

import json
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Consumer, Message, Producer

from tests.bench.peers.scoring import Event, Marks, act_of, decode, reader_of, source_topics

BATCH = 500
SCRIPT = Path(__file__).with_name("score.lua")


class Worker:
    """One consumer, one producer, one connection."""

    def __init__(self) -> None:
        kafka = {"bootstrap.servers": os.environ["KAFKA"]}
        group = {"group.id": os.environ["GROUP"], "auto.offset.reset": "earliest", "enable.auto.commit": False}
        session = {"session.timeout.ms": int(os.environ.get("SESSION_MS", "45000"))}
        self._consumer = Consumer({**kafka, **group, **session})
        self._producer = Producer({**kafka, "linger.ms": 5, "enable.idempotence": True})
        self._redis = redis.Redis.from_url(os.environ["REDIS"])
        self._script = self._redis.script_load(SCRIPT.read_text("utf-8"))
        self._schema = reader_of(os.environ["SCHEMAS"].split(",")[0])
        self._crossings = os.environ["CROSSINGS"]
        self._prefix = os.environ["GROUP"]
        self._marks = Marks()
        self.going = True

    def run(self) -> None:
        """Until told to stop."""
        self._consumer.subscribe(source_topics())
        with closing(self._consumer):
            while self.going:
                messages = [message for message in self._consumer.consume(BATCH, 0.2) if not message.error()]
                if messages:
                    self._marks.first()
                    self._score(messages)
                    self._consumer.commit(asynchronous=False)
                    self._marks.done(len(messages))

    def _score(self, messages: list[Message]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        acts = [act_of(decode(message.value() or b"", self._schema)) for message in messages]
        for act in acts:
            keys = (f"{self._prefix}:lead:{act['lead_id']}", f"{self._prefix}:seen:{act['id']}")
            pipeline.evalsha(self._script, 2, *keys, act["at"], *(value for hit in act["hits"] for value in hit))
        for act, crossing in zip(acts, pipeline.execute(), strict=True):
            if crossing:
                self._publish(act, crossing)
        self._producer.flush()  # crossings before the offsets

    def _publish(self, act: Event, crossing: Any) -> None:
        identity = {"lead_id": act["lead_id"], "event_id": act["id"]}
        value = {**identity, "direction": crossing[0].decode(), "score": float(crossing[1])}
        self._producer.produce(self._crossings, json.dumps(value), key=act["lead_id"])


def main() -> None:
    """Until SIGTERM."""
    worker = Worker()

    def stop(*_: object) -> None:
        worker.going = False

    signal.signal(signal.SIGTERM, stop)
    worker.run()


if __name__ == "__main__":
    main()
