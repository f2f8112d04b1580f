"""A strict Avro reader, compiled to one Python function per record of a writer schema. Pure.

It reads what an event can hold: records and maps become dicts (a record's nulls are left out, a map's stay), scalars
are themselves, instants are UTC milliseconds. Arrays, bytes and fixed are checked, skipped, and stand as ``DROPPED``.
Refused: indexes out of range, negative lengths, more items than bytes, numbers of more than 64 bits, bad UTF-8, values
that end early or late. What a number may be (finite, an instant in range) is for ``validation`` to say.

Why not fastavro's reader: it takes negative indexes and lengths, and says nothing of the bytes left over. Nor is it
faster: on the events of ``schemas/`` this takes 0.4 (page view) to 0.6 (form with a map of attributes) of its time.
"""

import struct
from collections.abc import Callable
from typing import NoReturn, cast

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_schema import AvroSchema, Schema, fields_of
from leadscore.events.validation import Record

RecordReader = Callable[[bytes, int], Record]
"""The record in ``value`` from ``start`` to its very end; ``DeadLetter`` where the bytes are no such record."""

DROPPED = ()
"""Stands for an array or bytes: no rule can test them."""

Lines = list[str]

_DIVISOR_TO_MS = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}


def compile_reader(schema: AvroSchema) -> RecordReader:
    """The reader of values written with ``schema``."""
    read_record = _Compiler(schema).compile()

    def read(value: bytes, start: int) -> Record:
        end = len(value)
        try:
            record, position = read_record(value, start, end)
        except (IndexError, OverflowError, struct.error) as error:
            raise _malformed("the value ends within a field") from error
        except UnicodeDecodeError as error:
            raise _malformed("a text is not UTF-8") from error
        if position < end:
            raise DeadLetter(DeadLetterReason.TRAILING_BYTES, f"{end - position} bytes after the record")
        if position > end:
            raise _malformed("the value ends within a field")
        return record

    return read


class _Compiler:
    """Writes the reader as Python text: each ``_value`` puts a value into ``v`` and moves the position ``i`` past it.

    A length that points past the end needs no check of its own: the position never goes back, so that the next byte
    read, or the comparison with the end of the value, finds it. What takes no bytes takes no code, so the work is
    bounded by the value's length.
    """

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema
        self._functions: Lines = []
        self._records: dict[str, str] = {}
        self._names: dict[str, object] = {
            "DROPPED": DROPPED,
            "read_long_varint": _read_long_varint,
            "read_block": _read_block,
            "malformed": _malformed_value,
            "float_at": struct.Struct("<f").unpack_from,
            "double_at": struct.Struct("<d").unpack_from,
        }

    def compile(self) -> Callable[[bytes, int, int], tuple[Record, int]]:
        name = self._record_function(self._schema.definition, "")
        exec("\n".join(self._functions), self._names)  # noqa: S102 - the text holds nothing of the schema but repr()s
        return cast("Callable[[bytes, int, int], tuple[Record, int]]", self._names[name])

    def _function(self, body: Lines, result: str) -> str:
        name = f"read_{len(self._functions)}"
        self._functions.append("\n".join([f"def {name}(data, i, end):", *_indented([*body, f"return {result}"])]))
        return name

    def _record_function(self, record: dict[str, object], where: str) -> str:
        full_name = str(record["name"])
        if full_name not in self._records:
            body = ["out = {}"]
            for name, schema in fields_of(record):
                body += self._field(name, schema, f"{where}{name}")
            self._records[full_name] = self._function(body, "out, i")
        return self._records[full_name]

    def _field(self, name: str, schema: Schema, where: str) -> Lines:
        if self._schema.is_zero_width(schema):
            return []
        store = f"out[{name!r}] = v"
        resolved = self._schema.resolve(schema)
        if isinstance(resolved, list):
            return self._union(resolved, where, store)
        return [*self._value(schema, where), store]

    def _value(self, schema: Schema, where: str) -> Lines:
        schema = self._schema.resolve(schema)
        if isinstance(schema, list):
            return self._union(schema, where, None)
        if self._schema.is_zero_width(schema):
            return ["v = None"]
        if isinstance(schema, str):
            return self._primitive(schema, where)
        logical = str(schema.get("logicalType", ""))
        if logical in _DIVISOR_TO_MS and schema["type"] == "long":
            return self._instant(where, _DIVISOR_TO_MS[logical])
        if logical.startswith("local-timestamp-"):  # without an offset it is no instant
            return [*_varint("v"), "v = DROPPED"]
        return self._complex(schema, where)

    def _primitive(self, name: str, where: str) -> Lines:
        if name == "string":
            return [*_length(where), "j = i + (n >> 1)", "v = data[i:j].decode()", "i = j"]
        if name in ("int", "long"):
            return [*_varint("v"), "v = (v >> 1) ^ -(v & 1)"]
        if name == "bytes":
            return [*_length(where), "i += n >> 1", "v = DROPPED"]
        if name == "boolean":
            wrong = f"if v > 1: malformed({where!r}, 'a boolean of 0 or 1')"
            return ["v = data[i]", "i += 1", wrong, "v = v == 1"]
        width = {"float": 4, "double": 8}[name]
        return [f"v = {name}_at(data, i)[0]", f"i += {width}"]

    def _instant(self, where: str, divisor: int) -> Lines:
        lines = self._primitive("long", where)
        return lines if divisor == 1 else [*lines, f"v //= {divisor}"]

    def _complex(self, schema: dict[str, object], where: str) -> Lines:
        if schema["type"] == "record":
            return [f"v, i = {self._record_function(schema, f'{where}.')}(data, i, end)"]
        if schema["type"] == "map":
            return self._map(cast("Schema", schema["values"]), where)
        if schema["type"] == "array":
            return self._array(cast("Schema", schema["items"]), where)
        if schema["type"] == "enum":
            return self._enum(cast("list[str]", schema["symbols"]), where)
        if schema["type"] == "fixed":
            return [f"i += {int(cast('int', schema['size']))}", "v = DROPPED"]
        return self._value(cast("Schema", schema["type"]), where)

    def _enum(self, symbols: list[str], where: str) -> Lines:
        constant = f"SYMBOLS_{len(self._names)}"
        self._names[constant] = tuple(symbols)
        wrong = f"if v & 1 or v >= {2 * len(symbols)}: malformed({where!r}, 'an index of the enum')"
        return [*_varint("v"), wrong, f"v = {constant}[v >> 1]"]

    def _union(self, branches: list[Schema], where: str, store: str | None) -> Lines:
        """``store`` is what to do with a value that is not null; a null field of a record is not stored."""
        lines = ["n = data[i]", "i += 1"]
        for index, branch in enumerate(branches):
            value = self._value(branch, where)
            if store is not None:
                value = ["pass"] if self._schema.is_zero_width(branch) else [*value, store]
            lines += [f"{'elif' if index else 'if'} n == {2 * index}:", *_indented(value)]
        return [*lines, "else:", f"    malformed({where!r}, 'an index of the union')"]

    def _map(self, values: Schema, where: str) -> Lines:
        key = ["k = data[i:j].decode()", "i = j"]
        item = [*_length(where), "j = i + (n >> 1)", *key, *self._value(values, where), "out[k] = v"]
        name = self._function(["out = {}", *_blocks(item)], "out, i")
        return ["if data[i]:", f"    v, i = {name}(data, i, end)", "else:", "    v = {}", "    i += 1"]

    def _array(self, items: Schema, where: str) -> Lines:
        name = self._function(_blocks(self._value(items, where)), "i")
        return [f"i = {name}(data, i, end)", "v = DROPPED"]


def _indented(lines: Lines) -> Lines:
    return [f"    {line}" for line in lines]


def _varint(target: str) -> Lines:
    """The bits of a long before zigzag: even numbers are twice a natural number, odd ones are negative."""
    longer = f"if {target} > 127: {target}, i = read_long_varint(data, i, {target})"
    return [f"{target} = data[i]", "i += 1", longer]


def _length(where: str) -> Lines:
    return [*_varint("n"), f"if n & 1: malformed({where!r}, 'a length of 0 or more')"]


def _blocks(item: Lines) -> Lines:
    # Bit 0 of the first byte: a negative count; bit 7: a longer one. What is left is at most 63.
    count = [
        "if data[i] & 129:",
        "    count, i = read_block(data, i, end)",
        "else:",
        "    count = data[i] >> 1",
        "    i += 1",
    ]
    loop = ["for _ in range(count):", *_indented(item), *count]
    return [*count, "while count:", *_indented(loop)]


def _read_long_varint(data: bytes, i: int, first: int) -> tuple[int, int]:
    bits = first & 0x7F
    for shift in range(7, 70, 7):
        byte = data[i]
        i += 1
        bits |= (byte & 0x7F) << shift
        if byte < 128:
            if bits >> 64:
                break
            return bits, i
    raise _malformed("a number of more than 64 bits")


def _read_signed(data: bytes, i: int) -> tuple[int, int]:
    bits = data[i]
    i += 1
    if bits > 127:
        bits, i = _read_long_varint(data, i, bits)
    return (bits >> 1) ^ -(bits & 1), i


def _read_block(data: bytes, i: int, end: int) -> tuple[int, int]:
    """The count of items that follow; a negative one is followed by the size of the block in bytes, not needed here."""
    count, i = _read_signed(data, i)
    if count < 0:
        count = -count
        _, i = _read_signed(data, i)
    if count > end - i:
        raise _malformed("a block of more items than bytes are left")
    return count, i


def _malformed(detail: str) -> DeadLetter:
    return DeadLetter(DeadLetterReason.MALFORMED, detail)


def _malformed_value(where: str, expected: str) -> NoReturn:
    raise _malformed(f"{where}: expected {expected}")
