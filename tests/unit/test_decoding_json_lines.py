"""Events files: one JSON object a line, and messages a person can act on."""

import pytest

from leadscore.errors import EventsFileError
from leadscore.events.event import Event
from leadscore.events.json_lines import Line, read_line, read_lines

VISIT = '{"type": "website.page_view", "event_id": "e1", "lead_id": "L1", "occurred_at": 1000}'
AN_ID = "text of 1 to 256 characters, not only blanks, without control characters"
AN_INSTANT = "integer milliseconds or ISO 8601 with an offset, from 1900 to 2200"


def problem_of(*lines: str) -> str:
    with pytest.raises(EventsFileError) as caught:
        list(read_lines(lines, "events.jsonl"))
    return str(caught.value)


def test_received_at_stands_beside_the_event() -> None:
    event = Event("website.page_view", "e1", "L1", 1000, {})
    assert read_line(VISIT) == (event, None)
    assert read_line(VISIT.replace("}", ', "received_at": "1970-01-01T00:00:05Z"}')) == (event, 5000)


def test_lines_are_counted_from_one_and_empty_ones_left_out() -> None:
    event = Event("website.page_view", "e1", "L1", 1000, {})
    assert list(read_lines(["\n", VISIT + "\n", "  \n", VISIT], "f")) == [Line(2, event, None), Line(4, event, None)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            VISIT.replace("1000", '"2026-01-05T10:00:00"'),
            f'events.jsonl:2: occurred_at: "2026-01-05T10:00:00": expected {AN_INSTANT}',
        ),
        (
            VISIT.replace('"lead_id": "L1", ', ""),
            f"events.jsonl:2: lead_id: missing: expected {AN_ID}",
        ),
        (
            VISIT.replace("L1", "jane@example.com"),
            'events.jsonl:2: lead_id: "jane@example.com": expected an opaque id, not an email address',
        ),
        (
            VISIT.replace("}", ', "received_at": "soon"}'),
            f'events.jsonl:2: received_at: "soon": expected {AN_INSTANT}',
        ),
    ],
)
def test_a_problem_names_file_line_field_value_and_what_was_expected(line: str, message: str) -> None:
    assert problem_of(VISIT, line) == message


@pytest.mark.parametrize("line", ["{", "[1]", "7", VISIT + "\ufeff", VISIT + VISIT, "not JSON"])
def test_a_line_that_is_no_object_is_refused(line: str) -> None:
    problem = problem_of(line)
    assert problem.startswith("events.jsonl:1: ")
    assert problem.endswith(": expected one JSON object a line")


def test_a_line_that_is_no_object_is_shown() -> None:
    assert problem_of("[1, 2]").startswith("events.jsonl:1: [1, 2]: ")


def test_a_byte_order_mark_at_the_beginning_does_no_harm() -> None:
    (line,) = read_lines([f"\ufeff{VISIT}"], "f")
    assert [line] == list(read_lines([f"\ufeff{VISIT}".encode()], "f"))
    assert problem_of(VISIT, f"\ufeff{VISIT}").startswith("events.jsonl:2: ")


def test_a_long_value_is_shown_in_part() -> None:
    assert len(problem_of(VISIT.replace('"e1"', f'"{"x" * 1000}"'))) < 250
