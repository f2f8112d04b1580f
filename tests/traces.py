"""What is left of a lead after ``leadscore erase``: in Redis, and on the topic of crossings."""

import os
import subprocess
import sys
from contextlib import closing

import redis
from confluent_kafka import Message

from tests.deployment import Deployment, headers_of
from tests.servers import wait_until


def erase(deployment: Deployment, lead_id: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
    command = [sys.executable, "-m", "leadscore.cli.main", "erase", lead_id, "--yes"]
    done = subprocess.run(
        command, env=inherited | deployment.config(), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def published_of(deployment: Deployment, lead_id: str) -> list[Message]:
    return [record for record in deployment.read("crossings") if record.key() == lead_id.encode()]


def wait_for_tombstone(deployment: Deployment, lead_id: str) -> None:
    """The last word on the lead is that there is no lead."""

    def last_word() -> list[Message]:
        return [record for record in published_of(deployment, lead_id)[-1:] if record.value() is None]

    [record] = wait_until(last_word, 10, "a tombstone")
    headers = dict(headers_of(record))
    assert (headers["ce_type"], headers["ce_subject"]) == (b"leadscore.lead.erased", lead_id.encode())


def traces_in_redis(deployment: Deployment, lead_id: str) -> list[bytes]:
    """The keys of this deployment in which, or in whose values, the lead's id is."""
    stored = deployment.keys()
    with closing(redis.Redis.from_url(deployment.redis.url)) as client:
        return [key for key in stored if lead_id.encode() in key + contents(client, key)]


def contents(client: "redis.Redis", key: bytes) -> bytes:
    """Everything under a key; its bytes are stored as they are, nothing compressed."""
    kind = client.type(key)
    if kind == b"hash":
        return repr(client.hgetall(key)).encode()
    if kind == b"zset":
        return repr(client.zrange(key, 0, -1)).encode()
    assert kind in {b"string", b"none"}, kind
    return repr(client.get(key)).encode()


def wait_until_forgotten(deployment: Deployment, lead_id: str) -> None:
    """The outbox goes a little later than the state, once its crossings are known to be published."""
    wait_until(lambda: not traces_in_redis(deployment, lead_id), 10, "the lead's id to be gone from Redis")
