"""What ``explain`` prints for people: scores, thresholds, and a table per score that adds up. A view in, lines out."""

from itertools import pairwise
from textwrap import wrap

from leadscore.cli.columns import aligned, bar, chosen, fitting, length_of_time, minute, width_of
from leadscore.cli.lead_view import DecayTimes, Disqualifier, Hold, LeadView, ThresholdView
from leadscore.cli.outcome_words import outcome_text
from leadscore.scoring.explanation import Adjustment, Explanation, Part
from leadscore.scoring.fold import FORGOTTEN_BELOW_POINTS
from leadscore.scoring.ranking import ranked

LEAST_BAR_CELLS = 8
MOST_BAR_CELLS = 24

_HEADER = ("", "now", "", "awarded", "events", "latest", "half gone", "gone")
_MEANINGS = {
    "now": "points at this instant",
    "awarded": "points when they were awarded",
    "gone": "less than 0.01 is left",
}
_NUMBERS = (1, 3, 4)
_EXPENDABLE = (3, 4, 6, 5, 7, 2)
"""What a narrow terminal does without: first what was awarded; the name and the points of now never."""


def explain_lines(view: LeadView, columns: int, *, unicode: bool) -> list[str]:
    """The explanation, at most ``columns`` wide where that is possible."""
    table = _table(view, view.explanation, columns, unicode=unicode)
    lines = [*_head(view), "", *_thresholds(view), "", *table]
    for name, explanation in view.line.others.items():
        lines += ["", f"The {name} score:", *_table(view, explanation, columns, unicode=unicode)]
    lines += _notes(view, table[0])
    return [part for line in lines for part in _wrapped(line, columns)]


def _wrapped(line: str, columns: int) -> list[str]:
    if line.startswith(" ") or len(line) <= columns:
        return [line]
    return wrap(line, max(columns, 20), subsequent_indent="    ", break_on_hyphens=False)


def _table(view: LeadView, explanation: Explanation, columns: int, *, unicode: bool) -> list[str]:
    """The table with the columns there is room for, its bars as long as what is left."""
    rows = _Table(view, explanation, LEAST_BAR_CELLS, unicode=unicode).rows()
    kept = fitting(rows, columns, _EXPENDABLE)
    room = columns - width_of(chosen(rows, kept))
    cells = min(LEAST_BAR_CELLS + max(room, 0), MOST_BAR_CELLS)
    rows = chosen(_Table(view, explanation, cells, unicode=unicode).rows(), kept)
    return aligned(rows, [place for place, column in enumerate(kept) if column in _NUMBERS])


def _head(view: LeadView) -> list[str]:
    line = view.line
    grade = f", grade {line.grade}" if line.grade else ""
    came_by = [*view.asked_for, line.lead_id]
    lines = [f"{alias} is the same as {into}." for alias, into in pairwise(came_by)]
    lines += [
        f"Lead {line.lead_id} on {minute(line.explanation.at_ms)} UTC, {view.model} version {view.model_version}",
        f"Score {line.score:.2f}: {line.band} (engagement {line.engagement:.2f}, fit {line.fit:.2f}{grade})",
    ]
    lines += [f"Score {name} {other.score:.2f}" for name, other in line.others.items()]
    if not view.scored:
        lines.append("Nothing is known of this lead: it has the score of a newcomer.")
    if view.aliases:
        lines.append(f"Other ids of this person: {', '.join(view.aliases)}.")
    if line.disqualified is not None:
        lines.append(f"Disqualified: {line.disqualified}{_by(view.disqualified_by)}")
    if view.suspended:
        lines.append("Suspended: it enters no threshold until a resume command.")
    if view.outcome is not None:
        lines.append(f"Sales said: {outcome_text(view.outcome, line.explanation.at_ms)}.")
    return lines


def _by(disqualifier: Disqualifier | None) -> str:
    if disqualifier is None:
        return ""
    lasts = "until a requalify command" if disqualifier.is_rule else "as long as that is so"
    return f" (by {disqualifier.name}, {lasts})"


def _thresholds(view: LeadView) -> list[str]:
    lines = [f"{standing.threshold}{_of_score(standing)}: {_standing(standing, view)}" for standing in view.standings]
    soonest = view.next_leave
    if soonest is not None and soonest.projected_exit is not None:
        at_ms, cause = soonest.projected_exit
        away = length_of_time(at_ms - view.explanation.at_ms)
        why = "disqualified" if cause.value == "DISQUALIFIED" else f"below {soonest.exit_level:g}"
        return [*lines, f"Next change by time alone: leaves {soonest.threshold} in {away}, on {minute(at_ms)}, {why}."]
    return [*lines, "Time alone changes no threshold."]


def _of_score(standing: ThresholdView) -> str:
    return "" if standing.score_name is None else f" ({standing.score_name} score)"


def _standing(standing: ThresholdView, view: LeadView) -> str:
    at_ms = view.explanation.at_ms
    if standing.is_in:
        since = "" if standing.entered_ms is None else f" since {minute(standing.entered_ms)}"
        age = length_of_time(at_ms - (standing.entered_ms or at_ms))
        return f"in{since} ({age}), {_held(standing.hold)}leaves below {standing.exit_level:g}"
    missing = standing.points_missing
    needs = [f"enters at {standing.enter_level:g}" + (f", {missing:.2f} points more" if missing > 0 else "")]
    needs += [f"needs {gate.what} {gate.expected}, has {gate.current}" for gate in standing.gates]
    if standing.cooldown_until_ms is not None:
        needs.append(f"not before {minute(standing.cooldown_until_ms)} (cooldown)")
    if standing.recycled_until_ms is not None:
        needs.append(f"not before {minute(standing.recycled_until_ms)} (given back by sales)")
    return "out, " + "; ".join(needs)


def _held(hold: Hold | None) -> str:
    """What keeps a lead in that is at or below the exit level, up to "leaves below"."""
    if hold is None:
        return ""
    by = f" by {' or '.join(hold.rules)}" if hold.rules else ""
    return f"let in at once{by} and held whatever its score until {minute(hold.until_ms)}, then "


class _Table:
    """The parts by group, with what the clamps took, down to the score."""

    def __init__(self, view: LeadView, explanation: Explanation, cells: int, *, unicode: bool) -> None:
        self._view = view
        self._explanation = explanation
        self._cells = cells
        self._unicode = unicode
        self._at_ms = explanation.at_ms
        parts = explanation.parts
        self._most = max([abs(part.points) for part in parts], default=0.0)

    def rows(self) -> list[tuple[str, ...]]:
        """Rows of eight cells; the second column adds up to the last row."""
        parts = self._explanation.parts
        rows: list[tuple[str, ...]] = [_HEADER]
        groups = dict.fromkeys(part.group for part in parts if part.part != "attribute")
        for group in sorted(groups, key=lambda name: (name is None, name or "")):
            rows.append(_heading("other rules" if group is None else group))
            rows += self._section([part for part in parts if part.part != "attribute" and part.group == group])
            rows += self._clamps("group", group)
        attributes = [part for part in parts if part.part == "attribute"]
        if attributes:
            rows.append(_heading("fit"))
        rows += [*self._section(attributes), *self._clamps("fit", "fit"), *self._clamps("score", "score")]
        return [*rows, ("score", f"{self._explanation.score:.2f}", "", "", "", "", "", "")]

    def _section(self, parts: list[Part]) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for part in ranked(parts, lambda part: part.points, lambda part: part.name):
            rows.append(self._part(part))
            if part.part == "rule":
                rows += self._clamps("rule", part.name)
        return rows

    def _part(self, part: Part) -> tuple[str, ...]:
        share = part.points / self._most if self._most else 0.0
        decays = part.part == "rule" and abs(part.points) >= FORGOTTEN_BELOW_POINTS
        decay_times = self._view.decay_times.get(part.name) if decays else None
        latest = "" if part.latest_event_ms is None else f"{length_of_time(self._at_ms - part.latest_event_ms)} ago"
        return (
            f"  {part.name}",
            f"{part.points:.2f}",
            bar(share, self._cells, unicode=self._unicode),
            f"{part.awarded:.2f}",
            str(part.count) if part.part == "rule" else "",
            latest if part.part == "rule" else {"condition": "while it is true"}.get(part.part, ""),
            *self._decay_times(decay_times),
        )

    def _decay_times(self, decay_times: DecayTimes | None) -> tuple[str, str]:
        if decay_times is None:
            return "", ""
        return self._away(decay_times.half_gone_ms), self._away(decay_times.gone_ms)

    def _away(self, instant_ms: int | None) -> str:
        return "never" if instant_ms is None else f"in {length_of_time(instant_ms - self._at_ms)}"

    def _clamps(self, clamp: str, name: str | None) -> list[tuple[str, ...]]:
        adjustments = [one for one in self._explanation.adjustments if (one.clamp, one.name) == (clamp, name)]
        return [(f"  {_clamp_text(one)}", f"{one.points:+.2f}", "", "", "", "", "", "") for one in adjustments]


def _heading(text: str) -> tuple[str, ...]:
    return (text, "", "", "", "", "", "", "")


def _clamp_text(adjustment: Adjustment) -> str:
    if adjustment.clamp == "score":
        return "floor of the score" if adjustment.points > 0 else "ceiling of the score"
    whose = {"rule": "the rule", "group": "the group", "fit": "the fit"}[adjustment.clamp]
    if adjustment.clamp == "rule":
        return f"{'raised' if adjustment.points > 0 else 'cut'} by {whose}'s max"
    return f"raised by {whose}'s min" if adjustment.points > 0 else f"cut by {whose}'s max"


def _notes(view: LeadView, header: str) -> list[str]:
    """What the column heads mean, of those that are shown."""
    parts = [part for explanation in (view.explanation, *view.line.others.values()) for part in explanation.parts]
    if not any(part.part == "rule" for part in parts):
        return []
    return ["", "; ".join(f"{word}: {meaning}" for word, meaning in _MEANINGS.items() if word in header) + "."]
