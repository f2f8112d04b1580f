"""Records with damage that means something: JSON with other values, names and shapes, and bytes that are no JSON."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from tests.random_avro import damaged

Json = Any  # what JSON holds

CANARY = "canary.of.a.person@example.com"
"""Stands for what is personal: it must be in no message."""

VALUES: tuple[Json, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63) - 1,
    10**30,
    -(10**4_200),
    0.1,
    -0.0,
    1e308,
    1_767_607_200,
    1_767_607_200_000,
    1_767_607_200_000_000,
    1.767_607_200e9,
    "",
    " ",
    "\x00",
    "\x1f\x85\u2028",
    "\ufeffa",
    "a" * 257,
    "€" * 90,
    "0",
    "-1",
    "1e999",
    "1767607200",
    "9" * 400,
    "nan",
    "2026-01-05T10:00:00Z",
    "2026-01-05",
    "2026-01-05T10:00:00.123456789+05:30",
    "2026-W01-1",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "Mon, 05 Jan 2026 10:00:00 GMT",
    "Mon, 99 Foo 99999 99:99:99 +9999",
    "2026-01-05T10:00:00[Europe/Berlin]",
    CANARY,
    f" {CANARY.upper()} ",
    "command.erase",
    "command.adjust",
    "profile.updated",
    "open",
    "track",
    '{"id": "L1"}',
    '{"a": [1, {"b": null}]}',
    "[" * 50,
    "eyJpZCI6ICJMMSJ9",
    "====",
    [],
    {},
    [None],
    [[]],
    {"": ""},
    [1, "a", None, {"b": []}],
    {"a.b": {"c": 1}, "a": {"b": 2}},
)
NAMES = (
    "",
    "type",
    "event",
    "event_id",
    "lead_id",
    "occurred_at",
    "attributes",
    "campaign",
    "id",
    "email",
    "timestamp",
)
LARGE_CHARACTERS = 300_000
LARGE_ITEMS = 60_000
LARGE_DEPTH = 100_000
LARGE_SHARE = 1 / 300
"""Of all records: each takes as long as a hundred others."""


class Place(NamedTuple):
    """A member of an object or an element of a list."""

    around: Json
    step: str | int


def changed(random: Random, record: Json) -> bytes:
    """A record with up to five changes to what it says, and sometimes to its bytes."""
    whole = {"record": json.loads(json.dumps(record))}
    for _ in range(random.choice((0, 1, 1, 2, 3, 5))):
        change(random, random.choice(list(places(whole))))
    text = json.dumps(whole["record"], ensure_ascii=random.random() < 0.8).encode("utf-8", "surrogatepass")
    return damaged(random, text) if random.random() < 0.2 else text


def places(inside: Json) -> Iterator[Place]:
    """Every place in objects and lists."""
    for step in list(inside) if isinstance(inside, dict) else range(len(inside)):
        yield Place(inside, step)
        if isinstance(inside[step], dict | list):
            yield from places(inside[step])


def change(random: Random, place: Place) -> None:
    """Put something else there, move it, or take it away."""
    around, step = place
    kind = random.randrange(7)
    if kind < 3:
        around[step] = copy.deepcopy(random.choice(VALUES))
    elif kind == 3:
        around[step] = [around[step]] * random.randint(1, 3)
    elif kind == 4:
        around[step] = {random.choice(NAMES): around[step]}
    elif isinstance(around, list):
        around.insert(step, copy.deepcopy(random.choice(VALUES)))  # type: ignore[arg-type]  # the step of a list is a number
    elif kind == 5 and len(around) > 1:
        del around[step]
    elif "record" not in around:
        around[random.choice(NAMES)] = around.pop(step)


def large(random: Random, record: Json) -> bytes:
    """A record that one value makes large: long, wide or deep."""
    whole = {"record": json.loads(json.dumps(record))}
    around, step = random.choice(list(places(whole)))
    kind = random.randrange(7)
    if kind == 6:
        around[step] = "\0 deep \0"
        mark = json.dumps(around[step]).encode()
        opened, closed = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return json.dumps(whole["record"]).encode().replace(mark, opened * LARGE_DEPTH + b"1" + closed * LARGE_DEPTH)
    around[step] = (
        "a" * LARGE_CHARACTERS,
        "\u0327\u0301" * (LARGE_CHARACTERS // 6) + "@example.com",
        "aB " * (LARGE_CHARACTERS // 3),
        [around[step]] * (LARGE_ITEMS // 20) if len(str(around[step])) < 200 else [{}] * LARGE_ITEMS,
        list(range(LARGE_ITEMS)),
        {f"k{number}": {"a": number} for number in range(LARGE_ITEMS // 4)},
    )[kind]
    return json.dumps(whole["record"]).encode()
