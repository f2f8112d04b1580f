"""A dashboard as an SVG picture, from the answers of Prometheus to its queries: much as Grafana shows it."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from deploy.grafana.panel import Dashboard, Kind, Panel, Place, Row, Unit

CELL_WIDTH, CELL_HEIGHT, GAP = 50, 30, 6
COLOURS = ("#3274d9", "#56a64b", "#e0752d", "#a352cc", "#e02f44", "#37872d", "#c4a000", "#008b8b")
GREEN, RED, INK, PALE = "#37872d", "#c4162a", "#24292e", "#d8d9da"
MOST_LINES, MOST_BARS = 6, 6
TITLE_HEIGHT, LEGEND_HEIGHT, AXIS_WIDTH = 24, 34, 54


@dataclass(frozen=True, slots=True)
class Line:
    """What one series is called, and its points."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the picture, in pixels."""

    x: float
    y: float
    width: float
    height: float


def picture(dashboard: Dashboard, lines_of: Callable[[Panel], Sequence[Line]]) -> str:
    """The whole dashboard."""
    places = list(dashboard.places())
    bottom = max(place.row + (place.content.height if isinstance(place.content, Panel) else 1) for place in places)
    width, height = 24 * CELL_WIDTH + GAP, bottom * CELL_HEIGHT + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11" fill="{INK}">\n<title>{escape(dashboard.title)}</title>\n'
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>\n'
    )
    return head + "\n".join(part for place in places for part in _drawn(place, lines_of)) + "\n</svg>\n"


def _drawn(place: Place, lines_of: Callable[[Panel], Sequence[Line]]) -> Iterator[str]:
    x, y = place.column * CELL_WIDTH + GAP, place.row * CELL_HEIGHT + GAP
    if isinstance(place.content, Row):
        yield f'<text x="{x}" y="{y + 18}" font-size="15" font-weight="bold">{escape(place.content.title)}</text>'
        return
    panel = place.content
    box = Box(x, y, panel.width * CELL_WIDTH - GAP, panel.height * CELL_HEIGHT - GAP)
    yield f'<rect x="{x}" y="{y}" width="{box.width}" height="{box.height}" fill="#fff" stroke="{PALE}"/>'
    yield f'<text x="{x + 8}" y="{y + 16}" font-weight="bold">{escape(panel.title)}</text>'
    inner = Box(x + 8, y + TITLE_HEIGHT, box.width - 16, box.height - TITLE_HEIGHT - 8)
    lines = [line for line in lines_of(panel) if line.points]
    if not lines:
        yield f'<text x="{inner.x}" y="{inner.y + 30}" fill="#888">nothing in this time</text>'
    elif panel.kind is Kind.NUMBER:
        yield from _number(panel, inner, lines)
    elif panel.kind is Kind.BARS:
        yield from _bars(panel, inner, lines)
    else:
        yield from _chart(panel, inner, lines)


def _number(panel: Panel, box: Box, lines: Sequence[Line]) -> Iterator[str]:
    for index, line in enumerate(lines[:2]):
        x = box.x + index * box.width / 2
        name = f'<tspan font-size="11" fill="#666" dx="6">{escape(line.name)}</tspan>' if line.name else ""
        yield (
            f'<text x="{x:.0f}" y="{box.y + 50:.0f}" font-size="34" fill="{_colour(panel, line.last)}">'
            f"{escape(shown(line.last, panel.unit))}{name}</text>"
        )


def _colour(panel: Panel, value: float) -> str:
    if panel.limit is None:
        return GREEN
    return GREEN if (value >= panel.limit) == panel.is_better_above else RED


def _bars(panel: Panel, box: Box, lines: Sequence[Line]) -> Iterator[str]:
    finite = [line for line in lines if math.isfinite(line.last)][:MOST_BARS]
    largest = max((abs(line.last) for line in finite), default=0) or 1
    step = min(box.height / max(len(finite), 1), 34)
    for index, line in enumerate(finite):
        y = box.y + index * step
        width = abs(line.last) / largest * (box.width - 90)
        yield f'<text x="{box.x:.0f}" y="{y + 11:.0f}">{escape(line.name)}</text>'
        yield (
            f'<rect x="{box.x:.0f}" y="{y + 15:.0f}" width="{width:.0f}" height="{step - 20:.0f}" '
            f'fill="{COLOURS[index % len(COLOURS)]}"/>'
        )
        yield f'<text x="{box.x + width + 6:.0f}" y="{y + 24:.0f}">{escape(shown(line.last, panel.unit))}</text>'


def _chart(panel: Panel, box: Box, lines: Sequence[Line]) -> Iterator[str]:
    lines = sorted(sorted(lines, key=_peak, reverse=True)[:MOST_LINES], key=lambda line: line.name)
    plot = Box(box.x + AXIS_WIDTH, box.y + 6, box.width - AXIS_WIDTH, box.height - LEGEND_HEIGHT - 6)
    values = [value for line in lines for _, value in line.points if math.isfinite(value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    high = high if high > low else low + 1
    times = [time for line in lines for time, _ in line.points]
    for share in (0, 0.5, 1):
        y = plot.y + plot.height * (1 - share)
        text = escape(shown(low + (high - low) * share, panel.unit))
        yield f'<path d="M{plot.x:.0f} {y:.0f}h{plot.width:.0f}" stroke="{PALE}"/>'
        yield f'<text x="{plot.x - 6:.0f}" y="{y + 4:.0f}" text-anchor="end" fill="#666">{text}</text>'
    scale = Box(min(times), low, max(max(times) - min(times), 1), high - low)
    for index, line in enumerate(lines):
        yield f'<path d="{_path(line, plot, scale)}" fill="none" stroke="{COLOURS[index]}" stroke-width="1.5"/>'
    yield from _legend(box, lines)


def _peak(line: Line) -> float:
    return max((value for _, value in line.points if math.isfinite(value)), default=-math.inf)


def _path(line: Line, plot: Box, scale: Box) -> str:
    parts, is_open = [], False
    for time, value in line.points:
        if not math.isfinite(value):
            is_open = False
            continue
        x = plot.x + (time - scale.x) / scale.width * plot.width
        y = plot.y + (1 - (value - scale.y) / scale.height) * plot.height
        parts.append(f"{'L' if is_open else 'M'}{x:.0f} {y:.0f}")
        is_open = True
    return "".join(parts)


def _legend(box: Box, lines: Sequence[Line]) -> Iterator[str]:
    columns = 3 if box.width > 350 else 2
    for index, line in enumerate(lines[: 2 * columns]):
        x = box.x + index % columns * box.width / columns
        y = box.y + box.height - 18 + index // columns * 14
        room = int(box.width / columns / 6) - 3
        name = line.name if len(line.name) <= room else line.name[: room - 1] + "…"
        yield f'<rect x="{x:.0f}" y="{y - 4:.0f}" width="10" height="3" fill="{COLOURS[index]}"/>'
        yield f'<text x="{x + 14:.0f}" y="{y:.0f}">{escape(name)}</text>'


def named(template: str, labels: Mapping[str, str]) -> str:
    """The name of a line, as Grafana makes it from a legend."""
    return " ".join(re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), template).split())


def shown(value: float, unit: Unit) -> str:
    """A number as people read it."""
    if not math.isfinite(value):
        return "none"
    if unit is Unit.RATIO:
        return f"{value * 100:.4g} %"
    if unit is Unit.BYTES:
        return f"{value / 1e6:.3g} MB"
    if unit is Unit.TIME:
        return "just now"
    if unit is Unit.SECONDS:
        return _duration(value)
    return f"{value:.3g}/s" if unit is Unit.RATE else _count(value)


def _duration(seconds: float) -> str:
    for factor, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= factor:
            return f"{seconds / factor:.3g} {name}"
    return f"{seconds * 1000:.3g} ms"


def _count(value: float) -> str:
    return f"{value / 1000:.4g}k" if abs(value) >= 10_000 else f"{value:.4g}"
