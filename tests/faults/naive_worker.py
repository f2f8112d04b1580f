"""What many would write: consume, INCRBYFLOAT, produce, commit. The control that the judge must catch.

It tries again what failed, commits every second, and publishes what it sees cross. Its scores are plain sums, so its
model must not decay. With ``NAIVE_GIVES_UP`` it adds by a script, and takes an error of Redis for a fault of the
record: it logs the lead and goes on with the next one.
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import redis
import yaml
from confluent_kafka import Consumer, Producer

from tests.faults.inputs import event_of
from tests.oracle import enter_id, record_of

MODULE = "tests.faults.naive_worker"
KEY = "naive:"
COMMIT_EVERY_S = 1.0
GIVES_UP = {"NAIVE_GIVES_UP": "1"}
ADD = "return redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])"


def main() -> int:
    """Until SIGTERM."""
    environ = {name.removeprefix("LEADSCORE_"): value for name, value in os.environ.items()}
    model = yaml.safe_load(Path(environ["MODEL"]).read_text())
    brokers = {"bootstrap.servers": environ["KAFKA__BOOTSTRAP_SERVERS"]}
    store = redis.Redis.from_url(environ["REDIS_URL"], protocol=2, socket_timeout=2)
    add = Scripted(store).add if environ.get("NAIVE_GIVES_UP") else partial(add_until_done, store)
    producer = Producer(brokers)
    group = {"group.id": f"{environ['GROUP']}-naive", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer(brokers | group | {"session.timeout.ms": 6000})
    consumer.subscribe(environ["SOURCE_TOPICS"].split(","))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    committed_s = time.monotonic()
    while True:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            event = event_of((message.topic() or "").rpartition(".")[2], message)
            if event is not None:
                record = record_of(model, event)
                points = float(sum(model["rules"][rule]["points"] for rule in record.rules))
                after = add(f"{KEY}{event['lead_id']}", points)
                for name, level in model["thresholds"].items():
                    if after - points < level["enter"] <= after:
                        crossing_id = enter_id(model["model"], event["lead_id"], name, record.identity)
                        producer.produce(environ["CROSSING_TOPIC"], headers={"ce_id": crossing_id})
        if time.monotonic() > committed_s + COMMIT_EVERY_S:
            committed_s = time.monotonic()
            try_commit(consumer)
            producer.poll(0)


class Scripted:
    """Adds by a script that is loaded once."""

    def __init__(self, store: redis.Redis) -> None:
        self._store, self._sha = store, str(store.script_load(ADD))

    def add(self, key: str, points: float) -> float:
        """The sum after it; what fails is given up."""
        try:
            return float(self._store.evalsha(self._sha, 1, key, str(points)))
        except redis.RedisError as error:
            print(key, error, flush=True)  # noqa: T201
            return 0.0


def add_until_done(store: redis.Redis, key: str, points: float) -> float:
    """The sum after it; what fails is tried again."""
    while True:
        try:
            return float(store.incrbyfloat(key, points))
        except redis.RedisError:
            time.sleep(0.05)


def try_commit(consumer: Consumer) -> None:
    """What was polled so far."""
    try:
        consumer.commit(asynchronous=False)
    except Exception as nothing_new:  # noqa: BLE001  # as such programs do
        print(nothing_new)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
