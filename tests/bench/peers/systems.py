"""The systems that are compared: what each needs, how each is started, and how it tells how far it is."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.bench.peers import installs
from tests.bench.peers.inputs import Input, peers_model
from tests.servers import free_ports

LOG_PARTITIONS = 32
TUNED = """
commit.interval.ms=1000
statestore.cache.max.bytes=134217728
producer.compression.type=lz4
producer.batch.size=131072
main.consumer.max.poll.records=5000
"""
"""Of the tuned Kafka Streams: fewer transactions, states written through a cache, larger batches."""


class Place(NamedTuple):
    """Where a run takes place: servers, names of its own, and a folder of its own."""

    kafka: str
    redis: str
    group: str
    folder: Path

    @property
    def crossings(self) -> str:
        """The topic for the crossings."""
        return f"{self.group}.crossings"


class Worker(NamedTuple):
    """One process: its command, and its environment beside ours. ``metrics_port`` is 0 for one that prints marks."""

    command: list[str]
    environ: dict[str, str]
    metrics_port: int = 0


class System(NamedTuple):
    """``install`` gives the program that runs it, or raises ``NotAvailable``. ``log`` has an award log to create."""

    title: str
    install: Callable[[], Path]
    workers: Callable[[Path, Input, Place], list[Worker]]
    slow: bool = False
    log: bool = False


def _python() -> Path:
    return Path(sys.executable)


def _marked(source: Input, place: Place) -> dict[str, str]:
    """The environment of a worker that prints marks."""
    return {
        "KAFKA": place.kafka,
        "REDIS": place.redis,
        "GROUP": place.group,
        "CROSSINGS": place.crossings,
        "TOPICS": ",".join(source.topics),
        "SCHEMAS": ",".join(map(str, source.schema_files)),
        "EVENTS": str(source.workload.events),
        "STATE_DIR": str(place.folder),
    }


def _module(name: str, **environ: str) -> Callable[[Path, Input, Place], list[Worker]]:
    """A worker in Python, by the name of its module in this package."""

    def workers(python: Path, source: Input, place: Place) -> list[Worker]:
        return [Worker([str(python), "-m", f"tests.bench.peers.{name}"], _marked(source, place) | environ)]

    return workers


def _kafka_streams(guarantee: str, settings: str = "", cache: str = "") -> Callable[[Path, Input, Place], list[Worker]]:
    def workers(folder: Path, source: Input, place: Place) -> list[Worker]:
        lines = f"processing.guarantee={guarantee}\n{settings}"
        jars = f"{folder}/*{os.pathsep}{folder}/libs/*"
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        environ = _marked(source, place) | {"SETTINGS": lines, "CACHE": cache}
        return [Worker(["java", quiet, "-cp", jars, "peers.Worker"], environ)]

    return workers


def leadscore_environ(source: Input, place: Place) -> dict[str, str]:
    """The worker's settings: defaults, but for names and addresses, and crossings as JSON, as the others write them."""
    return {
        "LEADSCORE_MODEL": str(source.model_file),
        "LEADSCORE_GROUP": place.group,
        "LEADSCORE_SOURCE_TOPICS": ",".join(source.topics),
        "LEADSCORE_SCHEMA_REGISTRY_URL": source.registry,
        "LEADSCORE_SCHEMA_REGISTRY_REGISTER": "false",
        "LEADSCORE_CROSSING_FORMAT": "json",
        "LEADSCORE_COMMAND_TOPIC": f"{place.group}.commands",
        "LEADSCORE_LOG_TOPIC": f"{place.group}.log",
        "LEADSCORE_MODELS_TOPIC": f"{place.group}.models",
        "LEADSCORE_CROSSING_TOPIC": place.crossings,
        "LEADSCORE_DEAD_LETTER_TOPIC": f"{place.group}.dead",
        "LEADSCORE_LOG_PARTITIONS": str(LOG_PARTITIONS),
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": place.kafka,
        "LEADSCORE_REDIS_URL": place.redis,
        "LEADSCORE_REDIS_PREFIX": place.group,
        "LEADSCORE_HTTP_HOST": "127.0.0.1",
    }


def _leadscore(*roles: str, has_own_model: bool = True) -> Callable[[Path, Input, Place], list[Worker]]:
    """Workers of these roles; without a model of its own it has the rules of ``peers``, on whichever events."""

    def workers(python: Path, source: Input, place: Place) -> list[Worker]:
        command = [str(python.with_name("leadscore")), "run"]
        environ = leadscore_environ(source, place)
        if not has_own_model:
            environ["LEADSCORE_MODEL"] = str(peers_model(place.folder))
        ports = free_ports(len(roles))
        return [
            Worker(command, environ | {"LEADSCORE_ROLE": role, "LEADSCORE_HTTP_PORT": str(port)}, port)
            for role, port in zip(roles, ports, strict=True)
        ]

    return workers


SYSTEMS: Mapping[str, System] = {
    "decode": System("consume + decode alone (fastavro)", _python, _module("decode_worker")),
    "leadscore": System("leadscore, one process", installs.leadscore_compiled, _leadscore("all"), log=True),
    "leadscore-two": System(
        "leadscore, two processes", installs.leadscore_compiled, _leadscore("match", "score"), log=True
    ),
    "leadscore-pure": System(
        "leadscore, one process, not compiled", installs.leadscore_pure, _leadscore("all"), log=True
    ),
    "leadscore-two-pure": System(
        "leadscore, two processes, not compiled", installs.leadscore_pure, _leadscore("match", "score"), log=True
    ),
    "leadscore-peers-rules": System(
        "leadscore, one process, rules of peers",
        installs.leadscore_compiled,
        _leadscore("all", has_own_model=False),
        log=True,
    ),
    "leadscore-two-peers-rules": System(
        "leadscore, two processes, rules of peers",
        installs.leadscore_compiled,
        _leadscore("match", "score", has_own_model=False),
        log=True,
    ),
    "kafka-streams-eos": System(
        "Kafka Streams, exactly once", installs.kafka_streams, _kafka_streams("exactly_once_v2")
    ),
    "kafka-streams-eos-tuned": System(
        "Kafka Streams, exactly once, tuned",
        installs.kafka_streams,
        _kafka_streams("exactly_once_v2", TUNED, cache="1"),
    ),
    "kafka-streams": System("Kafka Streams, at least once", installs.kafka_streams, _kafka_streams("at_least_once")),
    "redis": System("Redis and Lua, one call per event", _python, _module("redis_worker"), slow=True),
    "quix": System(
        "Quix Streams, at least once", installs.quix, _module("quix_worker", GUARANTEE="at-least-once"), slow=True
    ),
}
"""By name, in the order of the table."""
