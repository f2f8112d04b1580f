"""What ``leadscore dlq`` prints: nothing of a record but where it is asked for, and nothing that a terminal obeys."""

import argparse

import pytest

from leadscore.cli.dead_letter_text import Summary, letter_line, letter_whole
from leadscore.cli.dead_letter_topic import StoredLetter
from leadscore.cli.dlq import Place, place
from leadscore.pipeline.match.dead_letter_headers import Account, Position


def letter(value: bytes | None, timestamp_ms: int = 1_767_607_200_000) -> StoredLetter:
    account = Account(Position("website", "", 3, 17), "malformed", "expected JSON", "g", None, [("trace", b"\x1b[2J")])
    return StoredLetter(0, 5, b"key", value, timestamp_ms, account)


def test_a_line_has_nothing_of_the_record() -> None:
    assert letter_line(letter(b"secret"), is_redriven=False) == (
        "0/5  2026-01-05T10:00:00.000Z  waiting  website/3/17  malformed: expected JSON"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"a": "\xc3\xa4\\t"}\n\tb', ["value, 16 bytes:", '{"a": "ä\\t"}\n\tb']),
        ("x\u202ey".encode(), ["value, 5 bytes:", "x\\u202ey"]),
        (
            b"\x00\x00\x00\x00\x07\x1b]0;title\x07 more",
            [
                "value, 20 bytes, not text:",
                "00000000  00 00 00 00 07 1b 5d 30 3b 74 69 74 6c 65 07 20  ......]0;title. ",
                "00000010  6d 6f 72 65                                      more",
            ],
        ),
        (b"", ["value, 0 bytes:"]),
        (None, ["no value"]),
    ],
)
def test_a_value_is_text_or_hexadecimal_and_no_terminal_obeys_it(value: bytes | None, shown: list[str]) -> None:
    lines = list(letter_whole(letter(value)))
    assert lines[-len(shown) :] == shown
    assert "header     trace: 1b 5b 32 4a" in lines


def test_a_timestamp_without_a_date_is_a_number() -> None:
    summary = Summary()
    summary.count(letter(None, 10**17), is_redriven=True)
    assert summary.lines()[1].split() == ["malformed", "website", "0", "1", *["100000000000000000", "ms"] * 2]
    assert Summary().lines() == ["no dead letters"]


@pytest.mark.parametrize("text", ["", "1", "1/", "/1", "a/1", "1/-1", "1/2/3"])
def test_a_place_is_partition_and_offset(text: str) -> None:
    assert place("2/17") == Place(2, 17)
    with pytest.raises(argparse.ArgumentTypeError, match="expected partition and offset, such as 0/17"):
        place(text)
