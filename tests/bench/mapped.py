"""``python -m tests.bench.mapped``: what a mapping costs per event, in one thread, without a server.

The same events as JSON: in our own form, and in a foreign form that a mapping turns into the same events. Both go from
the bytes of the records to awards; the figures are CPU time per event, the least of interleaved repeats.
"""

import json
import time
from random import Random

from confluent_kafka import Message

from leadscore.events.decoder import Decoder
from leadscore.log.records import Source, decode
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings
from leadscore.model.compile import compile_model
from leadscore.model.load import load_model
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.pipeline.match.batch import Work
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.starter_files import starter_model
from leadscore.store.fence import Fence
from tests.bench.clock import print_table

EVENTS = 20_000
LEADS = 5_000
REPEATS = 15
NOW_MS = 1_767_607_200_000
MAPPING = """
foreign:
  lead_id: customer
  event_id: id
  occurred_at: ts
  type_field: kind
  types: {Page Viewed: website.page_view}
  fields: {path: url_path}
  attributes: none
"""


CONFIG = load_config({"LEADSCORE_LOG_PARTITIONS": "1"})
with starter_model() as path:
    MODEL = load_model(path).definition


def main() -> None:
    """Print the cost of both, and of both again with no mapping configured."""
    random = Random(0)
    ours, foreign = [], []
    for index in range(EVENTS):
        values = {
            "path": f"/blog/{random.randrange(500)}",
            "campaign": "spring",
            "referrer": "https://www.example.com/",
        }
        lead, at_ms = f"lead-{random.randrange(LEADS)}", NOW_MS - random.randrange(10**9)
        one = {"type": "website.page_view", "event_id": f"e{index}", "lead_id": lead, "occurred_at": at_ms, **values}
        path = values.pop("path")
        other = {"kind": "Page Viewed", "id": f"e{index}", "customer": lead, "ts": at_ms, "url_path": path, **values}
        ours.append(_message("ours", index, one))
        foreign.append(_message("foreign", index, other))
    mapped = MappedTopics(compile_mappings(mappings_in(MAPPING, "mappings.yaml"), None))
    cases = {"no mappings": (ours, None), "unmapped topic": (ours, mapped), "mapped topic": (foreign, mapped)}
    least = dict.fromkeys(cases, (float("inf"), float("inf")))
    for _ in range(REPEATS):
        for name, (messages, topics) in cases.items():
            spent_us = _spent_us(messages, topics)
            least[name] = (min(least[name][0], spent_us[0]), min(least[name][1], spent_us[1]))
    first = least["no mappings"]
    rows = [
        (name, *(f"{us:.2f} ({us / base:.2f})" for us, base in zip(spent_us, first, strict=True)))
        for name, spent_us in least.items()
    ]
    print_table(("us per event (ratio)", "bytes to awards", "bytes to states"), rows)


def _message(topic: str, offset: int, record: dict[str, object]) -> Message:
    return Message(topic=topic, partition=0, offset=offset, value=json.dumps(record).encode(), timestamp=(1, NOW_MS))


def _spent_us(messages: list[Message], mapped: MappedTopics | None) -> tuple[float, float]:
    """Microseconds per event: from the bytes to awards, and from the bytes to states."""
    model = compile_model(MODEL)
    sources = {(topic, 0): Source(topic, "", 0) for topic in ("ours", "foreign")}
    shard = Shard(0, None, Fence("", -1, 0, 0, {}), lambda _: model, FoldSettings())
    shard.load([f"lead-{number}" for number in range(LEADS)], [None] * LEADS)
    work = Work(CONFIG, Decoder(), Matcher(MODEL), sources, mapped)
    start_s = time.thread_time()
    work.take(messages)
    matched_s = time.thread_time()
    for offset, (_, value) in enumerate(work.frames()):
        shard.fold(decode(value), offset, NOW_MS)
    per_event = 1e6 / len(messages)
    return (matched_s - start_s) * per_event, (time.thread_time() - start_s) * per_event


if __name__ == "__main__":
    main()
