"""How values of each Avro type are read: at a position in the bytes, to the value and the position behind it. Pure.

A length that points past the end needs no error of its own: the position never goes back, so that the next byte read,
or the comparison with the end of the value, finds it. What takes no bytes is not read at all, and what a byte can
become is bounded (``Budget``), so that time and memory are bounded by the value's length.
"""

# ruff: noqa: D102 - what ``read`` does is said where it is declared

import struct

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_schema import MOST_OBJECTS
from leadscore.events.validation import Record

DROPPED = ()
"""Stands for bytes: no rule can test them."""

_float_at = struct.Struct("<f").unpack_from
_double_at = struct.Struct("<d").unpack_from


class ValueReader:
    """Reads values of one schema; ``where`` names the field in messages."""

    def __init__(self, where: str) -> None:
        self.where = where

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        """The value at position ``i``, and the position behind it."""
        raise NotImplementedError

    def refused(self, expected: str) -> DeadLetter:
        """The error for bytes that this reader takes for no value."""
        return malformed(f"{self.where}: expected {expected}")


class TextReader(ValueReader):
    """Texts."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return self.text(data, i)

    def text(self, data: bytes, i: int) -> tuple[str, int]:
        """The text at position ``i``, and the position behind it."""
        start, end = self.bounds(data, i)
        return data[start:end].decode(), end

    def bounds(self, data: bytes, i: int) -> tuple[int, int]:
        """Where the bytes behind a length begin and end."""
        bits, i = _varint(data, i)
        if bits & 1:
            raise self.refused("a length of 0 or more")
        return i, min(i + (bits >> 1), len(data) + 1)


class BytesReader(TextReader):
    """Bytes, skipped."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return DROPPED, self.bounds(data, i)[1]


class FixedReader(ValueReader):
    """Bytes of a fixed number, skipped."""

    def __init__(self, where: str, size: int) -> None:
        super().__init__(where)
        self._size = size

    def read(self, data: bytes, i: int) -> tuple[object, int]:  # noqa: ARG002 - what is skipped is not looked at
        return DROPPED, i + self._size


class NothingReader(ValueReader):
    """Null, and records without bytes."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:  # noqa: ARG002 - there is nothing to read
        return None, i


class WholeReader(ValueReader):
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


class LocalTimeReader(ValueReader):
    """An instant without an offset is no instant."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return DROPPED, _varint(data, i)[1]


class FloatReader(ValueReader):
    """Numbers of 32 bits."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return _float_at(data, i)[0], i + 4


class DoubleReader(ValueReader):
    """Numbers of 64 bits."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        return _double_at(data, i)[0], i + 8


class BooleanReader(ValueReader):
    """Flags."""

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        byte = data[i]
        if byte > 1:
            raise self.refused("a boolean of 0 or 1")
        return byte == 1, i + 1


class EnumReader(ValueReader):
    """The symbols of an enum."""

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


class BranchReader(ValueReader):
    """Values of one of several schemas."""

    def __init__(self, where: str, branches: list[ValueReader]) -> None:
        super().__init__(where)
        self._branches = branches

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        byte = data[i]  # a union has 64 branches at most
        if byte & 1 or byte >> 1 >= len(self._branches):
            raise self.refused("an index of the union")
        return self._branches[byte >> 1].read(data, i + 1)


class Budget:
    """How many objects and lists a record may still become: a byte of one in many records says as many."""

    def __init__(self) -> None:
        self.left = MOST_OBJECTS

    def take(self, objects: int) -> None:
        """Refuse a record that would become too many."""
        self.left -= objects
        if self.left < 0:
            raise malformed(f"a record of more than {MOST_OBJECTS} objects and lists")


class MapReader(ValueReader):
    """Maps."""

    def __init__(self, where: str, values: ValueReader, objects: int, budget: Budget) -> None:
        """``objects`` are those that an entry becomes at most."""
        super().__init__(where)
        self._keys = TextReader(where)
        self._values = values
        self._objects = objects
        self._budget = budget

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        entries: Record = {}
        count, i = _block(data, i)
        while count:
            self._budget.take(count * self._objects)
            for _ in range(count):
                key, i = self._keys.text(data, i)
                entries[key], i = self._values.read(data, i)
            count, i = _block(data, i)
        return entries, i


class ArrayReader(ValueReader):
    """Lists."""

    def __init__(self, where: str, items: ValueReader, objects: int, budget: Budget) -> None:
        """``objects`` are those that an item becomes at most."""
        super().__init__(where)
        self._items = items
        self._objects = objects
        self._budget = budget

    def read(self, data: bytes, i: int) -> tuple[object, int]:
        items: list[object] = []
        count, i = _block(data, i)
        while count:
            self._budget.take(count * self._objects)
            for _ in range(count):
                item, i = self._items.read(data, i)
                items.append(item)
            count, i = _block(data, i)
        return items, i


FieldOf = tuple[str, bool, bool, ValueReader]
"""Name; whether it is a union of null and one other, which takes bytes; whether that, or all of it, is a text."""


class FieldsReader(ValueReader):
    """Records."""

    def __init__(self, where: str, fields: list[FieldOf], *, keeps_nulls: bool) -> None:
        super().__init__(where)
        self._fields = fields
        self._keeps_nulls = keeps_nulls

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
                    if self._keeps_nulls:
                        record[name] = None
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
                if value is not None or self._keeps_nulls:
                    record[name] = value
        return i


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
    raise malformed("a number of more than 64 bits")


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
        raise malformed("a block of more items than bytes are left")
    return count, i


def malformed(detail: str) -> DeadLetter:
    """The error for bytes that are no record of the schema."""
    return DeadLetter(DeadLetterReason.MALFORMED, detail)
