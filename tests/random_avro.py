"""Random Avro schemas, values of them as bytes, and what damage does to bytes. The same seed makes the same.

The encoder is the specification's, not one of ours or of fastavro's: blocks come with and without their size, numbers
have no more bytes than they need.
"""

import json
import struct
from random import Random
from typing import Any

Json = Any  # schemas of any shape

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
COMPLEX = ("record", "map", "array")
TEXTS = ("", "a", "jane", "Zoë", "€" * 3, "x" * 63, "y" * 64, "z" * 300)
LONGS = (0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 2**31 - 1, -(2**31), 2**53 + 1, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.5, -2.75, float("inf"), float("nan"), 3.4028234663852886e38)


class Schemas:
    """Makes schemas of one seed; named types are used again."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names: list[str] = []

    def top(self) -> Json:
        """A record, or sometimes a union of several."""
        if self._random.random() < 0.8:
            return self.record(3)
        return [self.record(2) for _ in range(self._random.randint(1, 3))]

    def record(self, depth: int) -> Json:
        """A record with up to six fields."""
        name = f"R{len(self._names)}"
        self._names.append("")  # its own name is taken, and not to be used within it
        fields = [{"name": f"f{index}", "type": self.any(depth)} for index in range(self._random.choice((0, 1, 3, 6)))]
        self._names.append(name)
        return {"type": "record", "name": name, "fields": fields}

    def any(self, depth: int) -> Json:
        """A schema, or a union of schemas that differ."""
        if self._random.random() < 0.6:
            return self.one(depth)
        branches: dict[str, Json] = {"null": "null"} if self._random.random() < 0.5 else {}
        for _ in range(self._random.randint(1, 4)):
            names = list(self._names)
            branch = self.one(depth)
            if branches.setdefault(_kind(branch), branch) is not branch:
                self._names = names  # left out, with the names that it defines
        return list(branches.values())

    def one(self, depth: int) -> Json:
        """A schema that is no union."""
        names = [name for name in self._names if name]
        if names and self._random.random() < 0.1:
            return self._random.choice(names)
        kind = self._random.choice([*PRIMITIVES, "enum", "fixed", *(COMPLEX if depth else ())])
        if kind in PRIMITIVES:
            return kind if self._random.random() < 0.8 else {"type": kind, "doc": "wrapped"}
        if kind == "record":
            return self.record(depth - 1)
        if kind in COMPLEX:
            return {"type": kind, "items" if kind == "array" else "values": self.any(depth - 1)}
        self._names.append(f"{kind[0].upper()}{len(self._names)}")
        more = {
            "symbols": [f"S{i}" for i in range(self._random.choice((1, 3, 70)))],
            "size": self._random.randint(1, 5),
        }
        key = "symbols" if kind == "enum" else "size"
        return {"type": kind, "name": self._names[-1], key: more[key]}


def _kind(schema: Json) -> str:
    return str(schema["name"] if "name" in schema else schema["type"]) if isinstance(schema, dict) else str(schema)


def named_in(schema: Json, named: dict[str, Json] | None = None) -> dict[str, Json]:
    """The definitions of the named types in a schema."""
    named = {} if named is None else named
    if isinstance(schema, dict):
        if "name" in schema and "type" in schema and schema["type"] in ("record", "enum", "fixed"):
            named[schema["name"]] = schema
        for part in schema.values():
            named_in(part, named)
    elif isinstance(schema, list):
        for part in schema:
            named_in(part, named)
    return named


def long(number: int) -> bytes:
    """A number as Avro writes it."""
    bits = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while bits > 127:
        encoded.append(bits & 127 | 128)
        bits >>= 7
    return bytes([*encoded, bits])


def sized(data: bytes) -> bytes:
    """Bytes behind their length."""
    return long(len(data)) + data


class Values:
    """Makes values of one schema, as bytes."""

    def __init__(self, random: Random, schema: Json) -> None:
        self._random = random
        self._schema = schema
        self._named = named_in(schema)

    def one(self) -> bytes:
        """A value."""
        return self._of(self._schema)

    def _of(self, schema: Json) -> bytes:
        if isinstance(schema, list):
            index = self._random.randrange(len(schema))
            return long(index) + self._of(schema[index])
        if isinstance(schema, str):
            return self._of(self._named[schema]) if schema in self._named else self._of_primitive(schema)
        return self._of_definition(schema)

    def _of_definition(self, schema: Json) -> bytes:
        kind = schema["type"]
        if kind == "record":
            return b"".join(self._of(field["type"]) for field in schema["fields"])
        if kind == "enum":
            return long(self._random.randrange(len(schema["symbols"])))
        if kind == "fixed":
            return self._random.randbytes(schema["size"])
        if kind == "array":
            return self._blocks(lambda: self._of(schema["items"]))
        if kind == "map":
            return self._blocks(lambda: self._of_primitive("string") + self._of(schema["values"]))
        return self._of(kind)

    def _blocks(self, item: Any) -> bytes:
        blocks = b""
        for _ in range(self._random.choice((0, 1, 1, 2))):
            items = [item() for _ in range(self._random.choice((1, 1, 2, 5)))]
            data = b"".join(items)
            blocks += (long(-len(items)) + sized(data)) if self._random.random() < 0.3 else long(len(items)) + data
        return blocks + long(0)

    def _of_primitive(self, kind: str) -> bytes:
        random = self._random
        if kind in ("int", "long"):
            number = random.choice(LONGS) if random.random() < 0.5 else random.randint(-(2**40), 2**40)
            return long(number if kind == "long" else (number + 2**31) % 2**32 - 2**31)
        if kind == "string":
            return sized(random.choice(TEXTS).encode())
        if kind == "bytes":
            return sized(random.randbytes(random.choice((0, 3, 70))))
        if kind == "boolean":
            return random.choice((b"\x00", b"\x01"))
        if kind == "null":
            return b""
        return struct.pack("<f" if kind == "float" else "<d", random.choice(FLOATS))


TELLING = (0x00, 0x01, 0x02, 0x03, 0x7F, 0x80, 0x81, 0xFE, 0xFF)
"""Bytes that mean something in numbers and lengths."""


def damaged(random: Random, data: bytes) -> bytes:
    """The bytes with one to three of them changed, left out, repeated or added, or cut off."""
    broken = bytearray(data)
    for _ in range(random.randint(1, 3)):
        place = random.randint(0, len(broken))
        kind = random.randrange(6)
        if kind == 0:
            del broken[place:]
        elif kind == 1:
            del broken[place : place + random.randint(1, 4)]
        elif kind == 2:
            broken[place:place] = random.randbytes(random.randint(1, 4))
        elif kind == 3:
            broken[place:place] = broken[place : place + random.randint(1, 30)]
        elif place < len(broken):
            broken[place] = random.choice(TELLING) if kind == 4 else random.randrange(256)
    return bytes(broken)


def as_text(schema: Json) -> str:
    """The schema as a registry has it."""
    return json.dumps(schema)
