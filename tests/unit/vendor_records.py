"""Records after each vendor's public documentation (``tests/presets``), and what the presets make of each.

docs/presets.md shows it as tables.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from leadscore.events.event import Event
from leadscore.log.records import AttributeAward, stable_id
from leadscore.mapping.compiled import CompiledMapping
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import preset
from leadscore.mapping.topics import compile_mappings
from leadscore.model.definition import Rule
from leadscore.model.load import load_model
from leadscore.model.matching import Matcher

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "tests" / "presets"
KEY = "a secret of at least sixteen characters"
TIMESTAMP_MS = 1_767_607_200_000
STARTER = load_model(ROOT / "deploy" / "model.yaml").definition
_MATCHER = Matcher(STARTER)
_RULES: Mapping[int, Rule] = {stable_id(name): rule for name, rule in STARTER.rules.items()}


class VendorRecord(NamedTuple):
    """A record that a vendor sends: its name for the event, and the record."""

    event: str
    value: bytes | None
    beside: Beside


def vendor_records(name: str) -> Iterator[VendorRecord]:
    """The records of a preset's vendor."""
    for line in (RECORDS / f"{name}.jsonl").read_text().splitlines():
        written: dict[str, Any] = json.loads(line)
        headers = [(header, text.encode()) for header, text in written.get("headers", {}).items()]
        key = json.dumps(written["key"]).encode() if "key" in written else None
        value = None if written["record"] is None else json.dumps(written["record"]).encode()
        yield VendorRecord(written["event"], value, Beside(key, headers, TIMESTAMP_MS))


def with_preset(name: str) -> MappedTopics:
    """A decoder whose topic has the preset."""
    mappings: dict[str, CompiledMapping] = compile_mappings({"topic": preset(name)}, KEY)
    return MappedTopics(mappings)


def events_of(name: str, record: VendorRecord) -> list[Event]:
    """What the preset makes of the record; ``DeadLetter`` if it is wrong."""
    return with_preset(name).events("topic", record.value, record.beside)


def table_rows(name: str) -> list[str]:
    """The rows of the table of a preset in docs/presets.md."""
    return [_row(record.event, events_of(name, record)) for record in vendor_records(name)]


def _row(vendor_event: str, events: list[Event]) -> str:
    types = ", ".join(f"`{event.type}`" for event in events) or "ignored"
    return f"| {vendor_event} | {types} | {'; '.join(dict.fromkeys(map(_points, events)))} |"


def _points(event: Event) -> str:
    if event.type == "command.erase":
        return "the lead is forgotten"
    if event.type == "command.merge":
        return "two ids become one lead"
    award = _MATCHER.award(event, 0, 0)
    if award is None:
        return "attributes that no rule names" if event.attributes else "no rule"
    parts = [f"{sum(rule.points for rule in award.rules):g}"] if award.rules else []
    parts += [flag for rule in award.rules for flag in _flags(_RULES[rule.rule_id])]
    parts += ["fit"] if award.attributes and _is_set(award.attributes) else []
    return ", ".join(parts) or "fit is taken back"


def _flags(rule: Rule) -> list[str]:
    return [word for word in ("qualifies", "disqualifies") if getattr(rule, word) is not None]


def _is_set(attributes: list[AttributeAward]) -> bool:
    return any(attribute.points is not None for attribute in attributes)
