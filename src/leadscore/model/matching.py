"""What an event earns under a model: rules it matches, attributes it sets (design 1.3, 1.5). Pure, stateless, hot.

Tests are compiled to closures once, and rules are looked up by event type: an event costs only the rules of its type.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from leadscore.events.event import COMMAND_PREFIX, Event, FieldValue
from leadscore.log.records import ADJUST, ADJUST_RULE_ID, AttributeAward, Award, RuleAward, Trace, stable_id
from leadscore.model.compile import attribute_tests, test_id
from leadscore.model.definition import Band, FieldPoints, ModelDefinition, Rule
from leadscore.model.field_tests import Predicate, predicate_of
from leadscore.model.per_event import AwardPerEvent, plain_number

NO_RULES: list[RuleAward] = []
NO_ATTRIBUTES: list[AttributeAward] = []
_EMPTY_HASH = blake2b(digest_size=8)


def event_hash(event_type: str, event_id: str) -> bytes:
    """The fixed 64-bit hash of type and id: deduplicates, and decides between equal times (BLAKE2b, 8 bytes)."""
    hashed = _EMPTY_HASH.copy()  # a fifth faster than another one with its parameters
    hashed.update(f"{event_type}\x1f{event_id}".encode())
    return hashed.digest()


class Matcher:
    """The matching half of a compiled model."""

    def __init__(self, definition: ModelDefinition) -> None:
        self.version = definition.version
        self._by_type: dict[str, list[_CompiledMatch]] = {}
        for name, rule in definition.rules.items():
            compiled = _compiled(name, rule)
            for event_type in rule.event_types:
                self._by_type.setdefault(event_type, []).append(compiled)
        self._attributes = _compile_attributes(definition)

    def award(
        self, event: Event, source: int, offset: int, received_at_ms: int | None = None, trace: Trace | None = None
    ) -> Award | None:
        """The log record of an event or command; ``None`` if it matches no rule and sets no attribute of the model.

        ``received_at_ms`` is the Kafka timestamp of its record, ``trace`` what the record's headers say of tracing.
        """
        event_type, fields = event.type, event.fields
        candidates = self._by_type.get(event_type)
        if candidates is None and event_type.startswith(COMMAND_PREFIX):
            return _command(event, source, offset, received_at_ms, trace)
        rules = NO_RULES if candidates is None else _matching(candidates, fields, event.occurred_at_ms)
        attributes = self.attributes(event)
        if not rules and not attributes:
            return None
        campaign: Any = fields.get("campaign")  # text, as ``validation`` leaves it
        return Award(
            source,
            offset,
            event.lead_id,
            event.event_id,
            event_type,
            event.occurred_at_ms,
            campaign,
            rules,
            attributes,
            None,
            None,
            None,
            received_at_ms,
            trace,
        )

    def attributes(self, event: Event) -> list[AttributeAward]:
        """What the attributes the event sets earn; those the model does not know are left out."""
        if not event.attributes:
            return NO_ATTRIBUTES
        compiled = self._attributes
        return [compiled[name].award(value) for name, value in event.attributes.items() if name in compiled]


class _CompiledMatch(NamedTuple):
    """A rule as the loop in ``_matching`` reads it."""

    tests: list[tuple[str, Predicate]]
    award: RuleAward | None
    """What every event gets that passes; ``None`` where that is a matter of the event."""
    per_event: AwardPerEvent | None


def _matching(candidates: list[_CompiledMatch], fields: Mapping[str, FieldValue], occurred_ms: int) -> list[RuleAward]:
    """The awards of the rules whose tests the fields pass, in the order of the file."""
    awards = []
    get = fields.get
    for tests, award, per_event in candidates:
        for field, test in tests:
            if not test(get(field)):
                break
        else:
            if per_event is not None:
                award = per_event.of(fields, occurred_ms)  # noqa: PLW2901
            if award is not None:
                awards.append(award)
    return awards


def _compiled(name: str, rule: Rule) -> _CompiledMatch:
    tests = [(field, predicate_of(test)) for field, test in rule.where.items()]
    rule_id = stable_id(name)
    if rule.active is None and rule.once_per is None and not isinstance(rule.points, FieldPoints):
        return _CompiledMatch(tests, RuleAward(rule_id, plain_number(rule.points)), None)
    return _CompiledMatch(tests, None, AwardPerEvent(rule_id, rule))


def _command(event: Event, source: int, offset: int, received_at_ms: int | None, trace: Trace | None) -> Award:
    rules = [RuleAward(ADJUST_RULE_ID, plain_number(_points(event)))] if event.type == ADJUST else NO_RULES
    target: Any = event.fields.get("target")  # text, as ``validation`` leaves them
    target_type: Any = event.fields.get("target_type")
    campaign: Any = event.fields.get("campaign")
    into: Any = event.fields.get("into")
    identity = (source, offset, event.lead_id, event.event_id, event.type, event.occurred_at_ms)
    return Award(*identity, campaign, rules, NO_ATTRIBUTES, target, target_type, into, received_at_ms, trace)


class _CompiledAttribute:
    __slots__ = ("_bands", "_flags", "_id")

    def __init__(self, name: str, bands: list[Band], flags: list[tuple[int, Predicate]]) -> None:
        self._id = stable_id(name)
        self._bands = [(predicate_of(band), plain_number(band.points)) for band in bands]
        self._flags = flags

    def award(self, value: FieldValue) -> AttributeAward:
        if value is None:
            return AttributeAward(self._id, None, [])
        points = next((points for test, points in self._bands if test(value)), 0)
        return AttributeAward(self._id, points, [flag for flag, test in self._flags if test(value)])


def _compile_attributes(definition: ModelDefinition) -> dict[str, _CompiledAttribute]:
    flags: dict[str, dict[int, Predicate]] = {}
    for test in attribute_tests(definition):
        flags.setdefault(test.name, {})[test_id(test, test.name)] = predicate_of(test)
    return {
        name: _CompiledAttribute(name, definition.fit.attributes.get(name, []), list(flags.get(name, {}).items()))
        for name in {**definition.fit.attributes, **flags}
    }


def _points(command: Event) -> float:
    points = command.fields.get("points")
    return float(points) if isinstance(points, int | float) else 0.0
