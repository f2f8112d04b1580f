"""What the demo shows, from fixed snapshots."""

import io
import json

import msgspec
import pytest
from rich.text import Text

from leadscore.demo.view import (
    BLOCKS,
    HOTTEST_SHOWN,
    DemoSnapshot,
    DemoSummary,
    HotLead,
    LiveView,
    PlainView,
    choose_view,
    crossing_lines,
    hottest_lines,
    next_commands,
    status_line,
    summary_json,
    summary_lines,
)
from leadscore.scoring.crossing import Cause, Direction, Reason
from tests.unit.sample_crossing import CROSSING

ENTER = msgspec.structs.replace(
    CROSSING,
    id="c1",
    lead_id="3f2a9c1e-aaaa-4bbb-8ccc-123456789012",
    previous_score=58.1,
    occurred_at_ms=1_767_607_200_000,
    decided_at_ms=1_767_607_201_000,
    projected_exit_at_ms=None,
    reasons=[Reason("company_size", 20.0), Reason("pricing_page", 18.04), Reason("mail_click", -3.0)],
)
LEAVE = msgspec.structs.replace(
    ENTER,
    id="c2",
    direction=Direction.LEAVE,
    cause=Cause.TIME,
    score=50.0,
    previous_score=50.0,
    trigger=None,
    reasons=[],
)
SUMMARY = DemoSummary(
    events_produced=5_000,
    events_applied=4_100,
    duplicates=50,
    ignored=830,
    dead_letters=20,
    crossings=31,
    entered=27,
    left=4,
    leads=280,
    became_known=33,
    said={"accepted": 5, "rejected": 3, "won": 0},
    seconds=10.0,
    events_per_second=500.0,
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def snapshot(elapsed_s: float = 1.0, **changes: object) -> DemoSnapshot:
    at_rest = DemoSnapshot(elapsed_s=elapsed_s, produced=1_234, applied=1_200, events_per_s=432.6)
    return msgspec.structs.replace(at_rest, **changes)


class Pipe(io.StringIO):
    """A stream that is no terminal and takes every character."""

    encoding = "utf-8"


@pytest.fixture(autouse=True)
def _terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich looks at it, too; a test that runs without a terminal has none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def live_view(terminal: Terminal, columns: int, rows: int = 24) -> LiveView:
    view = choose_view(terminal, {}, (columns, rows))
    assert isinstance(view, LiveView)
    return view


def plain_view(pipe: Pipe) -> PlainView:
    view = choose_view(pipe, {})
    assert isinstance(view, PlainView)
    return view


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def screen(output: str, rows: int = 40) -> list[str]:
    """What a terminal shows, below what has scrolled away: a tiny emulator of the few sequences the view uses."""
    lines, row, top = [""] * rows, 0, 0
    position = 0
    while position < len(output):
        if output.startswith("\x1b[", position):
            end = next(at for at in range(position + 2, len(output)) if output[at].isalpha())
            argument, command = output[position + 2 : end], output[end]
            if command == "A":
                row -= int(argument)
                assert row >= top, "the cursor left the screen"
            if command == "K":
                lines[row] = ""
            position = end + 1
            continue
        if output[position] == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
                top += 1
        elif output[position] != "\r":
            lines[row] += output[position]
        position += 1
    return lines


def test_an_enter_says_what_happened_and_why() -> None:
    assert plain(crossing_lines(ENTER, BLOCKS)) == [
        "▲ 3f2a9c1e entered mql  score 67.2 (was 58.1)  by website.page_view, campaign spring-launch",
        "    because company_size +20.0, pricing_page +18.0, mail_click -3.0",
    ]


def test_a_leave_by_time_names_no_trigger_and_no_earlier_score() -> None:
    assert plain(crossing_lines(LEAVE, BLOCKS)) == ["▼ 3f2a9c1e left mql  score 50.0  by time alone"]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.INSTANT, "at once by website.page_view"),
        (Cause.DISQUALIFIED, "disqualified by website.page_view"),
        (Cause.RECYCLED, "given back by website.page_view"),
        (Cause.MERGED, "the visitor became known"),
        (Cause.COMMAND, "by website.page_view"),
    ],
)
def test_every_cause_is_described_in_words(cause: Cause, words: str) -> None:
    assert words in plain(crossing_lines(msgspec.structs.replace(ENTER, cause=cause), BLOCKS))[0]


def test_the_status_line_has_the_throughput() -> None:
    assert status_line(snapshot(12.34)) == " 12.3 s   produced 1,234   applied 1,200   433 events/s"


def test_a_bar_is_as_long_as_the_score() -> None:
    hottest = [
        HotLead("a" * 36, 100.0, "hot", ("mql", "hot")),
        HotLead("b" * 36, 50.0, "warm"),
        HotLead("c", 0.0, "cold"),
    ]
    lines = plain(hottest_lines(snapshot(hottest=hottest), BLOCKS))
    assert lines[0] == "  aaaaaaaa  ████████████████████████ 100.0  hot   mql hot"
    assert lines[1] == "  bbbbbbbb  ████████████░░░░░░░░░░░░  50.0  warm"
    assert lines[2].count("█") == 0


def test_a_score_outside_the_scale_does_not_break_its_bar() -> None:
    lines = plain(hottest_lines(snapshot(hottest=[HotLead("a", 250.0, "hot"), HotLead("b", -10.0, "cold")]), BLOCKS))
    assert lines[0].count("█") == 24
    assert lines[1].count("░") == 24


def test_the_panel_keeps_its_height_whatever_the_number_of_leads() -> None:
    many = [HotLead(str(number), 1.0, "cold") for number in range(50)]
    assert len(plain(hottest_lines(snapshot(hottest=many), BLOCKS))) == HOTTEST_SHOWN
    assert len(plain(hottest_lines(snapshot(), BLOCKS))) == HOTTEST_SHOWN


def test_the_plain_view_prints_each_crossing_once_and_oldest_first() -> None:
    stream = Pipe()
    view = plain_view(stream)
    view.update(snapshot(0.5, crossings=[ENTER]))
    view.update(snapshot(1.0, crossings=[LEAVE, ENTER]))
    text = stream.getvalue()
    assert text.count("entered mql") == text.count("left mql") == 1
    assert text.index("entered mql") < text.index("left mql")


def test_the_plain_view_prints_the_throughput_every_two_seconds() -> None:
    stream = Pipe()
    view = plain_view(stream)
    for tenth in range(50):
        view.update(snapshot(tenth / 10))
    assert stream.getvalue().count("events/s") == 3


def test_the_plain_view_writes_no_escape_sequences() -> None:
    stream = Pipe()
    view = choose_view(stream, {})
    view.update(snapshot(crossings=[ENTER], hottest=[HotLead("a", 80.0, "hot")]))
    view.close(summary_lines(SUMMARY, next_commands()))
    assert isinstance(view, PlainView)
    assert "\x1b" not in stream.getvalue()


def test_the_live_view_redraws_the_panel_and_keeps_the_crossings() -> None:
    terminal = Terminal()
    terminal.write("$ make demo\n")
    view = live_view(terminal, 100)
    view.update(snapshot(1.0, hottest=[HotLead("first", 40.0, "warm")]))
    view.update(snapshot(2.0, crossings=[ENTER], hottest=[HotLead("second", 80.0, "hot")]))
    view.update(snapshot(3.0, crossings=[LEAVE, ENTER], hottest=[HotLead("third", 90.0, "hot")]))
    view.close(["the end"])
    shown = [line for line in screen(terminal.getvalue()) if line]
    assert [line.split("  ")[0] for line in shown] == [
        "$ make demo",
        "▲ 3f2a9c1e entered mql",
        "",
        "▼ 3f2a9c1e left mql",
        "",
        "",
        "the end",
    ]
    assert "because company_size +20.0" in shown[2]
    assert "  3.0 s" in shown[4]
    assert "third" in shown[5]


def test_the_live_view_gives_the_cursor_back() -> None:
    terminal = Terminal()
    view = live_view(terminal, 80)
    view.update(snapshot())
    view.close()
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_no_panel_line_is_wider_than_the_terminal() -> None:
    terminal = Terminal()
    live_view(terminal, 30).update(snapshot(hottest=[HotLead("a" * 36, 99.0, "hot", ("mql", "hot"))]))
    assert max(len(line) for line in screen(terminal.getvalue())) == 30


@pytest.mark.parametrize("rows", [2, 5, 10, 11, 12, 24])
def test_a_low_terminal_gets_a_panel_that_it_can_redraw(rows: int) -> None:
    terminal = Terminal()
    view = live_view(terminal, 60, rows)
    leads = [HotLead(f"lead-{number}", 90.0 - number, "hot") for number in range(HOTTEST_SHOWN)]
    for second in range(5):
        crossing = msgspec.structs.replace(ENTER, id=f"c{second}")
        view.update(snapshot(float(second), crossings=[crossing], hottest=leads))
    shown = screen(terminal.getvalue(), rows)
    assert sum("events/s" in line for line in shown) == 1
    assert sum("lead-0" in line for line in shown) == 1
    assert sum("entered mql" in line for line in shown) == 5


@pytest.mark.parametrize(
    ("environ", "colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "xterm"}, True)],
)
def test_a_terminal_has_colours_unless_no_color_is_set(environ: dict[str, str], colours: bool) -> None:
    terminal = Terminal()
    view = choose_view(terminal, environ, (80, 24))
    view.update(snapshot(crossings=[ENTER], hottest=[HotLead("a", 80.0, "hot")]))
    assert isinstance(view, LiveView)
    assert ("\x1b[31m" in terminal.getvalue()) is colours


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert isinstance(choose_view(Terminal(), {"TERM": "dumb"}, (80, 24)), PlainView)


def test_a_stream_that_is_not_unicode_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    view = choose_view(stream, {}, (80, 24))
    view.update(snapshot(crossings=[LEAVE, ENTER], hottest=[HotLead("a", 80.0, "hot")]))
    stream.seek(0)
    assert stream.read().startswith("+ 3f2a9c1e entered mql")


def test_the_summary_adds_up_in_words() -> None:
    text = "\n".join(summary_lines(SUMMARY, []))
    assert "5,000 events produced\n  = 4,100 applied + 50 duplicates + 830 ignored + 20 dead letters\n" in text
    assert "31 crossings = 27 entered + 4 left, of 280 leads" in text
    assert "33 visitors became known; of those that entered, sales said: accepted 5, rejected 3\n" in text
    assert "10.0 s, 500 events per second" in text
    assert "NOT ACCOUNTED FOR" not in text
    assert SUMMARY.adds_up


def test_a_summary_that_does_not_add_up_says_by_how_much() -> None:
    short = msgspec.structs.replace(SUMMARY, events_applied=4_093)
    assert "(7 NOT ACCOUNTED FOR)" in "\n".join(summary_lines(short, []))
    assert not short.adds_up
    assert not msgspec.structs.replace(SUMMARY, left=5).adds_up


def test_the_summary_ends_with_the_commands_to_try() -> None:
    lines = summary_lines(SUMMARY, next_commands(".venv/bin/leadscore"))
    assert any(line.startswith("  .venv/bin/leadscore check --model scoring/model.yaml ") for line in lines)
    assert lines[-1].startswith("  .venv/bin/leadscore run --help")


def test_the_summary_as_json_is_one_line_with_all_its_fields() -> None:
    text = summary_json(SUMMARY)
    assert "\n" not in text
    assert json.loads(text) == {name: getattr(SUMMARY, name) for name in DemoSummary.__struct_fields__}


def test_a_demo_that_was_stopped_says_what_it_did_not_come_to() -> None:
    stopped = msgspec.structs.replace(SUMMARY, events_applied=4_000, waiting=100)
    assert stopped.adds_up
    assert "20 dead letters + 100 not worked yet" in "\n".join(summary_lines(stopped, []))
    assert "not worked" not in "\n".join(summary_lines(SUMMARY, []))
