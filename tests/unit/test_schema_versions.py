"""Every version of a schema that was released is still in ``schemas/``, and any two of a record are compatible."""

import io
import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import fastavro
import pytest
from fastavro.schema import parse_schema

from leadscore.events.local_schemas import schema_texts, single_object_header
from tests.random_avro import Values

Json = Any  # what JSON holds

RELEASED: Mapping[str, list[str]] = json.loads((Path(__file__).parent / "released_schemas.json").read_text())
"""By record, oldest first: what stands before the values of each version that was ever released. Only added to."""
RECORDS_OF_A_PAIR = 30


def versions() -> dict[str, list[str]]:
    """The names of the versions of each record."""
    names = defaultdict(list)
    for name in schema_texts():
        names[name.partition(".")[0]].append(name)
    return names


PAIRS = [pair for names in versions().values() for pair in permutations(names, 2)]


def plain(name: str) -> Json:
    """fastavro would read instants as datetimes."""
    return json.loads(schema_texts()[name].replace(', "logicalType": "timestamp-millis"', ""))


def test_every_version_that_was_released_is_still_here() -> None:
    here = {name: [single_object_header(one).hex() for one in names] for name, names in versions().items()}
    missing = {name: sorted(set(released) - set(here.get(name, []))) for name, released in RELEASED.items()}
    assert missing == {name: [] for name in RELEASED}, "keep the older text beside the new one, as NAME.NUMBER.avsc"
    assert here.keys() == RELEASED.keys(), "a new schema is added to released_schemas.json"


@pytest.mark.parametrize(("reader", "writer"), PAIRS)
def test_any_two_versions_understand_each_other(reader: str, writer: str) -> None:
    """FULL_TRANSITIVE: what both have is as it was written, what the writer lacks has its default."""
    random = Random(f"{reader} {writer}")
    read_as, written_as = plain(reader), plain(writer)
    of_writer = {field["name"]: field for field in written_as["fields"]}
    values = Values(random, written_as)
    for _ in range(RECORDS_OF_A_PAIR):
        content = values.one()
        record = fastavro.schemaless_reader(io.BytesIO(content), parse_schema(written_as), None)
        read = fastavro.schemaless_reader(io.BytesIO(content), parse_schema(written_as), parse_schema(read_as))
        assert isinstance(record, dict)
        assert isinstance(read, dict)
        expected = {
            field["name"]: repr(understood(field, record) if field["name"] in of_writer else field["default"])
            for field in read_as["fields"]
        }
        assert {name: repr(value) for name, value in read.items()} == expected


def understood(field: Json, record: Json) -> Json:
    """The value, or the default where a reader's enum does not have the symbol."""
    type_, value = field["type"], record[field["name"]]
    if isinstance(type_, dict) and type_["type"] == "enum" and value not in type_["symbols"]:
        return type_["default"]
    return value
