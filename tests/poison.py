"""The poison corpus: every way we know in which a value can be wrong, and the reason it is refused for."""

import json
import math

from leadscore.errors import DeadLetterReason
from leadscore.events.local_schemas import single_object_header
from tests.random_avro import long, sized

HEADER = single_object_header("website_event")


def text(value: str) -> bytes:
    return sized(value.encode())


def website(**wrong: bytes) -> bytes:
    """A page view in single-object encoding, field by field, with these fields in place of the right ones."""
    right = {"event_id": text("e1"), "lead_id": text("L1"), "occurred_at": long(1_767_607_200_000), "type": long(1)}
    right |= dict.fromkeys(("campaign", "path", "referrer", "form", "asset", "pages", "country"), long(0))
    right |= {"fields": long(0), "attributes": long(0)}
    assert set(wrong) <= set(right)
    return HEADER + b"".join({**right, **wrong}.values())


def attribute(branch: int, value: bytes) -> bytes:
    """Attributes with one entry."""
    return long(1) + long(1) + text("a") + long(branch) + value + long(0)


def page_view(**more: object) -> bytes:
    record = {"type": "website.page_view", "event_id": "e1", "lead_id": "L1", "occurred_at": 1_767_607_200_000}
    return json.dumps({**record, **more}).encode()


MALFORMED, INVALID = DeadLetterReason.MALFORMED, DeadLetterReason.INVALID_FIELD

CORPUS: dict[str, tuple[bytes | None, DeadLetterReason]] = {
    "null value": (None, DeadLetterReason.EMPTY),
    "no bytes": (b"", DeadLetterReason.EMPTY),
    "5 MB of JSON": (page_view(path="x" * 5_000_000), DeadLetterReason.TOO_LARGE),
    "5 MB of nothing": (bytes(5_000_000), DeadLetterReason.TOO_LARGE),
    "wrong magic byte": (b"\x01" + website(), DeadLetterReason.UNKNOWN_FORMAT),
    "half of the magic": (b"\xc3", DeadLetterReason.UNKNOWN_FORMAT),
    "plain text": (b"hello", DeadLetterReason.UNKNOWN_FORMAT),
    "white space": (b" \n", DeadLetterReason.UNKNOWN_FORMAT),
    "a JSON array": (b"[" + page_view() + b"]", DeadLetterReason.UNKNOWN_FORMAT),
    "a byte order mark": (b"\xef\xbb\xbf" + page_view(), DeadLetterReason.UNKNOWN_FORMAT),
    "a Confluent magic and no id": (b"\x00\x00\x00\x00", DeadLetterReason.UNKNOWN_FORMAT),
    "Confluent framing without a registry": (b"\x00\x00\x00\x00\x01" + website()[10:], DeadLetterReason.UNKNOWN_SCHEMA),
    "a fingerprint of no schema": (b"\xc3\x01" + bytes(8) + website()[10:], DeadLetterReason.UNKNOWN_SCHEMA),
    "half a fingerprint": (HEADER[:6], DeadLetterReason.UNKNOWN_SCHEMA),
    "nothing but the header": (HEADER, MALFORMED),
    "one byte more": (website() + b"\x00", DeadLetterReason.TRAILING_BYTES),
    "two values": (website() + website(), DeadLetterReason.TRAILING_BYTES),
    "enum index -1": (website(type=long(-1)), MALFORMED),
    "enum index 6 of 6": (website(type=long(6)), MALFORMED),
    "enum index 99": (website(type=long(99)), MALFORMED),
    "enum index 2^40": (website(type=long(2**40)), MALFORMED),
    "union index -1": (website(campaign=long(-1)), MALFORMED),
    "union index 2 of 2": (website(campaign=long(2)), MALFORMED),
    "union index 99": (website(campaign=long(99)), MALFORMED),
    "union index -1 in a map": (website(attributes=attribute(-1, b"")), MALFORMED),
    "union index 5 of 5 in a map": (website(attributes=attribute(5, b"")), MALFORMED),
    "length -1": (website(event_id=long(-1) + b"e1"), MALFORMED),
    "length -2^63": (website(event_id=long(-(2**63)) + b"e1"), MALFORMED),
    "length 2^40": (website(event_id=long(2**40) + b"e1"), MALFORMED),
    "length 2^63 - 1": (website(event_id=long(2**63 - 1) + b"e1"), MALFORMED),
    "length 2^63 - 1 at the end": (website(attributes=attribute(1, long(2**63 - 1))), MALFORMED),
    "length one too long at the end": (website(attributes=attribute(1, long(2) + b"x")), MALFORMED),
    "a long text that ends early": (website()[:-3] + long(1) + long(100) + b"x" * 99, MALFORMED),
    "key of length 2^40": (website(fields=long(1) + long(2**40)), MALFORMED),
    "a number of 11 bytes": (website(occurred_at=b"\xff" * 10 + b"\x01"), MALFORMED),
    "a number of 65 bits": (website(occurred_at=b"\xff" * 9 + b"\x02"), MALFORMED),
    "a number that ends early": (website(occurred_at=b"\xff" * 5)[:19], MALFORMED),
    "a number without end": (website(occurred_at=b"\xff" * 500_000), MALFORMED),
    "2^40 entries": (website(fields=long(2**40) + text("a") + text("b")), MALFORMED),
    "-2^40 entries": (website(fields=long(-(2**40)) + long(4) + text("a") + text("b")), MALFORMED),
    "-2^63 entries": (website(fields=long(-(2**63)) + long(4) + text("a") + text("b")), MALFORMED),
    "one entry more than bytes": (website(fields=long(20) + text("a") + text("b")), MALFORMED),
    "boolean 2": (website(attributes=attribute(4, b"\x02")), MALFORMED),
    "half a double": (website()[:-1] + long(1) + long(1) + text("a") + long(3) + b"1234", MALFORMED),
    "bad UTF-8": (website(path=long(1) + long(2) + b"\xff\xfe"), MALFORMED),
    "a surrogate in UTF-8": (website(path=long(1) + long(3) + b"\xed\xa0\x80"), MALFORMED),
    "bad UTF-8 in a key": (website(fields=long(1) + long(1) + b"\xff" + text("b") + long(0)), MALFORMED),
    "year 300,000": (website(occurred_at=long(9_404_938_944_000_000)), INVALID),
    "year -300,000": (website(occurred_at=long(-9_529_262_400_000_000)), INVALID),
    "empty event id": (website(event_id=text("")), INVALID),
    "separator in a lead id": (website(lead_id=text("L\x1f1")), INVALID),
    "an address for a lead": (website(lead_id=text("jane@example.com")), INVALID),
    "half of JSON": (page_view()[:-1], MALFORMED),
    "an open brace": (b"{", MALFORMED),
    "JSON and more": (page_view() + b"{}", DeadLetterReason.TRAILING_BYTES),
    "bad UTF-8 in JSON": (page_view().replace(b"L1", b"\xff"), MALFORMED),
    "half a surrogate pair in JSON": (page_view().replace(b"L1", b"\\ud800"), MALFORMED),
    "NaN in JSON": (page_view(a=math.nan), MALFORMED),
    "a JSON number above all": (page_view().replace(b"1767607200000", b"1e999"), INVALID),
    "a number above all, in half of JSON": (page_view(a=1).replace(b": 1}", b": 1e999"), MALFORMED),
    "a number above all, and half a surrogate pair": (
        page_view(a=1, b="x").replace(b": 1,", b": 1e999,").replace(b'"x"', b'"\\ud800"'),
        MALFORMED,
    ),
    "a JSON integer of 5,000 digits": (page_view().replace(b'"L1"', b"9" * 5_000), MALFORMED),
    "JSON nested 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, MALFORMED),
    "JSON arrays nested 100,000 deep": (page_view()[:-1] + b',"a":' + b"[" * 100_000, MALFORMED),
    "no fields at all": (b"{}", DeadLetterReason.MISSING_FIELD),
    "an empty object and a null": (b'{"type": null}', DeadLetterReason.MISSING_FIELD),
}
