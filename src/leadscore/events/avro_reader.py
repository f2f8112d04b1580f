"""A strict Avro reader: a writer schema becomes a tree of readers, one for each field, that is walked per value. Pure.

It reads what an event can hold: records and maps become dicts (a record's nulls are left out, a map's stay), scalars
and lists are themselves, instants are UTC milliseconds. Bytes and fixed are checked, skipped, and stand as ``DROPPED``.
Refused: indexes out of range, negative lengths, more items than bytes, numbers of more than 64 bits, bad UTF-8, values
that end early or late. What a number may be (finite, an instant in range) is for ``validation`` to say.

Why not fastavro's reader: it takes negative indexes and lengths, and says nothing of the bytes left over. Nor is it
faster: on the events of ``schemas/`` this takes half of its time, and compiled a seventh. A test compares what both say
of the same bytes (``tests/unit/test_decoding_differential.py``).
"""

import struct
from collections.abc import Sequence
from typing import cast

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_schema import MOST_OBJECTS, AvroSchema, Schema, fields_of
from leadscore.events.avro_values import (
    ArrayReader,
    BooleanReader,
    BranchReader,
    Budget,
    BytesReader,
    DoubleReader,
    EnumReader,
    FieldOf,
    FieldsReader,
    FixedReader,
    FloatReader,
    LocalTimeReader,
    MapReader,
    NothingReader,
    TextReader,
    ValueReader,
    WholeReader,
    malformed,
)
from leadscore.events.validation import Record

_DIVISOR_TO_MS = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}


class RecordReader:
    """How the records of one schema are read; ``numbers`` says what ``event_of`` must know of them."""

    def __init__(self, numbers: Sequence[str] | None) -> None:
        self.numbers = numbers

    def read(self, value: bytes, start: int) -> Record:
        """The record in ``value`` from ``start`` to its very end; ``DeadLetter`` where the bytes are no such record."""
        raise NotImplementedError


class AvroReader(RecordReader):
    """Reads values written with one schema."""

    def __init__(self, schema: AvroSchema, numbers: Sequence[str] | None = None, *, for_mapping: bool = False) -> None:
        """``for_mapping``: nulls stay, and local times are numbers; a mapping knows what both mean."""
        super().__init__(numbers)
        self._budget = Budget()
        self._record = _Readers(schema, self._budget, for_mapping=for_mapping).of_record(schema.definition, "")

    def read(self, value: bytes, start: int) -> Record:
        """The record, read by the schema."""
        record: Record = {}
        self._budget.left = MOST_OBJECTS
        try:
            end = self._record.read_into(record, value, start)
        except (IndexError, OverflowError, struct.error) as error:
            raise malformed("the value ends within a field") from error
        except UnicodeDecodeError as error:
            raise malformed("a text is not UTF-8") from error
        if end < len(value):
            raise DeadLetter(DeadLetterReason.TRAILING_BYTES, f"{len(value) - end} bytes after the record")
        if end > len(value):
            raise malformed("the value ends within a field")
        return record


class UnionReader(RecordReader):
    """Reads the values of a union on top: each with the reader of its branch, of which ``None`` is one of no record."""

    def __init__(self, branches: Sequence[RecordReader | None]) -> None:
        super().__init__(None)
        self._branches = branches

    def read(self, value: bytes, start: int) -> Record:
        """The record, read by the branch it was written with."""
        reader = self._branches[branch_of(value, start, len(self._branches))]
        if reader is None:
            raise malformed(NO_RECORD)
        return reader.read(value, start + 1)


NO_RECORD = "the branch of the union is no record"


def branch_of(value: bytes, start: int, branches: int) -> int:
    """The branch of a union on top that a value was written with."""
    bits = value[start] if start < len(value) else 1
    if bits & 1 or bits >> 1 >= branches:
        raise malformed("expected an index of the union")
    return bits >> 1


class _Readers:
    """Makes the readers of a schema; those of a named record once."""

    def __init__(self, schema: AvroSchema, budget: Budget, *, for_mapping: bool) -> None:
        self._schema = schema
        self._budget = budget
        self._for_mapping = for_mapping
        self._records: dict[str, FieldsReader] = {}

    def of_record(self, record: dict[str, object], where: str) -> FieldsReader:
        name = str(record["name"])
        if name not in self._records:
            fields = [(field, schema) for field, schema in fields_of(record) if not self._schema.is_zero_width(schema)]
            prefix = f"{where}." if where else ""
            made = [self._field(field, schema, f"{prefix}{field}") for field, schema in fields]
            self._records[name] = FieldsReader(where, made, keeps_nulls=self._for_mapping)
        return self._records[name]

    def _field(self, name: str, schema: Schema, where: str) -> FieldOf:
        branch = self._branch_beside_null(self._schema.resolve(schema))
        reader = self._of(schema if branch is None else branch, where)
        return name, branch is not None, type(reader) is TextReader, reader

    def _branch_beside_null(self, schema: Schema) -> Schema | None:
        """The second branch of a union of null and one other, if that takes bytes."""
        if not isinstance(schema, list) or len(schema) != 2 or self._schema.resolve(schema[0]) != "null":
            return None
        return None if self._schema.is_zero_width(schema[1]) else schema[1]

    def _of(self, schema: Schema, where: str) -> ValueReader:
        schema = self._schema.resolve(schema)
        if isinstance(schema, list):
            return BranchReader(where, [self._of(branch, where) for branch in schema])
        if self._schema.is_zero_width(schema):
            return NothingReader(where)
        if isinstance(schema, str):
            return _of_primitive(schema, where)
        if schema["type"] in ("int", "long"):
            return self._of_whole(str(schema["type"]), str(schema.get("logicalType", "")), where)
        return self._of_complex(schema, where)

    def _of_whole(self, name: str, logical: str, where: str) -> ValueReader:
        """A logical type that does not fit its type is ignored, as Avro says."""
        if name == "long" and logical.startswith("local-timestamp-") and not self._for_mapping:
            return LocalTimeReader(where)
        return WholeReader(where, _DIVISOR_TO_MS.get(logical, 1) if name == "long" else 1)

    def _of_complex(self, schema: dict[str, object], where: str) -> ValueReader:
        if schema["type"] == "record":
            return self.of_record(schema, where)
        if schema["type"] == "map":
            values = cast("Schema", schema["values"])
            return MapReader(where, self._of(values, where), 1 + self._schema.objects_in(values), self._budget)
        if schema["type"] == "array":
            items = cast("Schema", schema["items"])
            return ArrayReader(where, self._of(items, where), self._schema.objects_in(items), self._budget)
        if schema["type"] == "enum":
            return EnumReader(where, cast("list[str]", schema["symbols"]))
        if schema["type"] == "fixed":
            return FixedReader(where, cast("int", schema["size"]))
        return self._of(cast("Schema", schema["type"]), where)


def _of_primitive(name: str, where: str) -> ValueReader:
    if name == "string":
        return TextReader(where)
    if name == "bytes":
        return BytesReader(where)
    if name == "boolean":
        return BooleanReader(where)
    if name == "float":
        return FloatReader(where)
    return DoubleReader(where) if name == "double" else WholeReader(where)
