"""What the old version stored and published, as ``make_fixture`` wrote it down."""

import json
from base64 import b64decode
from functools import cache
from pathlib import Path

import msgspec

from leadscore.model.definition import ModelDefinition
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.erasures import Erasure
from leadscore.scoring.simulation import _Run
from leadscore.scoring.state import decode_state
from tests.old_version.lives import END_MS, LIVES, Life, Plain
from tests.oracle import Entry

FIXTURE = Path(__file__).with_name("fixture.json")


@cache
def fixture() -> Plain:
    read: Plain = json.loads(FIXTURE.read_text())
    return read


@cache
def lives() -> list[Life]:
    return [Life(seed) for seed in range(LIVES)]


def entries_of(life: Life) -> list[Entry]:
    """What the old version folded."""
    return [Entry(event, log_time_ms) for event, log_time_ms in zip(life.events, life.log_times_ms, strict=True)]


def bytes_of(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def states_of(seed: int) -> dict[str, bytes | None]:
    """The leads of a life, as the old version stored them at its end."""
    return {lead_id: bytes_of(text) for lead_id, text in fixture()["lives"][seed]["states"].items()}


def taken_over(life: Life) -> _Run:
    """This version, going on from what the old one stored."""
    settings = FoldSettings(recent_events=life.recent_events)
    run = _Run(msgspec.convert(life.model, ModelDefinition), settings)
    run.go_on_to(END_MS)
    for lead_id, data in states_of(life.seed).items():
        run._put(lead_id, None if data is None else decode_state(data))
    run._seen.update(event["lead_id"] for event in life.events)
    decoder = msgspec.msgpack.Decoder(Erasure)
    erased = fixture()["lives"][life.seed]["erased"].items()
    run._erasures.update((b64decode(hashed), decoder.decode(b64decode(data))) for hashed, data in erased)
    return run
