"""Records as files hold them, as a topic would have them: JSON lines, what ``kcat -J`` writes, Avro container files."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import fastavro
import msgspec

from leadscore.errors import EventsFileError
from leadscore.events.registered import SchemaKey
from leadscore.mapping.decoding import Beside

AVRO_MAGIC = b"Obj\x01"
_EXPECTED = "expected JSON lines, or an Avro object container file"
_json_value = msgspec.json.Decoder(msgspec.Raw).decode
_kcat = msgspec.json.Decoder(dict[str, object])


class RawRecord(NamedTuple):
    """One record; ``where`` names its place in the file. ``topic`` is that of a line of ``kcat -J``."""

    where: str
    topic: str | None
    value: bytes | None
    beside: Beside


class RawRecords:
    """The records of a file, or of standard input (``-``)."""

    def __init__(self, path: str, timestamp_ms: int | None, *, is_kcat: bool) -> None:
        """``timestamp_ms`` stands for the Kafka timestamp where the file says none."""
        self._name = "standard input" if path == "-" else path
        self._content = _content(path)
        self._timestamp_ms = timestamp_ms
        self._is_kcat = is_kcat
        self.schema: str | None = None
        """The schema of an Avro file; every one of its values is framed as one with the registry's id 1."""

    def lookup(self, _key: SchemaKey) -> dict[str, object]:
        """The schema of the file, as a registry answers."""
        return {"schema": self.schema or "{}"}

    def __iter__(self) -> Iterator[RawRecord]:
        if self._content.startswith(AVRO_MAGIC):
            yield from self._of_avro()
            return
        if not self._is_kcat and self._is_one_value():
            yield self._record(self._name, self._content)
            return
        for number, line in enumerate(self._content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            if line.strip():
                where = f"{self._name}:{number}"
                yield self._of_kcat(line, where) if self._is_kcat else self._record(where, line.strip())

    def _is_one_value(self) -> bool:
        """Whether the file is one JSON value over several lines, as vendors print theirs; lines of values are none."""
        try:
            _json_value(self._content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        return b"\n" in self._content.strip()

    def _record(self, where: str, value: bytes) -> RawRecord:
        return RawRecord(where, None, value, Beside(None, None, self._timestamp_ms))

    def _of_kcat(self, line: bytes, where: str) -> RawRecord:
        try:
            record = _kcat.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise EventsFileError(f"{where}: {error}: expected a line as `kcat -J` writes it") from error
        payload, key, time_ms = record.get("payload"), record.get("key"), record.get("ts")
        beside = Beside(
            key if isinstance(key, str) else None,
            _kcat_headers(record.get("headers")),
            time_ms if isinstance(time_ms, int) and time_ms >= 0 else self._timestamp_ms,
        )
        value = payload.encode() if isinstance(payload, str) else None
        return RawRecord(where, cast("str | None", record.get("topic")), value, beside)

    def _of_avro(self) -> Iterator[RawRecord]:
        try:
            # With the names of records in unions, so that each is written again as the record it was.
            reader = fastavro.reader(io.BytesIO(self._content), return_record_name=True)
            schema = reader.writer_schema
            self.schema = reader.metadata["avro.schema"]
            for number, record in enumerate(reader, start=1):
                value = io.BytesIO(b"\x00\x00\x00\x00\x01")
                value.seek(0, io.SEEK_END)
                fastavro.schemaless_writer(value, schema, record)
                yield self._record(f"{self._name}: record {number}", value.getvalue())
        except (EOFError, ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            raise EventsFileError(f"{self._name}: {type(error).__name__}: {_EXPECTED}") from error


def _kcat_headers(names_and_values: object) -> list[tuple[str, bytes | None]]:
    """The flat list of names and values that kcat writes, in pairs."""
    flat = names_and_values if isinstance(names_and_values, list) else []
    return [
        (str(name), value.encode() if isinstance(value, str) else None)
        for name, value in zip(flat[::2], flat[1::2], strict=False)
    ]


def _content(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise EventsFileError(f"{path}: cannot be read: {error.strerror}: {_EXPECTED}") from error
