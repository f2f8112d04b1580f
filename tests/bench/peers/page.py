"""The table and the plot of a report: docs/benchmarks.md between two marks, and docs/benchmarks/peers.svg."""

import re
from collections.abc import Callable, Iterable, Sequence
from math import fsum

import msgspec

from tests.bench.peers.figures import Cpu, Report, Run, Spread, Workload, spread
from tests.bench.peers.parts import LOOP, STEPS, of_both_stages
from tests.servers import ROOT

FIGURES = ROOT / "docs" / "benchmarks" / "peers.json"
PLOT = ROOT / "docs" / "benchmarks" / "peers.svg"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made by make bench-peers -->", "<!-- end of what make bench-peers makes -->"
HEAD = (
    "",
    "events/s",
    "second half",
    "CPU per event, second half",
    "worker + broker + Redis",
    "the same, whole run",
    "memory: worker + Redis",
    "start",
    "crossings: enter, leave, repeated",
)

PARTS_HEAD = ("", "CPU: loop", "Kafka's client", "other threads", *(f"time: {step}" for step in STEPS), "rest")
PARTS_TITLE = (
    "Where leadscore's time goes, µs per event in the second half: CPU by thread; and time by step of the loop, with\n"
    "what it waited there for Redis, for records and for a core. Of two processes the steps of both are added up, so\n"
    "that the rest may be less than nothing:"
)


def read_report() -> Report:
    """The one in the repository."""
    return msgspec.json.decode(FIGURES.read_bytes(), type=Report)


def write_page(report: Report) -> None:
    """JSON, then what follows from it."""
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    PLOT.write_text(plot(report), "utf-8")
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), report), "utf-8")


def with_tables(page: str, report: Report) -> str:
    """The page, with everything between the marks made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(report)}{END}{after}"


def tables(report: Report) -> str:
    """What was measured on what, a table per workload, and what is missing."""
    facts = report.facts
    idle = "cannot be measured here" if report.broker_idle is None else f"{report.broker_idle:.3f} s/s"
    machine = ", ".join(facts[name] for name in ("processor", "system", "servers") if name in facts)
    measured = (
        f"\nMeasured on {report.date}: {facts['cores']} cores ({machine}), Python {facts['python']}, leadscore "
        f"{facts['leadscore']}. CPU of the idle broker, subtracted: {idle}.\n"
    )
    parts = [measured, f"\n![CPU per event and events per second]({PLOT.relative_to(PAGE.parent)})\n"]
    for workload in report.workloads():
        rows = [cells(report.titles[system], runs) for system, runs in report.rows(workload).items()]
        lines = [HEAD, ["---"] * len(HEAD), *rows]
        parts.append(f"\n{_title(workload)}\n\n{_table(lines)}")
        rows = [
            parts_cells(report.titles[run.system], run) for run in report.last_runs(workload) if run.half_parts.steps
        ]
        if rows:
            lines = [PARTS_HEAD, ["---"] * len(PARTS_HEAD), *rows]
            parts.append(f"\n{PARTS_TITLE}\n\n{_table(lines)}")
    for absent in report.absent:
        reason = re.sub(r"\s+", " ", absent.reason)[:300].replace("|", "/")
        parts.append(f"\n**Not measured: {report.titles[absent.system]}.** {reason}\n")
    return "".join(parts)


def parts_cells(title: str, run: Run) -> list[str]:
    """Where the time of one run of leadscore went. By ``fsum``, for ``sum`` of floats is another on Python 3.12."""
    threads, steps = run.half_parts.threads, run.half_parts.steps
    client_us = fsum(us for name, us in threads.items() if name.startswith("rdk:"))
    loop_us = threads.get(LOOP, 0.0)
    rest_us = 1e6 / run.half_events_per_s - fsum(steps.values()) if run.half_events_per_s else 0.0
    cpu = (loop_us, client_us, fsum(threads.values()) - loop_us - client_us)
    return [title, *(f"{us:.1f}" for us in (*cpu, *of_both_stages(steps).values(), rest_us))]


def _table(lines: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(title: str, runs: Sequence[Run]) -> list[str]:
    """One system's row: medians, and the ranges of what decides."""
    return [
        title,
        _number(spread(runs, lambda run: run.events_per_s)),
        _range(spread(runs, lambda run: run.half_events_per_s), "{:,.0f}"),
        _range(spread(runs, lambda run: run.half_cpu.total), "{:.1f}") + " µs",
        _parts(runs, lambda run: run.half_cpu),
        _parts(runs, lambda run: run.cpu),
        f"{_median(runs, lambda run: run.memory_mb):,.0f} + {_median(runs, lambda run: run.redis_mb):,.0f} MB",
        f"{_median(runs, lambda run: run.start_s):.1f} s ({_median(runs, lambda run: run.start_cpu_s):.1f} s CPU)",
        _crossings(runs),
    ]


def _title(workload: Workload) -> str:
    names = {"peers": "Workload `peers`", "starter": "Starter model (Kafka Streams: the rules of `peers`)"}
    return f"{names[workload.name]}, {workload.events:,} events of {workload.leads:,} leads:"


def _parts(runs: Sequence[Run], cpu: Callable[[Run], Cpu]) -> str:
    broker = spread(runs, lambda run: cpu(run).broker)
    broker_us = "?" if broker is None else f"{broker.median:.1f}"
    redis_us = _median(runs, lambda run: cpu(run).redis)
    return f"{_median(runs, lambda run: cpu(run).worker):.1f} + {broker_us} + {redis_us:.1f}"


def _crossings(runs: Sequence[Run]) -> str:
    enter, leave, repeated = (
        _number(spread(runs, figure))
        for figure in (
            lambda run: run.crossings.enter,
            lambda run: run.crossings.leave,
            lambda run: run.crossings.repeated,
        )
    )
    return f"{enter}, {leave}, {repeated}" if enter + leave != "00" else "-"


def _median(runs: Sequence[Run], figure: Callable[[Run], float | None]) -> float:
    measured = spread(runs, figure)
    return measured.median if measured else 0.0


def _number(measured: Spread | None) -> str:
    return f"{measured.median:,.0f}" if measured else "?"


def _range(measured: Spread | None, form: str) -> str:
    if measured is None:
        return "?"
    median = form.format(measured.median)
    if measured.least == measured.most:
        return median
    return f"{median} ({form.format(measured.least)} to {form.format(measured.most)})"


# The plot

WIDTH, ROW, LEFT, BAR, RATE = 880, 26, 270, 360, 130
COLOURS = {"worker": "#4477aa", "broker": "#cc9933", "Redis": "#bb5566"}
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #222 }
.head { font-weight: 600 }
.faint { fill: #666 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .faint { fill: #999 } }
</style>"""


def plot(report: Report) -> str:
    """Bars of the second half: CPU per event of worker, broker and Redis, and beside it events/s."""
    lines: list[str] = []
    top = 30
    for workload in report.workloads():
        lines += _panel(report, workload, top)
        top += ROW * (len(report.rows(workload)) + 2)
    legend = _legend()
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">'
    name = "<title>CPU per event and events per second of each system, second half of each run</title>"
    return "\n".join((head, name, STYLE, *legend, *lines, "</svg>", ""))


def _legend() -> list[str]:
    """Which colour is what."""
    lines = [_text(0, 16, "CPU per event (µs), second half of the run", "head")]
    for number, (part, colour) in enumerate(COLOURS.items()):
        x = 380 + 90 * number
        lines += [f'<rect x="{x}" y="6" width="12" height="12" fill="{colour}"/>', _text(x + 18, 16, part)]
    return [*lines, _text(LEFT + BAR + 70, 16, "events/s", "head")]


def _panel(report: Report, workload: Workload, top: int) -> list[str]:
    rows = report.rows(workload)
    most_us = max(_median(runs, lambda run: run.half_cpu.total) for runs in rows.values())
    most_per_s = max(_median(runs, lambda run: run.half_events_per_s) for runs in rows.values())
    lines = [_text(0, top + 20, _title(workload).replace("`", "").rstrip(":"), "faint")]
    for number, (system, runs) in enumerate(rows.items()):
        y = top + ROW * (number + 1) + 4
        lines.append(_text(LEFT - 8, y + 14, report.titles[system], "end"))
        lines += _bar(runs, y, BAR / most_us)
        rate = _median(runs, lambda run: run.half_events_per_s)
        x, width = LEFT + BAR + 70, RATE * rate / most_per_s
        lines.append(f'<rect x="{x}" y="{y}" width="{width:.1f}" height="18" fill="#888"/>')
        lines.append(_text(x + 4, y + 14, f"{rate:,.0f}"))
    return lines


def _bar(runs: Sequence[Run], y: int, scale: float) -> list[str]:
    x, lines = float(LEFT), []
    cpus = (lambda run: run.half_cpu.worker, lambda run: run.half_cpu.broker, lambda run: run.half_cpu.redis)
    for figure, colour in zip(cpus, COLOURS.values(), strict=True):
        width = max(0.0, _median(runs, figure)) * scale
        lines.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>')
        x += width
    total = _median(runs, lambda run: run.half_cpu.total)
    return [*lines, _text(x + 6, y + 14, f"{total:.1f}")]


def _text(x: float, y: int, content: str, style: str = "") -> str:
    anchor = ' text-anchor="end"' if style == "end" else ""
    name = f' class="{style}"' if style in {"head", "faint"} else ""
    return f'<text x="{x:.1f}" y="{y}"{anchor}{name}>{content}</text>'
