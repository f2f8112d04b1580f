"""Foreign schemas: mappings from a file, and the preset for Segment and RudderStack."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from fastavro.schema import parse_schema

from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.events.registered import SchemaKey, SchemaLookup
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.language import TopicMapping
from leadscore.mapping.load import load_mappings, mappings_in, preset
from leadscore.mapping.topics import compile_mappings

Json = dict[str, Any]  # what JSON holds

SHOP: Json = {
    "id": 17,
    "who": {"user": "L1", "traits": {"role": "ceo", "company": {"size": 250}}},
    "ts": "2026-01-05T10:00:00Z",
    "kind": "Cart Opened",
    "data": {"sku": "A-1", "price": 9.5, "id": "of the cart"},
    "utm": {"campaign": "spring"},
}
SHOP_MAPPING = TopicMapping(
    lead_id="who.user",
    event_id="id",
    occurred_at="ts",
    type_field="kind",
    types={"Cart Opened": "shop.cart"},
    attributes="who.traits",
    campaign="utm.campaign",
    lift=["data"],
)


def topics(mappings: dict[str, TopicMapping], lookup: SchemaLookup | None = None) -> MappedTopics:
    return MappedTopics(compile_mappings(mappings, None), lookup)


def mapped(record: Json, mapping: TopicMapping) -> Event:
    (event,) = topics({"topic": mapping}).events("topic", json.dumps(record).encode())
    return event


def by_segment(record: Json, **types: str) -> Event:
    text = json.dumps({"topic": {"preset": "segment", **({"types": types} if types else {})}})
    return mapped(record, mappings_in(text, "mappings.yaml")["topic"])


# Mappings


def test_the_registry_is_asked_once_for_a_schema_that_is_refused() -> None:
    asked: list[SchemaKey] = []

    def lookup(schema_id: SchemaKey) -> Json:
        asked.append(schema_id)
        return {"schema": "", "schemaType": "PROTOBUF"}

    decoder = topics({"topic": TopicMapping()}, lookup)
    for _ in range(3):
        with pytest.raises(DeadLetter, match="schema id 7: a Protobuf schema, which is not read"):
            decoder.events("topic", b"\x00\x00\x00\x00\x07abc")
    assert asked == [7]


def test_a_foreign_record_is_mapped_to_an_event() -> None:
    fields: Json = {
        "who.user": "L1",
        "who.traits.role": "ceo",
        "who.traits.company.size": 250,
        "utm.campaign": "spring",
        "sku": "A-1",
        "price": 9.5,
        "id": "of the cart",
        "campaign": "spring",
    }
    attributes: Json = {"role": "ceo", "company.size": 250}
    assert mapped(SHOP, SHOP_MAPPING) == Event("shop.cart", "17", "L1", 1_767_607_200_000, fields, attributes)


def test_a_mapping_that_says_nothing_changes_nothing() -> None:
    record = {
        "type": "a.b",
        "event_id": "e",
        "lead_id": "L",
        "occurred_at": 1_767_607_200_000,
        "x": 1,
        "campaign": "c",
        "attributes": {"a": 1},
    }
    assert mapped(record, TopicMapping()) == Decoder().decode("topic", json.dumps(record).encode())


def test_only_the_topics_that_are_named_are_mapped() -> None:
    mapped_topics = topics({"shop": SHOP_MAPPING})
    assert "shop" in mapped_topics.topics
    assert "other" not in mapped_topics.topics


def test_a_topic_may_have_one_type() -> None:
    assert mapped({**SHOP, "kind": None}, TopicMapping(**{**kept(SHOP_MAPPING), "type": "shop.any"})).type == "shop.any"


def kept(mapping: TopicMapping) -> Json:
    return {name: getattr(mapping, name) for name in mapping.__struct_fields__}


@pytest.mark.parametrize(
    ("kind", "prefix", "type_"),
    [
        ("Cart Opened", "x.", "shop.cart"),
        ("Cart Closed", "shop.", "shop.cart_closed"),
        ("cartClosed", "shop.", "shop.cart_closed"),
        ("  Cart -- closed! ", "shop.", "shop.cart_closed"),
        ("Cart Closed", "", "cart_closed"),
        ("cart opened", "", "shop.cart"),
        ("Cart.closedLate", "", "cart.closed_late"),
    ],
)
def test_a_type_is_looked_up_or_prefixed_or_itself(kind: str, prefix: str, type_: str) -> None:
    mapping = TopicMapping(**{**kept(SHOP_MAPPING), "type_prefix": prefix})
    assert mapped({**SHOP, "kind": kind}, mapping).type == type_


def test_of_several_paths_the_first_with_a_value_counts() -> None:
    mapping = TopicMapping(**{**kept(SHOP_MAPPING), "lead_id": ["customer", "visitor.id", "who.user"]})
    assert mapped({**SHOP, "customer": None, "visitor": {"id": ""}}, mapping).lead_id == "L1"
    assert mapped({**SHOP, "customer": "C", "visitor": {"id": "V"}}, mapping).lead_id == "C"
    assert mapped({**SHOP, "visitor": {"id": "V"}}, mapping).lead_id == "V"


@pytest.mark.parametrize(
    ("unit", "written"),
    [("s", 1_767_607_200), ("s", 1_767_607_200.25), ("ms", 1_767_607_200_000), ("us", 1_767_607_200_000_999)],
)
def test_an_instant_may_have_another_unit(unit: str, written: float) -> None:
    mapping = TopicMapping(**{**kept(SHOP_MAPPING), "occurred_at_unit": unit})
    fraction = 250 if written % 1 else 0
    assert mapped({**SHOP, "ts": written}, mapping).occurred_at_ms == 1_767_607_200_000 + fraction
    assert mapped(SHOP, mapping).occurred_at_ms == 1_767_607_200_000


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"who": {}}, DeadLetterReason.MISSING_FIELD),
        ({"who": "L1"}, DeadLetterReason.MISSING_FIELD),
        ({"who": {"user": "jane@example.com"}}, DeadLetterReason.INVALID_FIELD),
        ({"ts": True}, DeadLetterReason.INVALID_FIELD),
        ({"kind": 7}, DeadLetterReason.INVALID_FIELD),
        ({"kind": None}, DeadLetterReason.MISSING_FIELD),
    ],
)
def test_mapped_records_are_checked_as_all_are(wrong: Json, reason: DeadLetterReason) -> None:
    with pytest.raises(DeadLetter) as caught:
        mapped({**SHOP, **wrong}, TopicMapping(**{**kept(SHOP_MAPPING), "occurred_at_unit": "s"}))
    assert caught.value.reason is reason


@pytest.mark.parametrize("instant", [float("nan"), float("inf"), 1e300, 1e308])
def test_an_instant_that_is_no_instant_is_refused_in_any_unit(instant: float) -> None:
    fields = [{"name": name, "type": "string"} for name in ("event_id", "lead_id", "type")]
    schema = {"type": "record", "name": "R", "fields": [*fields, {"name": "occurred_at", "type": "double"}]}
    value = io.BytesIO()
    record = {"event_id": "e", "lead_id": "L", "type": "a.b", "occurred_at": instant}
    fastavro.schemaless_writer(value, parse_schema(schema), record)
    decoder = topics({"topic": TopicMapping(occurred_at_unit="s")}, lambda _id: {"schema": json.dumps(schema)})
    with pytest.raises(DeadLetter) as caught:
        decoder.events("topic", b"\x00\x00\x00\x00\x01" + value.getvalue())
    assert caught.value.reason is DeadLetterReason.INVALID_FIELD


# The file


def loaded(tmp_path: Path, text: str) -> dict[str, TopicMapping]:
    (tmp_path / "mappings.yaml").write_text(text)
    return load_mappings(tmp_path / "mappings.yaml")


def test_a_mappings_file_has_one_entry_per_topic(tmp_path: Path) -> None:
    text = """
        shop.events: {lead_id: who.user, event_id: id, occurred_at: ts, type_field: kind,
                      types: {Cart Opened: shop.cart}, attributes: who.traits, campaign: utm.campaign, lift: [data]}
        tracker: {preset: segment, types: {Demo Booked: meeting.booked}}
        clicks: {lead_id: [user, visitor], type: website.page_view}
    """
    assert loaded(tmp_path, text) == {
        "shop.events": SHOP_MAPPING,
        "tracker": msgspec.structs.replace(
            preset("segment"), types={**preset("segment").types, "Demo Booked": "meeting.booked"}
        ),
        "clicks": TopicMapping(lead_id=["user", "visitor"], type="website.page_view"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop: {lead: x}", "1: shop.lead: unknown key (did you mean lead_id?)"),
        ("shop: {xyz: x}", "1: shop.xyz: unknown key: expected one of preset, json, each,"),
        ("shop:\n  event_id: 7", "2: shop.event_id: 7: expected a path of dotted names such as user.id, or a list"),
        ("shop: {occurred_at_unit: h}", '1: shop.occurred_at_unit: "h": expected ms or ns or s or us'),
        ("shop: {types: {a: 7}}", "1: shop.types.a: 7: expected text"),
        (
            "shop: {preset: segmnt}",
            '1: shop.preset: "segmnt": no such preset (did you mean segment?): ',
        ),
        ("shop: {lead_id: a..b}", '1: shop.lead_id: "a..b": a path: names with dots'),
        ("shop: {lead_id: $topic}", '1: shop.lead_id: "$topic": expected one of $record, $key, '),
        ("shop: {types: {a: NotAType!!}}", '1: shop.types.a: "NotAType!!": no event has this type: expected a type of'),
        ("shop: {type: command.erase}", "1: shop.type: command.erase: expected no command"),
        ("shop: {type_prefix: command.}", "1: shop.type_prefix: command.: expected no command"),
        ("shop: {type_prefix: a b}", '1: shop.type_prefix: "a b": no event has this type'),
        ("shop: {types: {a b: x.y, aB: x.z}}", '1: shop.types.aB: "a b" is the same name in another spelling'),
        ("shop: {event_id: {join: [a]}}", "1: shop.event_id.join: "),
        (
            "shop: {event_id: {join: [a, b], constant: x}}",
            "1: shop.event_id: expected exactly one of path, join, constant",
        ),
        ("shop: {skip: [{a: {matches: '('}}]}", "1: shop.skip[0].a.matches: "),
        ("shop: {deleted: {op: d}}", "1: shop.deleted: expected on_delete beside it"),
        ("shop: {time_zone: Berlin}", '1: shop.time_zone: "Berlin": expected UTC, or an offset such as +01:00'),
        (
            "shop: {type: a, types: {b: c}}",
            '1: shop.types: {"b": "c"}: expected either type, for all records, or this',
        ),
        ("shop: {lead_id: ''}", '1: shop.lead_id: "": expected a path of dotted names such as user.id'),
        ("shop: {lead_id: []}", "1: shop.lead_id: an empty path: expected dotted names such as user.id"),
        ("shop: segment", '1: shop: "segment": expected a mapping with keys out of preset, json'),
        ("- shop", '1: ["shop"]: expected one entry per topic, as in `my-topic: {preset: segment}`'),
        ("{", "2: not YAML: "),
        ("", "1: the text is empty: expected keys and values"),
        ("a: {}\na: {}", "2: a: given twice, first in line 1: expected it once"),
        ("a: {}\nb: {type: }", "2: b.type: empty: give a value, or leave the key out"),
    ],
)
def test_a_wrong_file_is_an_error_with_line_path_value_and_what_was_expected(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(f"mappings.yaml:{message}")


def test_all_problems_of_all_topics_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "shop:\n  lead: x\n  types: {a: 7}\ntracker:\n  lead_id: 7\n")
    lines = [line.partition(":")[2] for line in str(caught.value).split("\n")]
    assert [line.partition(" ")[0] for line in lines] == ["2:", "3:", "5:"]


def test_a_text_that_other_readers_of_yaml_take_for_something_else_stays_text(tmp_path: Path) -> None:
    text = "norway: {type: NO, type_prefix: 'on'}\nshop: {types: {yes: no, 404: 2026-01-05}, lift: [off]}"
    with pytest.raises(ConfigError):  # ``type`` and ``type_prefix`` exclude each other
        loaded(tmp_path, text)
    mappings = loaded(tmp_path, text.replace(", type_prefix: 'on'", ""))
    assert mappings["norway"].type == "NO"
    assert (mappings["shop"].types, mappings["shop"].lift) == ({"yes": "no", "404": "2026-01-05"}, ["off"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file or directory"):
        load_mappings(tmp_path / "nowhere.yaml")


# Segment and RudderStack

TRACK: Json = {
    "type": "track",
    "messageId": "m-1",
    "userId": "L1",
    "anonymousId": "a-1",
    "event": "Whitepaper Downloaded",
    "timestamp": "2026-01-05T10:00:00.000Z",
    "originalTimestamp": "2026-01-05T09:00:00.000Z",
    "properties": {"asset": "wp-1", "pages": 3, "tags": ["a"]},
    "context": {"campaign": {"name": "spring"}, "page": {"path": "/resources"}, "locale": "de-DE"},
}
PAGE: Json = {**TRACK, "type": "page", "event": None, "name": "Pricing", "properties": {"path": "/pricing"}}
IDENTIFY: Json = {
    **TRACK,
    "type": "identify",
    "event": None,
    "properties": None,
    "traits": {"role": "ceo", "left": None},
}


def test_a_track_call_is_an_event_with_its_properties() -> None:
    fields: Json = {
        "asset": "wp-1",
        "pages": 3,
        "tags": ("a",),
        "path": "/resources",
        "campaign": "spring",
        "context.campaign.name": "spring",
        "context.page.path": "/resources",
        "context.locale": "de-DE",
    }
    expected = Event("track.whitepaper_downloaded", "m-1", "L1", 1_767_607_200_000, fields)
    assert by_segment(TRACK) == expected


def test_a_track_call_has_the_type_of_the_table() -> None:
    assert by_segment(TRACK, **{"Whitepaper Downloaded": "website.download"}).type == "website.download"


def test_a_page_call_is_a_page_view_with_its_path() -> None:
    event = by_segment(PAGE)
    assert (event.type, event.fields["path"], event.fields["name"]) == ("website.page_view", "/pricing", "Pricing")
    assert by_segment({**PAGE, "properties": {}}).fields["path"] == "/resources"


def test_a_screen_call_is_a_screen_view() -> None:
    event = by_segment({**PAGE, "type": "screen"})
    assert (event.type, event.fields["name"]) == ("app.screen_view", "Pricing")


def test_an_identify_call_carries_the_traits_as_attributes() -> None:
    anonymous = {**IDENTIFY, "userId": None}
    event = by_segment(anonymous)
    assert (event.type, event.attributes) == ("profile.updated", {"role": "ceo", "left": None})
    in_context = {**anonymous, "traits": None, "context": {"traits": {"role": "cto"}}}
    assert by_segment(in_context).attributes == {"role": "cto"}


def test_traits_in_the_context_are_attributes_of_any_call() -> None:
    assert by_segment({**TRACK, "context": {"traits": {"role": "cto"}}}).attributes == {"role": "cto"}


def test_without_a_user_the_anonymous_id_is_the_lead() -> None:
    for absent in (None, ""):
        assert by_segment({**TRACK, "userId": absent}).lead_id == "a-1"


def test_without_a_timestamp_the_original_one_counts() -> None:
    record = {**TRACK}
    del record["timestamp"]
    assert by_segment(record).occurred_at_ms == 1_767_607_200_000 - 3_600_000


def test_calls_about_companies_are_ignored() -> None:
    text = json.dumps({**IDENTIFY, "type": "group"}).encode()
    assert topics({"topic": preset("segment")}).events("topic", text) == []


def test_properties_never_replace_what_the_envelope_says() -> None:
    event = by_segment({**TRACK, "properties": {"lead_id": "other", "type": "pdf", "occurred_at": 5}})
    assert (event.lead_id, event.type, event.occurred_at_ms) == ("L1", "track.whitepaper_downloaded", 1_767_607_200_000)
    assert event.fields["type"] == "pdf"


TIMES = "timestamp or originalTimestamp or sentAt or receivedAt"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"userId": None, "anonymousId": None}, "userId or anonymousId"),
        ({"messageId": None}, "messageId"),
        ({"timestamp": None, "originalTimestamp": None}, f"{TIMES} or $record.sentAt or $record.receivedAt"),
        ({"type": None, "event": None}, "event or type"),
    ],
)
def test_what_a_call_must_have_is_named(wrong: Json, field: str) -> None:
    with pytest.raises(DeadLetter) as caught:
        by_segment({**TRACK, **wrong})
    assert caught.value.reason is DeadLetterReason.MISSING_FIELD
    assert caught.value.detail.startswith(f"{field}: expected ")


@pytest.mark.parametrize("name", ["!!!", "__"])
def test_a_tracked_event_whose_name_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(DeadLetter, match="event or type: expected text with a letter or digit") as caught:
        by_segment({**TRACK, "event": name})
    assert caught.value.reason is DeadLetterReason.INVALID_FIELD


def test_what_a_mapped_record_lacks_is_named_as_the_mapping_has_it() -> None:
    mapping = TopicMapping(lead_id=["customer.id", "visitor"], event_id="id", occurred_at="ts")
    with pytest.raises(DeadLetter) as caught:
        mapped({"type": "a", "id": "1", "ts": 1_767_607_200_000}, mapping)
    assert (caught.value.reason, caught.value.detail) == (
        DeadLetterReason.MISSING_FIELD,
        "customer.id or visitor: expected an opaque id of the lead",
    )
