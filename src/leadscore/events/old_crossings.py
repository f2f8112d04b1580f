"""Crossings that a version decided which did not number them, to be published as that version would have. Pure.

Such crossings are in outboxes that it left behind. Their schema is ``crossing.1.avsc``, in JSON the same names.
"""

from functools import cache
from typing import cast

import msgspec

from leadscore.events.local_schemas import parsed_schema
from leadscore.scoring.crossing import Crossing, as_json_object

OLD_SCHEMA = "crossing.1"


def old_crossing_record(crossing: Crossing) -> dict[str, object]:
    """What is encoded as Avro."""
    record = msgspec.to_builtins(crossing)
    return {name: record.get(name, record.get(f"{name}_ms")) for name in _names()}


def old_crossing_object(crossing: Crossing) -> dict[str, object]:
    """What is encoded as JSON."""
    named = as_json_object(crossing)
    return {name: named[name] for name in _names()}


@cache
def _names() -> tuple[str, ...]:
    fields = cast("list[dict[str, str]]", parsed_schema(OLD_SCHEMA)["fields"])
    return tuple(field["name"] for field in fields)
