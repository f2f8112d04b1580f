"""A strict Avro reader: a writer schema becomes a tree of readers, one for each field, that is walked per value. Pure.

It reads what an event can hold: records and maps become dicts (a record's nulls are left out, a map's stay), scalars
and lists are themselves, instants are UTC milliseconds. Bytes and fixed are checked, skipped, and stand as ``DROPPED``.
Refused: indexes out of range, negative lengths, more items than bytes, numbers of more than 64 bits, bad UTF-8, values
that end early or late. What a number may be (finite, an instant in range) is for ``validation`` to say.

A length that points past the end needs no error of its own: the position never goes back, so that the next byte read,
or the comparison with the end of the value, finds it. What takes no bytes is not read at all, so the work is bounded by
the value's length.

Why not fastavro's reader: it takes negative indexes and lengths, and says nothing of the bytes left over. Nor is it
faster: on the events of ``schemas/`` this takes half of its time, and compiled a seventh.
"""

import struct
from collections.abc import Sequence
from typing import cast

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_schema import AvroSchema, Schema, fields_of
from leadscore.events.validation import Record

DROPPED = ()
"""Stands for bytes: no rule can test them."""

_DIVISOR_TO_MS = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}
_float_at = struct.Struct("<f").unpack_from
_double_at = struct.Struct("<d").unpack_from


class RecordReader:
    """How the records of one schema are read; ``numbers`` says what ``event_of`` must know of them."""

    def __init__(self, numbers: Sequence[str] | None) -> None:
        self.numbers = numbers

    def read(self, value: bytes, start: int) -> Record:
        """The record in ``value`` from ``start`` to its very end; ``DeadLetter`` where the bytes are no such record."""
        raise NotImplementedError


class AvroReader(RecordReader):
    """Reads values written with one schema."""

    def __init__(self, schema: AvroSchema, numbers: Sequence[str] | None = None) -> None:
        super().__init__(numbers)
        self._record = _Readers(schema).of_record(schema.definition, "")

    def read(self, value: bytes, start: int) -> Record:
        """The record, read by the schema."""
        record: Record = {}
        try:
            end = self._record.read_into(record, value, start)
        except (IndexError, OverflowError, struct.error) as error:
            raise _malformed("the value ends within a field") from error
        except UnicodeDecodeError as error:
            raise _malformed("a text is not UTF-8") from error
        if end < len(value):
            raise DeadLetter(DeadLetterReason.TRAILING_BYTES, f"{len(value) - end} bytes after the record")
        if end > len(value):
            raise _malformed("the value ends within a field")
        return record


class _Reader:
    """Reads values of one schema; ``where`` names the field in messages."""

    def __init__(self, where: str) -> None:
        self.where = where

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        """The value at position ``i``, and the position behind it."""
        raise NotImplementedError

    def refused(self, expected: str) -> DeadLetter:
        """The error for bytes that this reader takes for no value."""
        return _malformed(f"{self.where}: expected {expected}")


class _Text(_Reader):
    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return self.text(data, i)

    def text(self, data: bytes, i: int) -> tuple[str, int]:
        start, end = self.bounds(data, i)
        return data[start:end].decode(), end

    def bounds(self, data: bytes, i: int) -> tuple[int, int]:
        """Where the bytes behind a length begin and end."""
        bits, i = _varint(data, i)
        if bits & 1:
            raise self.refused("a length of 0 or more")
        return i, min(i + (bits >> 1), len(data) + 1)


class _Bytes(_Text):
    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return DROPPED, self.bounds(data, i)[1]


class _Fixed(_Reader):
    def __init__(self, where: str, size: int) -> None:
        super().__init__(where)
        self._size = size

    def read(self, data: bytes, i: int) -> tuple[object, int]:  # noqa: ARG002 - what is skipped is not looked at
        return DROPPED, i + self._size


class _Nothing(_Reader):
    """Null, and records without bytes."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:  # noqa: ARG002 - there is nothing to read
        return None, i


class _Whole(_Reader):
    """Whole numbers, and instants, in ``divisor`` parts of a millisecond."""

    def __init__(self, where: str, divisor: int = 1) -> None:
        super().__init__(where)
        self._divisor = divisor

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        bits = data[i]
        i += 1
        if bits > 127:
            bits, i = _longer_varint(data, i, bits)
        number = (bits >> 1) ^ -(bits & 1)
        return (number if self._divisor == 1 else number // self._divisor), i


class _LocalTime(_Reader):
    """An instant without an offset is no instant."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return DROPPED, _varint(data, i)[1]


class _Float(_Reader):
    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return _float_at(data, i)[0], i + 4


class _Double(_Reader):
    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return _double_at(data, i)[0], i + 8


class _Boolean(_Reader):
    def read(self, data: bytes, i: int) -> tuple[object, int]:
        byte = data[i]
        if byte > 1:
            raise self.refused("a boolean of 0 or 1")
        return byte == 1, i + 1


class _Enum(_Reader):
    def __init__(self, where: str, symbols: list[str]) -> None:
        super().__init__(where)
        self._symbols = list(symbols)

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        bits = data[i]
        i += 1
        if bits > 127:
            bits, i = _longer_varint(data, i, bits)
        if bits & 1 or bits >> 1 >= len(self._symbols):
            raise self.refused("an index of the enum")
        return self._symbols[bits >> 1], i


class _Union(_Reader):
    def __init__(self, where: str, branches: list[_Reader]) -> None:
        super().__init__(where)
        self._branches = branches

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        byte = data[i]  # a union has 64 branches at most
        if byte & 1 or byte >> 1 >= len(self._branches):
            raise self.refused("an index of the union")
        return self._branches[byte >> 1].read(data, i + 1)


class _Map(_Reader):
    def __init__(self, where: str, values: _Reader) -> None:
        super().__init__(where)
        self._keys = _Text(where)
        self._values = values

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        entries: Record = {}
        count, i = _block(data, i)
        while count:
            for _ in range(count):
                key, i = self._keys.text(data, i)
                entries[key], i = self._values.read(data, i)
            count, i = _block(data, i)
        return entries, i


class _Array(_Reader):
    def __init__(self, where: str, items: _Reader) -> None:
        super().__init__(where)
        self._items = items

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        items: list[object] = []
        count, i = _block(data, i)
        while count:
            for _ in range(count):
                item, i = self._items.read(data, i)
                items.append(item)
            count, i = _block(data, i)
        return items, i


_Field = tuple[str, bool, bool, _Reader]
"""Name; whether it is a union of null and one other, which takes bytes; whether that, or all of it, is a text."""


class _Record(_Reader):
    def __init__(self, where: str, fields: list[_Field]) -> None:
        super().__init__(where)
        self._fields = fields

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        record: Record = {}
        i = self.read_into(record, data, i)
        return record, i

    def read_into(self, record: Record, data: bytes, i: int) -> int:
        """Put the fields into ``record``; all take bytes. Texts, which most fields are, are read without a call."""
        for name, is_nullable, is_text, reader in self._fields:
            byte = data[i]
            if is_nullable:
                i += 1
                if not byte:
                    continue
                if byte != 2:
                    raise reader.refused("an index of the union")
                byte = data[i]
            if is_text and not byte & 0x81:  # a length of 0 to 63
                i += 1
                end = i + (byte >> 1)
                record[name] = data[i:end].decode()
                i = end
            else:
                value, i = reader.read(data, i)
                if value is not None:
                    record[name] = value
        return i


class _Readers:
    """Makes the readers of a schema; those of a named record once."""

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema
        self._records: dict[str, _Record] = {}

    def of_record(self, record: dict[str, object], where: str) -> _Record:
        name = str(record["name"])
        if name not in self._records:
            fields = [(field, schema) for field, schema in fields_of(record) if not self._schema.is_zero_width(schema)]
            prefix = f"{where}." if where else ""
            made = [self._field(field, schema, f"{prefix}{field}") for field, schema in fields]
            self._records[name] = _Record(where, made)
        return self._records[name]

    def _field(self, name: str, schema: Schema, where: str) -> _Field:
        branch = self._branch_beside_null(self._schema.resolve(schema))
        reader = self._of(schema if branch is None else branch, where)
        return name, branch is not None, type(reader) is _Text, reader

    def _branch_beside_null(self, schema: Schema) -> Schema | None:
        """The second branch of a union of null and one other, if that takes bytes."""
        if not isinstance(schema, list) or len(schema) != 2 or self._schema.resolve(schema[0]) != "null":
            return None
        return None if self._schema.is_zero_width(schema[1]) else schema[1]

    def _of(self, schema: Schema, where: str) -> _Reader:
        schema = self._schema.resolve(schema)
        if isinstance(schema, list):
            return _Union(where, [self._of(branch, where) for branch in schema])
        if self._schema.is_zero_width(schema):
            return _Nothing(where)
        if isinstance(schema, str):
            return _of_primitive(schema, where)
        if schema["type"] in ("int", "long"):
            return _of_whole(str(schema["type"]), str(schema.get("logicalType", "")), where)
        return self._of_complex(schema, where)

    def _of_complex(self, schema: dict[str, object], where: str) -> _Reader:
        if schema["type"] == "record":
            return self.of_record(schema, where)
        if schema["type"] == "map":
            return _Map(where, self._of(cast("Schema", schema["values"]), where))
        if schema["type"] == "array":
            return _Array(where, self._of(cast("Schema", schema["items"]), where))
        if schema["type"] == "enum":
            return _Enum(where, cast("list[str]", schema["symbols"]))
        if schema["type"] == "fixed":
            return _Fixed(where, cast("int", schema["size"]))
        return self._of(cast("Schema", schema["type"]), where)


def _of_primitive(name: str, where: str) -> _Reader:
    if name == "string":
        return _Text(where)
    if name == "bytes":
        return _Bytes(where)
    if name == "boolean":
        return _Boolean(where)
    if name == "float":
        return _Float(where)
    return _Double(where) if name == "double" else _Whole(where)


def _of_whole(name: str, logical: str, where: str) -> _Reader:
    if logical.startswith("local-timestamp-"):
        return _LocalTime(where)
    return _Whole(where, _DIVISOR_TO_MS.get(logical, 1) if name == "long" else 1)


def _varint(data: bytes, i: int) -> tuple[int, int]:
    """The bits of a long before zigzag: even numbers are twice a natural number, odd ones are negative."""
    bits = data[i]
    i += 1
    return _longer_varint(data, i, bits) if bits > 127 else (bits, i)


def _longer_varint(data: bytes, i: int, first: int) -> tuple[int, int]:
    bits = first & 0x7F
    shift = 7
    for byte in data[i : i + 9]:
        if byte < 128:
            bits |= byte << shift
            if bits >> 64:
                break
            return bits, i + shift // 7
        bits |= (byte & 0x7F) << shift
        shift += 7
    else:
        if shift < 70:
            raise IndexError
    raise _malformed("a number of more than 64 bits")


def _block(data: bytes, i: int) -> tuple[int, int]:
    """The count of items that follow; a negative one is followed by the size of the block in bytes, not needed here."""
    first = data[i]
    if not first & 0x81:  # 0 to 63
        return first >> 1, i + 1
    bits, i = _varint(data, i)
    count = bits >> 1
    if bits & 1:
        count += 1
        _, i = _varint(data, i)
    if count > len(data) - i:
        raise _malformed("a block of more items than bytes are left")
    return count, i


def _malformed(detail: str) -> DeadLetter:
    return DeadLetter(DeadLetterReason.MALFORMED, detail)
