"""Quix Streams: the source topics side by side, grouped by lead (a repartition topic), scored with state in RocksDB."""

import os
from functools import partial
from typing import Any

from quixstreams import Application, State

from tests.bench.peers.scoring import Event, Marks, act_of, decode, fold, new_lead, reader_of, source_topics

MARKS = Marks()


def read(value: bytes, schema: Any) -> Event:
    """A value to what scoring needs of it."""
    MARKS.first()
    return act_of(decode(value, schema))


def score(act: Event, state: State) -> Event | None:
    """Add an act to its lead's state; the crossing."""
    lead = state.get("lead") or new_lead()
    changed, crossing = fold(lead, act)
    if changed:
        state.set("lead", lead)
    MARKS.done()
    return crossing


def main() -> None:
    """Until SIGTERM."""
    environ = os.environ
    schema = reader_of(environ["SCHEMAS"].split(",")[0])
    application = Application(
        broker_address=environ["KAFKA"],
        consumer_group=environ["GROUP"],
        auto_offset_reset="earliest",
        state_dir=environ["STATE_DIR"],
        processing_guarantee=environ["GUARANTEE"],
        consumer_extra_config={"session.timeout.ms": int(environ.get("SESSION_MS", "45000"))},
    )
    topics = [application.topic(name, value_deserializer="bytes", key_deserializer="str") for name in source_topics()]
    first, *others = [application.dataframe(topic).apply(partial(read, schema=schema)) for topic in topics]
    for other in others:
        first = first.concat(other)
    crossings = first.group_by("lead_id").apply(score, stateful=True).filter(lambda crossing: crossing is not None)
    out = application.topic(environ["CROSSINGS"], value_serializer="json")
    crossings.to_topic(out, key=lambda crossing: crossing["lead_id"])
    application.run()


if __name__ == "__main__":
    main()
