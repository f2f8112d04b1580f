"""A mapping of a topic, compiled once: from a foreign record to the events in it. Pure.

What is wrong with a record is said by the paths of the mapping: its author knows no other names.
"""

from collections.abc import Callable
from typing import NoReturn

from leadscore.errors import DeadLetter, DeadLetterReason, without_traceback
from leadscore.events.event import PROFILE_UPDATED, Event, FieldValue
from leadscore.events.validation import FieldProblem, LeaveOut, Record, event_of, event_of_parts, unnoticed
from leadscore.log.records import ERASE
from leadscore.mapping.attributes import NONE, attributes_finder, members_paths
from leadscore.mapping.avro_shape import RecordShape
from leadscore.mapping.language import Attributes, Form, Merge, TopicMapping
from leadscore.mapping.merges import MergeFinder
from leadscore.mapping.paths import (
    BESIDE,
    Finder,
    Incoming,
    finder,
    is_nothing,
    is_rooted,
    put_at,
    steps_from_top,
    steps_of,
)
from leadscore.mapping.sense import data_paths, paths_in
from leadscore.mapping.text_json import read_text_json
from leadscore.mapping.times import EXPECTED_TIME, MOST_MS, MOST_SECONDS, LogicalType, Times
from leadscore.mapping.types import Types
from leadscore.mapping.values import (
    Checks,
    HashKey,
    all_paths,
    checks_of,
    has_form,
    parts_of,
    passes,
    paths_of,
    tested_paths,
    value_finder,
    words_of,
)

MOST_EVENTS = 2_000
"""Events in one record. Their awards for a log partition are in one frame, about 1 KB each with the longest ids, and
the award log takes records of 2 MiB: one that it refused would end the worker, again after each restart."""
_LEAD_ID, _TYPE = "$lead_id", "$type"


class _List:
    """A list of events: how it is found, and the steps to it from the record's top."""

    def __init__(self, path: str) -> None:
        self.find = finder(path)
        self.steps = steps_from_top(path)


class CompiledMapping:
    """What ``events`` needs, found out once."""

    def __init__(
        self, mapping: TopicMapping, hash_key: HashKey = None, *, gives_commands: bool = False, leave_out: LeaveOut
    ) -> None:
        self._mapping = mapping
        self._leave_out = leave_out
        data = data_paths(mapping)
        self._json = [(path, steps_of(path), path in data) for path in mapping.json]
        self._lists = None if mapping.elements_of is None else [_List(path) for path in paths_of(mapping.elements_of)]
        self._find_lead = value_finder(mapping.lead_id, hash_key)
        merge = mapping.merge
        self._merging = MergeFinder(merge, mapping.lead_id, hash_key) if isinstance(merge, Merge) else None
        self._find_id = value_finder(mapping.event_id, hash_key)
        self._find_time = _time_finder(mapping)
        type_paths = [] if mapping.type is not None else all_paths(mapping.type_field)
        self._has_type_in_headers = any(path.startswith("$headers") for path in type_paths)
        self._name_of_type = value_finder(mapping.type_field, hash_key)
        self._find_type = _type_finder(mapping, self._name_of_type, gives_commands=gives_commands)
        has_attributes = mapping.attributes != NONE
        self._find_attributes = attributes_finder(mapping.attributes, hash_key, leave_out) if has_attributes else None
        has_campaign = mapping.campaign != "campaign"  # that stays where it is
        self._find_campaign = value_finder(mapping.campaign, hash_key, leave_out) if has_campaign else None
        self._lifted = [finder(path) for path in mapping.lift]
        self._fields = [(name, value_finder(value, hash_key, leave_out)) for name, value in mapping.fields.items()]
        self._of_one_form = [name for name, value in mapping.fields.items() if has_form(value)]
        self._used = _used_names(mapping)
        self._looks_beside = any(path.startswith(BESIDE) for path in paths_in(mapping)) or mapping.on_delete != "ignore"
        special: dict[str, Finder] = {
            _LEAD_ID: self._find_lead,
            _TYPE: self._find_type,
        }
        self._skips: list[Checks] = [checks_of(tests, special) for tests in mapping.skip]
        self._skips_of_unread = [checks_of(tests, {}) for tests in mapping.skip if not special.keys() & tests]
        self._deleted = checks_of(mapping.deleted, special) if mapping.deleted else None
        self.words = {name: words_of(getattr(mapping, name)) for name in ("lead_id", "event_id")}
        self.words |= {"type": words_of(mapping.type_field), "occurred_at": " or ".join(paths_of(mapping.occurred_at))}
        self._missing = {"lead_id": _expected_lead(mapping), "event_id": "an id of the event"}

    @property
    def looks_beside(self) -> bool:
        """Whether it needs the record's key, headers or timestamp."""
        return self._looks_beside

    def events(self, incoming: Incoming) -> list[Event]:
        """The events of a record, in its order; none for a record that is not for us. ``DeadLetter`` if it is wrong."""
        record = incoming.record
        if incoming.unread is not None:
            return self._of_unread(incoming, incoming.unread)
        if record is None:
            return self._of_tombstone(incoming)
        parts = None if self._lists is None else self._listed(incoming)
        if parts is not None:
            return self._of_each(parts, incoming)
        if type(record) is not dict:
            expected = "an object; for a list of events: each: $record in the mapping"
            return self._of_unread(incoming, FieldProblem("the record", record, expected))
        return self._events_in(record, incoming)

    def _listed(self, incoming: Incoming) -> list[object] | None:
        record = incoming.record if isinstance(incoming.record, dict) else {}
        for listed in self._lists or []:
            parts = listed.find(record, incoming)
            if isinstance(parts, list):
                incoming.part = (*listed.steps, 0)
                return parts
        return None

    def _of_each(self, parts: list[object], incoming: Incoming) -> list[Event]:
        most = MOST_EVENTS if self._merging is None else MOST_EVENTS // 2
        if len(parts) > most:
            detail = f"{len(parts)} events in one record, expected at most {most}"
            raise DeadLetter(DeadLetterReason.TOO_LARGE, detail)
        events: list[Event] = []
        for index, part in enumerate(parts):
            try:
                events += self._events_in(_element(part), incoming)
            except DeadLetter as problem:
                raise DeadLetter(problem.reason, f"event {index} of the record: {problem.detail}") from problem
        return events

    def _events_in(self, record: Record, incoming: Incoming) -> list[Event]:
        """What one object gives: its event, and before it the merge of two ids in it."""
        merging = self._merging
        # The event takes the object apart: look for the ids first.
        ids = None if merging is None else merging.ids(record, incoming)
        event = self._event(record, incoming)
        if event is None:
            return []
        merge = None if merging is None or ids is None or event.is_command else merging.merge(ids, event)
        return [event] if merge is None else [merge, event]

    def _event(self, record: Record, incoming: Incoming) -> Event | None:
        unread = self._read_json(record) if self._json else None
        for checks in self._skips if unread is None else self._skips_of_unread:
            if passes(checks, record, incoming):
                return None
        if unread is not None:
            raise unread
        if self._deleted is not None and passes(self._deleted, record, incoming):
            return self._of_delete(record, incoming)
        event_type = self._find_type(record, incoming)
        event_id = self._find_id(record, incoming)
        lead_id = self._find_lead(record, incoming)
        occurred_at = self._find_time(record, incoming)
        members = None if self._find_attributes is None else self._find_attributes(record, incoming)
        fields = self._field_values(record, incoming)
        try:
            event = event_of_parts(event_type, event_id, lead_id, occurred_at, members, fields, None, self._leave_out)
            if incoming.check_time is not None:
                incoming.check_time(event.occurred_at_ms)
        except DeadLetter as problem:
            self._rename(problem)
        return event

    def _read_json(self, record: Record) -> DeadLetter | None:
        """Put what JSON in texts says in their place. The problem, if a text is no JSON: the record may be no event."""
        for path, steps, is_data in self._json:
            try:
                read_text_json(record, path, steps)
            except DeadLetter as problem:
                if not is_data:
                    return without_traceback(problem)
                put_at(record, steps, None)
                self._leave_out("json")
        return None

    def _field_values(self, record: Record, incoming: Incoming) -> Record:
        """The fields: the record itself, which is no one else's, with what the mapping takes and adds."""
        added = [(name, find_value(record, incoming)) for name, find_value in self._fields]
        lifted = [find_members(record, incoming) for find_members in self._lifted]
        campaign = None if self._find_campaign is None else self._find_campaign(record, incoming)
        for name in self._used:
            if name in record:
                del record[name]
        for members in lifted:
            if type(members) is dict:
                record.update(members)
            elif not is_nothing(members):
                self._leave_out("lift")
        for name in self._of_one_form:
            record.pop(name, None)  # what the record has under the name is of another form
        if campaign is not None:
            record["campaign"] = campaign
        for name, value in added:
            if value is not None:
                record[name] = value
        return record

    def _rename(self, problem: DeadLetter) -> NoReturn:
        if not isinstance(problem, FieldProblem):  # of the time
            detail = problem.detail.replace("occurred_at", self.words["occurred_at"], 1)
            raise DeadLetter(problem.reason, detail) from problem
        path = self.words.get(problem.field, problem.field)
        missing = self._missing.get(problem.field) if problem.value is None else None
        raise FieldProblem(path, problem.value, missing or problem.expected, problem.reason) from problem

    # --- deletes ---

    def _of_unread(self, incoming: Incoming, problem: DeadLetter) -> list[Event]:
        """A record whose value is no object: data without which the event counts, if headers say all about it."""
        if not self._is_event_without_data(incoming) or self._find_lead({}, incoming) is None:
            raise problem
        self._leave_out("data")
        return self._events_in({}, incoming)

    def _of_tombstone(self, incoming: Incoming) -> list[Event]:
        """A record without a value deletes, if its key says whom it is about; headers may say that it is an event."""
        deletes = self._mapping.on_delete != "ignore"
        if not (deletes or self._is_event_without_data(incoming)) or self._find_lead({}, incoming) is None:
            return []
        if not deletes:
            return self._events_in({}, incoming)
        event = self._of_delete({}, incoming)
        return [] if event is None else [event]

    def _is_event_without_data(self, incoming: Incoming) -> bool:
        """Whether headers say what happened, and which event it is: CloudEvents need no data."""
        if not self._has_type_in_headers or self._name_of_type({}, incoming) is None:
            return False
        return self._find_id({}, incoming) is not None

    def _of_delete(self, record: Record, incoming: Incoming) -> Event | None:
        fields: Record = {}
        if self._mapping.on_delete == "ignore":
            return None
        erases = self._mapping.on_delete == "erase"
        envelope: Record = {
            "type": ERASE if erases else self._mapping.type or PROFILE_UPDATED,
            "event_id": self._find_id(record, incoming) or f"deleted:{incoming.timestamp_ms}",
            "lead_id": self._find_lead(record, incoming),
            "occurred_at": self._time_of_delete(record, incoming),
            "attributes": None if erases else self._removed(record, incoming),
        }
        try:
            event = event_of(envelope, fields, leave_out=self._leave_out)
            if incoming.check_time is not None:
                incoming.check_time(event.occurred_at_ms)
        except DeadLetter as problem:
            self._rename(problem)
        return event

    def _time_of_delete(self, record: Record, incoming: Incoming) -> object:
        if record:
            return self._find_time(record, incoming)
        if incoming.timestamp_ms is None:
            raise FieldProblem("$timestamp", None, "a Kafka timestamp: a tombstone has no other time")
        return incoming.timestamp_ms

    def _removed(self, record: Record, incoming: Incoming) -> dict[str, FieldValue] | None:
        members = None if self._find_attributes is None else self._find_attributes(record, incoming)
        removed: dict[str, FieldValue] = dict.fromkeys(members) if isinstance(members, dict) else {}
        if isinstance(self._mapping.attributes, Attributes):
            removed |= dict.fromkeys(self._mapping.attributes.named)
        return removed or None


def compile_mapping(
    mapping: TopicMapping,
    hash_key: HashKey = None,
    *,
    gives_commands: bool = False,
    leave_out: LeaveOut = unnoticed,
) -> CompiledMapping:
    """The mapping of a topic, ready for its records; ``leave_out`` is told of every field that was left out."""
    return CompiledMapping(mapping, hash_key, gives_commands=gives_commands, leave_out=leave_out)


def _expected_lead(mapping: TopicMapping) -> str:
    """What is expected where a record has no id of the lead."""
    is_hash = [isinstance(part, Form) and part.keyed_hash is not None for part in parts_of(mapping.lead_id)]
    if all(is_hash):
        return "an email address"
    return "an email address, or an opaque id of the lead" if any(is_hash) else "an opaque id of the lead"


def _element(part: object) -> Record:
    """An element of a list of events; of a list of ids or names each is at ``value``."""
    if type(part) is dict:
        return part
    if type(part) is str or type(part) is int:
        return {"value": part}
    raise FieldProblem("the event", part, "an object, text or a whole number")


def _time_finder(mapping: TopicMapping) -> Callable[[Record, Incoming], object]:
    times = Times(mapping.occurred_at_unit, mapping.time_zone)
    places = [(path, _logical_finder(path), finder(path)) for path in paths_of(mapping.occurred_at)]
    is_ms = mapping.occurred_at_unit in (None, "ms")

    def find(record: Record, incoming: Incoming) -> object:
        for path, find_logical, find_value in places:
            value = find_value(record, incoming)
            if is_ms and type(value) is int and MOST_SECONDS <= value < MOST_MS and incoming.shape is None:
                return value  # nearly always
            if not is_nothing(value):
                if path == "$timestamp":
                    return value
                return times.read(
                    value, path, None if incoming.shape is None else find_logical(incoming.shape, incoming)
                )
        raise FieldProblem(" or ".join(paths_of(mapping.occurred_at)), None, EXPECTED_TIME)

    return find


def _logical_finder(path: str) -> Callable[[RecordShape, Incoming], LogicalType | None]:
    steps = steps_from_top(path)
    if path.startswith(BESIDE):
        return lambda _shape, _incoming: None
    if is_rooted(path):
        return lambda shape, _incoming: shape.logical_at(steps)
    return lambda shape, incoming: shape.logical_at((*incoming.part, *steps))


def _type_finder(mapping: TopicMapping, find_name: Finder, *, gives_commands: bool) -> Finder:
    if mapping.type is not None:
        constant = mapping.type
        return lambda _record, _incoming: constant
    types = Types(mapping.types, mapping.type_prefix, words_of(mapping.type_field), gives_commands=gives_commands)
    remembered = types.remembered

    def find(record: Record, incoming: Incoming) -> object:
        name = find_name(record, incoming)
        if type(name) is str and name in remembered:
            return remembered[name]
        return types.of(name)

    return find


def _used_names(mapping: TopicMapping) -> frozenset[str]:
    """What the mapping uses on the top level, and is no field any more."""
    paths = [*all_paths(mapping.lead_id), *all_paths(mapping.event_id), *paths_of(mapping.occurred_at), *mapping.lift]
    paths += members_paths(mapping.attributes)
    if mapping.type is None:
        paths += [*all_paths(mapping.type_field), *tested_paths(mapping.type_field)]
    single = [steps_of(path) for path in paths if not is_rooted(path)]
    return frozenset(str(steps[0]) for steps in single if len(steps) == 1)
