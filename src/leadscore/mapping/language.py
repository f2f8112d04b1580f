"""The mapping language as typed values, key for key: what a mappings file may say. docs/mappings.md explains it.

The JSON Schema for editors is made out of these types, and so are the messages about wrong keys and values. What makes
no sense although it has the right shape is for ``sense`` to say.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from leadscore.mapping.forms import FormName
from leadscore.model.field_tests import Test
from leadscore.model.value_sets import Scalar
from leadscore.yaml_reading.scalars import WORDS

Path = Annotated[str, Meta(min_length=1, extra={WORDS: "a path of dotted names such as user.id"})]
Paths = Annotated[Path | list[Path], Meta(extra={WORDS: "a path of dotted names such as user.id, or a list of such"})]
"""A path, or several: the first that has a value counts."""

Joined = Annotated[list[Paths], Meta(min_length=2)]
FieldTests = dict[Path, Scalar | Test]
"""Tests of what is at paths, as in a rule's ``where``; all must pass."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Form(_Part, frozen=True):
    """A value that is more than what is at a path: exactly one of the six, and the form of it."""

    path: Annotated[Paths | None, Meta(description="What is at a path, for `as` beside it.")] = None
    join: Annotated[
        Joined | None,
        Meta(description="The values of several paths, joined as text; all must be there."),
    ] = None
    separator: Annotated[str, Meta(max_length=16, description="What stands between the values of `join`.")] = ":"
    constant: Annotated[Scalar | None, Meta(description="The same value for all records.")] = None
    keyed_hash: Annotated[
        Paths | None,
        Meta(
            description="The hash of an e-mail address, made with the key of LEADSCORE_LEAD_ID_KEY_FILE: the same"
            " person has the same id in every system that knows the address, and the address is nowhere."
        ),
    ] = None
    opaque: Annotated[
        Paths | None, Meta(description="The value of the first of these paths that holds no e-mail address.")
    ] = None
    url_path: Annotated[
        Paths | None, Meta(description="The path in a web address: `/pricing` of `https://shop.example/pricing?a=b`.")
    ] = None
    read_as: Annotated[
        FormName | None,
        Meta(
            description="The form of the value: numbers and flags in text are read, numbers may become text."
            " What cannot be read so is no value."
        ),
    ] = msgspec.field(name="as", default=None)
    when: Annotated[
        FieldTests | None,
        Meta(description="Tests of what is at paths: where one does not pass, there is no value."),
    ] = None


Value = Annotated[
    Path | Form | list[Path | Form],
    Meta(
        extra={
            WORDS: "a path of dotted names such as user.id, or a list of such, or one of path, join, constant, "
            "keyed_hash, opaque, url_path"
        }
    ),
]
"""Where a value comes from; of several the first that has one counts."""


class Pairs(_Part, frozen=True):
    """Names and values that are themselves values of the record, as in `{"name": "role", "value": "ceo"}`."""

    name: Annotated[Path, Meta(description="The path of the attribute's name.")]
    value: Annotated[Path, Meta(description="The path of its value.")]
    of: Annotated[
        Paths | None,
        Meta(description="The list of objects in which these paths begin; else it is the record."),
    ] = None


class Attributes(_Part, frozen=True):
    """Where the attributes come from; what several of these give is put together, the last named wins."""

    members: Annotated[Paths | None, Meta(description="An object whose members are attributes.")] = None
    pairs: Annotated[Pairs | None, Meta(description="Pairs of a name and a value.")] = None
    numbers: Annotated[bool, Meta(description="Whether text that is a plain decimal number becomes that number.")] = (
        False
    )
    booleans: Annotated[bool, Meta(description="Whether text that is `true` or `false` becomes that.")] = False
    absent: Annotated[
        list[str], Meta(description="Texts that stand for a value that was not sent: the attribute stays as it is.")
    ] = []
    names: Annotated[
        dict[str, str],
        Meta(description="What the record calls attributes of `members` and `pairs`, to what the model calls them."),
    ] = {}
    named: Annotated[
        dict[str, Value], Meta(description="Attributes by name, and where each comes from; a null removes it.")
    ] = {}


class Merge(_Part, frozen=True):
    """Two ids of one person in a record: the first becomes another id of the second."""

    lead_id: Annotated[
        Value, Meta(description="The id that is another id of the same person: a record without it merges nothing.")
    ]
    into: Annotated[
        Value | None, Meta(description="The id of the lead from now on; without this key it is the event's lead_id.")
    ] = None


class TopicMapping(_Part, frozen=True):
    """How the records of one topic say what an event says. Every key has a default; a preset gives others."""

    preset: Annotated[
        str | None, Meta(description="A mapping to begin with, by its name; the keys beside it replace the preset's.")
    ] = None
    json: Annotated[
        list[Path], Meta(description="Paths of text that is JSON, or Base64 of it: read before anything else.")
    ] = []
    elements_of: Annotated[
        Paths | None,
        Meta(
            description="A list of which every element is an event of its own; `$record` for a list on top. Other paths"
            " then begin in the element; one that is text or a whole number is at `value`. A record without the list is"
            " one event."
        ),
    ] = msgspec.field(name="each", default=None)
    skip: Annotated[
        list[FieldTests],
        Meta(
            description="Records that are not for us, by tests of what is at paths, of `$lead_id` or of `$type`: all"
            " tests of one entry must pass. They are ignored."
        ),
    ] = []
    lead_id: Annotated[Value, Meta(description="The id of the lead: opaque, never an e-mail address.")] = "lead_id"
    merge: Annotated[
        Merge | Literal["none"],
        Meta(
            description="Where a record has two ids of one person: it then gives a merge, before its event. Or `none`.",
            extra={WORDS: "an object with lead_id, and into or not, or none"},
        ),
    ] = "none"
    event_id: Annotated[Value, Meta(description="The id of the event: unique among those of its type and lead.")] = (
        "event_id"
    )
    occurred_at: Annotated[Paths, Meta(description="When it happened: ISO 8601, or a number since 1970.")] = (
        "occurred_at"
    )
    occurred_at_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        Meta(description="The unit of a number; else found by its size. An Avro logical type says it by itself."),
    ] = None
    time_zone: Annotated[
        Annotated[str, Meta(pattern=r"^(UTC|[+-][0-9]{2}:[0-9]{2})$")] | None,
        Meta(
            description="The zone of times that say none: `UTC`, or an offset such as `+01:00`.",
            extra={WORDS: "UTC, or an offset such as +01:00"},
        ),
    ] = None
    type: Annotated[str | None, Meta(description="The type of all records of the topic.")] = None
    type_field: Annotated[Value, Meta(description="Where a record says its type.")] = "type"
    types: Annotated[
        dict[str, str], Meta(description="What a record says to the event's type; case and spacing do not matter.")
    ] = {}
    type_prefix: Annotated[
        str, Meta(description="Stands before types that `types` does not have, which are in snake case.")
    ] = ""
    lift: Annotated[list[Path], Meta(description="Objects whose members become fields of the top level.")] = []
    fields: Annotated[
        dict[str, Value], Meta(description="Fields by name, and where each comes from: new names, and constants.")
    ] = {}
    attributes: Annotated[
        Paths | Attributes | Literal["none"],
        Meta(description="The object whose members are facts about the lead, or where each comes from, or `none`."),
    ] = "attributes"
    campaign: Annotated[Value, Meta(description="The name of the campaign.")] = "campaign"
    deleted: Annotated[
        FieldTests, Meta(description="Tests that tell a record that deletes; one without a value deletes as well.")
    ] = {}
    on_delete: Annotated[
        Literal["ignore", "erase", "remove_attributes"],
        Meta(description="What such a record does: nothing, erase the lead, or remove its attributes."),
    ] = "ignore"


Mappings = Annotated[
    dict[str, TopicMapping], Meta(extra={WORDS: "one entry per topic, as in `my-topic: {preset: segment}`"})
]

NAMES = dict(zip(TopicMapping.__struct_encode_fields__, TopicMapping.__struct_fields__, strict=True))
"""The field of ``TopicMapping`` by the key of the file."""
