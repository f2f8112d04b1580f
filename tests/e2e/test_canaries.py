"""People's data and secrets that go into a worker, and where none of them comes out again."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from confluent_kafka import Message

from leadscore.log.records import partition_of
from leadscore.store.keys import ShardKeys
from tests.deployment import LOG_PARTITIONS, headers_of, now_ms
from tests.secured_deployment import SecuredDeployment, run_command, variables
from tests.secured_servers import PASSWORDS, SecuredKafka
from tests.servers import RedisServer, wait_until
from tests.span_collector import Collector, collecting_spans

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(300)]

ADDRESS = "canary.person@secret-mail.example"
ATTRIBUTE, FIELD, NAME = "canary-attribute-7f3a", "canary-field-7f3a", "canary-name-7f3a"
PEOPLE = (ADDRESS, ADDRESS.upper(), ATTRIBUTE, FIELD, NAME)
LEAD_ID_KEY, REDIS_PASSWORD = "canary-lead-id-key-7f3a", "canary/redis#password"
SECRETS = (LEAD_ID_KEY, REDIS_PASSWORD, "canary%2Fredis", PASSWORDS["worker"])
TRACE_PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PATHS = ("/metrics", "/readyz", "/livez", "/startupz")
MODEL: Mapping[str, Any] = {
    "model": "canaries",
    "version": 1,
    "rules": {"page": {"event": "website.page_view", "where": {"path": {"matches": "canary"}}, "points": 60}},
    "fit": {"attributes": {"role": [{"matches": "^canary", "points": 10}]}},
    "thresholds": {"mql": {"enter": 50, "exit": 35}},
}
MAPPING = {
    "type": "website.page_view",
    "event_id": "id",
    "lead_id": {"keyed_hash": "mail"},
    "occurred_at": "at",
    "fields": {"path": "path"},
    "attributes": {"members": "about"},
}


def record(number: int) -> dict[str, Any]:
    return {
        "id": f"e-{number}",
        "mail": ADDRESS,
        "at": now_ms(),
        "path": f"/{FIELD}",
        "about": {"role": ATTRIBUTE, "name": NAME},
    }


def damaged_records() -> Iterator[bytes]:
    """A canary in every place where something else is expected."""
    for number, (key, wrong) in enumerate(
        (key, wrong)
        for key in ("id", "mail", "at", "path", "about")
        for wrong in (None, [ADDRESS], {ADDRESS: NAME}, NAME * 300, f"{NAME}\n", {"a": {"b": [{"c": ADDRESS}]}})
    ):
        yield json.dumps({**record(1_000 + number), key: wrong}).encode()
    whole = json.dumps(record(2_000)).encode()
    yield from (
        whole[:-9],
        whole + whole,
        b"[" + whole,
        NAME.encode(),
        f'{{"{ADDRESS}":'.encode(),
        b'"' + ADDRESS.encode(),
    )
    yield from (b"\x00\x00\x00\x00\x07" + ADDRESS.encode(), b"\xc3\x01" + ADDRESS.encode(), b"\xff" + NAME.encode())


@pytest.fixture
def deployment(
    secured_kafka: SecuredKafka, secured_redis: RedisServer, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[SecuredDeployment]:
    name = fresh_name("d")
    made = SecuredDeployment(secured_kafka, secured_redis, (name, name), tmp_path, MODEL)
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text(yaml.safe_dump({made.topic("website"): MAPPING}))
    place, _, options = secured_redis.url.partition("?")
    login = f"://{name}:{quote(REDIS_PASSWORD, safe='')}@"
    made.environ |= {
        "LEADSCORE_MAPPINGS": str(mappings),
        "LEADSCORE_LEAD_ID_KEY": LEAD_ID_KEY,
        "LEADSCORE_REDIS_URL": f"{place.replace('://', login)}?{options}",
        "LEADSCORE_DEAD_LETTER_MAX_RATIO": "1",
        "LEADSCORE_DELIVERY": "transactional",
        "LEADSCORE_LOG_LEVEL": "debug",
    }
    made.create_topics(source_partitions=1)
    made.add_scores_topic("1")
    made.create(*made.bindings_of_the_page())
    with made.redis_user(name, REDIS_PASSWORD):
        yield made
        made.stop()


@pytest.fixture
def collector(deployment: SecuredDeployment) -> Iterator[Collector]:
    """Gets the spans of the deployment's workers."""
    with collecting_spans() as made:
        deployment.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = made.url
        yield made


def test_nobodys_data_and_no_secret_comes_out_anywhere(deployment: SecuredDeployment, collector: Collector) -> None:
    """Redis, topics, headers, reasons of dead letters, logs, metrics, spans, commands; a crash; a damaged state."""
    worker = deployment.start_worker()
    send(deployment, json.dumps(record(1)).encode(), *damaged_records(), json.dumps(record(2)).encode())
    deployment.wait_until_done()
    [crossing] = deployment.crossings()
    letters = [ours for letter in deployment.read("dead-letters") if (ours := headers_of_ours(letter))]
    assert len(letters) > 20
    assert ADDRESS in whole(deployment.read("dead-letters")[0])  # it went in, and a record stays as it came
    assert_no_canary("dead letters", *letters)
    for word in ("log", "models", "crossings", "scores"):
        assert_no_canary(word, *map(whole, deployment.read(word)))
    assert_no_canary("Redis", *stored(deployment))
    assert_no_canary("HTTP", *(worker.get(path)[1] for path in PATHS))
    assert_no_canary("commands", *said_by_commands(deployment, crossing["lead_id"]))
    assert worker.terminate() == 0
    assert_no_canary("log", worker.log_path.read_text())
    spans = [body for _, body in collector.requests]
    assert spans
    assert_no_canary("spans", *spans)

    damage_state(deployment, crossing["lead_id"])
    send(deployment, json.dumps(record(3)).encode())
    last = deployment.start_worker(PYTHONFAULTHANDLER="1")
    wait_until(lambda: last.said("log_partitions_stopped"), 30, "the state to be refused")
    assert_no_canary("HTTP of a stopped partition", *(last.get(path)[1] for path in PATHS))
    last.process.send_signal(signal.SIGABRT)
    last.wait_for_death()
    dumped = last.log_path.read_text()
    assert "Fatal Python error: Aborted" in dumped
    assert_no_canary("a damaged state and a crash", dumped)


def send(deployment: SecuredDeployment, *values: bytes) -> None:
    for value in values:
        headers = [("user", ADDRESS.encode()), ("traceparent", TRACE_PARENT)]
        beside = {"key": ADDRESS.encode(), "headers": headers}
        deployment.send_bytes("website", value, now_ms(), **beside)
    deployment.producer.flush(30)


def headers_of_ours(letter: Message) -> str:
    """Those of the record stand before them, untouched."""
    return str([header for header in headers_of(letter) if header[0].startswith(("leadscore.", "__connect"))])


def said_by_commands(deployment: SecuredDeployment, lead_id: str) -> Iterator[str]:
    """What commands print, but for ``dlq show``, which shows a record as it came."""
    login = variables(deployment.secured.scram_login("admin"))
    commands = ("explain " + lead_id, "list --threshold mql", "log --lead " + lead_id, "dlq list --verbose")
    with ThreadPoolExecutor() as pool:  # most of their time they start
        yield from pool.map(lambda words: run_command(deployment, *words.split(), **login), commands)


def damage_state(deployment: SecuredDeployment, lead_id: str) -> None:
    """What is stored of the lead is no state, and has an address in it."""
    keys = ShardKeys(deployment.prefix, partition_of(lead_id, LOG_PARTITIONS), LOG_PARTITIONS)
    with deployment._redis() as client:
        client.set(keys.lead_prefix + lead_id, b"\x03\x93\xa5" + ADDRESS.encode())


def stored(deployment: SecuredDeployment) -> Iterator[bytes]:
    """Every key and every value."""
    with deployment._redis() as client:
        for key in client.scan_iter(match=f"*{deployment.prefix}*"):
            yield key
            match client.type(key):
                case b"string":
                    yield client.get(key) or b""
                case b"hash":
                    yield str(client.hgetall(key)).encode()
                case _:
                    yield str(client.zrange(key, 0, -1)).encode()


def whole(message: Message) -> str:
    return f"{message.key()!r} {headers_of(message)} {message.value()!r}"


def assert_no_canary(place: str, *texts: str | bytes) -> None:
    for text in texts:
        seen = text.decode("latin-1") if isinstance(text, bytes) else text
        shown = [canary for canary in (*PEOPLE, *SECRETS) if canary in seen]
        assert not shown, f"{place}: {shown}: {seen[:2000]}"
