"""What the old version stores and publishes for the lives of ``lives``: written to ``fixture.json``.

Runs on the source of that version, not on this one's (``python -m tests.old_version.checkout`` does it all):

    PYTHONPATH=OLD/src:. python -m tests.old_version.make_fixture tests/old_version/fixture.json
"""

import json
import sys
from base64 import b64encode
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from tests.old_version.lives import DAY_MS, END_MS, LIVES, READ_DAYS, Life, Plain

# Not imported by name: these modules are the old version's.
simulation, state = import_module("leadscore.scoring.simulation"), import_module("leadscore.scoring.state")
context, definition = import_module("leadscore.scoring.context"), import_module("leadscore.model.definition")
shards, publishing = import_module("leadscore.pipeline.shard"), import_module("leadscore.pipeline.publishing")
records, matching = import_module("leadscore.log.records"), import_module("leadscore.model.matching")
fences, compiling = import_module("leadscore.store.fence"), import_module("leadscore.model.compile")
json_lines, crossings = import_module("leadscore.events.json_lines"), import_module("leadscore.scoring.crossing")
SOURCE = records.Source("website", "topic-id", 2)


def text_of(data: bytes) -> str:
    return b64encode(data).decode()


def event_of(event: Plain) -> Any:
    return json_lines.read_line(json.dumps(event))[0]


def simulated(life: Life) -> Plain:
    """Each lead as bytes before each record and after it, as in Redis, and what came of the whole life."""
    settings = context.FoldSettings(recent_events=life.recent_events)
    run = simulation._Run(msgspec.convert(life.model, definition.ModelDefinition), settings)
    for event, log_time_ms in zip(life.events, life.log_times_ms, strict=True):
        run.go_on_to(log_time_ms)
        run.apply(event_of(event))
    run.go_on_to(END_MS)
    stored = {lead_id: lead and text_of(state.encode_state(lead)) for lead_id, lead in run._states.items()}
    erased = {text_of(hashed): text_of(msgspec.msgpack.encode(erasure)) for hashed, erasure in run._erasures.items()}
    made = [crossings.as_json_object(crossing) for crossing in run.crossings]
    return {"states": stored, "erased": erased, "crossings": made, "scores": scores_of(run)}


def scores_of(run: Any) -> list[Plain]:
    lines = []
    for day in READ_DAYS:
        at_ms = END_MS + round(day * DAY_MS)
        for line in run.scores(at_ms):
            names = ("lead_id", "score", "engagement", "fit", "grade", "band", "disqualified", "as_of_ms")
            lines.append({name: getattr(line, name) for name in names})
    return lines


def of_shard(life: Life) -> Plain:
    """The life as a shard's log: its records, and what one write of all of it stores."""
    model = msgspec.convert(life.model, definition.ModelDefinition)
    compiled, matcher = compiling.compile_model(model), matching.Matcher(model)
    settings = context.FoldSettings(recent_events=life.recent_events)
    fence = fences.Fence("log-id", -1, 0, 0, {}, "writer")
    shard = shards.Shard(0, None, fence, lambda _: compiled, settings)
    shard.load(["L1", "L2", "L3"], [None] * 3)
    log = []
    published = []
    for offset, (event, log_time_ms) in enumerate(zip(life.events, life.log_times_ms, strict=True)):
        award = matcher.award(event_of(event), 0, offset)
        frame = records.Frame(1, [SOURCE], [] if award is None else [award])
        log.append([log_time_ms, text_of(records.encode(frame))])
        outputs = shard.fold(frame, offset, log_time_ms)
        published += [[offset, *published_as(output)] for output in outputs]
    write = shard.pending(0)
    return {
        "log": log,
        "fence": text_of(write.fence),
        "outbox": {str(offset): text_of(data) for offset, data in write.outbox.items()},
        "published": published,
        "leads": {lead_id: lead.state and text_of(lead.state) for lead_id, lead in write.leads.items()},
        "erased": {text_of(hashed): data and text_of(data) for hashed, data in write.erased.items()},
    }


def published_as(output: Any) -> list[Plain]:
    """The record that is published: as Avro, as JSON, as Avro with a registry that has the schema under id 7."""
    made = []
    for encoding in (publishing.avro_encoding(None), publishing.json_encoding(), publishing.avro_encoding(7)):
        record = publishing.output_record(output, encoding)
        made.append(
            {
                "key": record.key.decode(),
                "value": None if record.value is None else text_of(record.value),
                "headers": record.headers,
                "timestamp_ms": record.timestamp_ms,
            }
        )
    return made


def main() -> None:
    """Write the fixture."""
    lives = [Life(seed) for seed in range(LIVES)]
    fixture = {"lives": [simulated(life) for life in lives], "shards": [of_shard(life) for life in lives[:5]]}
    Path(sys.argv[1]).write_text(json.dumps(fixture, sort_keys=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
