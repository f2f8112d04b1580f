"""The preset for Segment and RudderStack records: track, page, screen and identify calls. Pure.

The lead is ``userId``, else ``anonymousId``; the event id is ``messageId``. Properties become fields of the top level,
the context stays under ``context.``; the traits of an identify call are the attributes.
"""

from collections.abc import Callable, Mapping

from leadscore.events.foreign import FieldPath, finder, refuse_missing, snake_case
from leadscore.events.validation import FieldProblem, Record

_FIXED_TYPES = {"page": "website.page_view", "screen": "app.screen_view", "identify": "profile.updated"}

_PATHS: Mapping[str, FieldPath] = {
    "lead_id": ["userId", "anonymousId"],
    "event_id": "messageId",
    "occurred_at": ["timestamp", "originalTimestamp"],
}
_find = {name: finder(path) for name, path in _PATHS.items()}
_traits = finder(["traits", "context.traits"])
_page_path = finder(["properties.path", "context.page.path"])
_campaign = finder(["context.campaign.name", "properties.campaign"])


def record_mapper(types: Mapping[str, str]) -> Callable[[Record], tuple[Record, Record]]:
    """The mapper; ``types`` gives event types to names of track calls, others are ``track.<name in snake case>``."""

    def map_record(record: Record) -> tuple[Record, Record]:
        call = record.get("type")
        envelope: Record = {
            "type": _event_type(call, record, types),
            "attributes": _traits(record) if call == "identify" else None,
            **{name: find(record) for name, find in _find.items()},
        }
        refuse_missing(envelope, _PATHS)
        return envelope, _fields(call, record)

    return map_record


def _event_type(call: object, record: Record, types: Mapping[str, str]) -> str:
    if not isinstance(call, str) or not call:
        raise FieldProblem("type", call, "track, page, screen or identify")
    if call != "track":
        return _FIXED_TYPES.get(call, f"segment.{call}")
    name = record.get("event")
    if not isinstance(name, str) or not name:
        raise FieldProblem("event", name, "the name of the tracked event")
    if name in types:
        return types[name]
    if not (words := snake_case(name)):
        raise FieldProblem("event", name, "a name with a letter or digit in it")
    return f"track.{words}"


def _fields(call: object, record: Record) -> Record:
    properties = record.get("properties")
    fields: Record = dict(properties) if isinstance(properties, dict) else {}
    fields["context"] = record.get("context")
    fields["campaign"] = _campaign(record)
    if call == "page":
        fields["path"] = _page_path(record)
    if call in ("page", "screen"):
        fields.setdefault("name", record.get("name"))
    return fields
