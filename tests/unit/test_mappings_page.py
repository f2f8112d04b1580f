"""docs/mappings.md: every example does what it shows, and every key has one; the JSON Schema is current."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from leadscore.cli.mapped_records import Records, mapped_records
from leadscore.events.event_bytes import json_bytes
from leadscore.mapping.json_schema import mappings_schema
from leadscore.mapping.language import NAMES, Attributes, Form, Pairs
from leadscore.mapping.load import load_mappings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "mappings.md").read_text()
KEY = "a secret of at least sixteen characters"


class Example(NamedTuple):
    """A mapping of the page, records, and the events they become."""

    title: str
    mapping: str
    is_kcat: bool
    records: str
    events: list[Any]


def examples() -> list[Example]:
    pattern = r"## ([^\n]*)\n(?:(?!\n## ).)*?```yaml\n(.*?)```\n```json( kcat)?\n(.*?)```\n```json events\n(.*?)```"
    return [
        Example(title, mapping, bool(kcat), records, [json.loads(line) for line in events.splitlines()])
        for title, mapping, kcat, records, events in re.findall(pattern, PAGE, re.DOTALL)
    ]


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.title for example in EXAMPLES])
def test_an_example_of_the_page_does_what_it_shows(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_LEAD_ID_KEY", KEY)
    mappings, lines = tmp_path / "mappings.yaml", tmp_path / "records.jsonl"
    mappings.write_text(example.mapping)
    lines.write_text(example.records)
    topic = next(iter(load_mappings(mappings)))
    made = list(mapped_records(str(mappings), Records(str(lines), topic, example.is_kcat)))
    assert [str(record.dead_letter) for record in made if record.dead_letter is not None] == []
    assert [json.loads(json_bytes(event)) for record in made for event in record.events] == example.events


def test_every_key_has_an_example() -> None:
    shown = "\n".join(example.mapping for example in EXAMPLES)
    keys = {*NAMES, *Form.__struct_encode_fields__, *Pairs.__struct_fields__, *Attributes.__struct_fields__}
    assert {key for key in keys if not re.search(rf"\b{key}:", shown)} - {"keyed_hash"} == set()
    assert "keyed_hash:" in shown


def test_the_schema_in_the_repository_is_current() -> None:
    current = json.loads((ROOT / "schemas" / "mappings.schema.json").read_text())
    assert current == mappings_schema(), "run: python -c on leadscore.mapping.json_schema, into schemas/"


def test_the_schema_describes_every_key() -> None:
    definitions: Any = mappings_schema()["$defs"]
    for definition in definitions.values():
        for name, key in definition.get("properties", {}).items():
            assert key.get("description"), name
