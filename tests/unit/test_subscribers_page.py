"""docs/subscribers.md against the code: the example of a crossing, and the bytes before a value."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from leadscore.events.local_schemas import schema_texts, single_object_header
from leadscore.pipeline.score.publishing import crossing_output, json_encoding
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.reasons import MOST_REASONS, WORTH_A_REASON

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "subscribers.md").read_text()
EXAMPLE: dict[str, Any] = json.loads((ROOT / "schemas" / "examples" / "crossing.json").read_text())[0]


def example_crossing() -> Crossing:
    """The crossing of the example file; its instants have their unit in the name here."""
    names = {name.removesuffix("_ms"): name for name in Crossing.__struct_fields__}
    return msgspec.convert({names[name]: value for name, value in EXAMPLE.items()}, Crossing)


def test_the_json_crossing_of_the_page_is_what_the_worker_publishes() -> None:
    [block] = re.findall(r"^```http\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    head, _, body = block.partition("\n\n")
    record = crossing_output(example_crossing(), json_encoding())
    assert record.key is not None
    assert record.value is not None
    assert head.splitlines() == [
        f"key: {record.key.decode()}",
        *(f"{name}: {value!s}" for name, value in record.headers),
    ]
    assert json.loads(body) == json.loads(record.value)


def test_the_first_bytes_of_every_version_of_the_schema_are_on_the_page() -> None:
    rows = dict(re.findall(r"^\| `(crossing[.\d]*)` \| `([0-9a-f]{20})` \|$", PAGE, re.MULTILINE))
    versions = [name for name in schema_texts() if name.partition(".")[0] == "crossing"]
    assert rows == {name: single_object_header(name).hex() for name in versions}


def test_the_page_has_every_field_of_a_latest_score_and_its_first_bytes() -> None:
    latest = PAGE.split("\n## Latest scores\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| ", latest, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    schema = json.loads(schema_texts()["lead_score"])
    assert sorted(named) == sorted(field["name"] for field in schema["fields"])
    assert f"`{single_object_header('lead_score').hex()}`" in latest


def test_the_page_says_how_many_reasons_there_are() -> None:
    assert MOST_REASONS == 5
    assert "the five rules, conditions and attributes with the most points" in PAGE
    assert f"without those below {WORTH_A_REASON:g}" in PAGE
