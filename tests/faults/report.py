"""One line per experiment: what was done to the workers, and what was seen. The rows are kept for docs/promise.md."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.servers import CACHE

if TYPE_CHECKING:
    from tests.faults.judge import Judgement

ROWS = CACHE / "faults.json"


@dataclass(slots=True)
class Figures:
    """What a test fills in. ``losses``: writes, replies or records that were lost on purpose; ``None``: not counted.

    ``is_open``: that it fails is known, and said (``xfail``). ``control`` names the worker that the judge must catch:
    its violations are what makes the test pass.
    """

    kills: int | None = None
    losses: int | None = None
    events: int | None = None
    leads: int | None = None
    violations: int | None = None
    control: str = ""
    note: str = ""
    is_open: bool = False

    def take(self, judgement: "Judgement") -> None:
        """What the judge says, added to what it said before."""
        self.events = (self.events or 0) + judgement.events
        self.leads = max(self.leads or 0, judgement.leads)
        self.violations = (self.violations or 0) + len(judgement.violations)

    def lost(self, number: int = 1) -> None:
        """That many losses were injected."""
        self.losses = (self.losses or 0) + number

    def killed(self, number: int = 1) -> None:
        """That many processes were killed."""
        self.kills = (self.kills or 0) + number


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment of one run: its number in the reference, the clause of the promise, the test, and the figures."""

    number: str
    clause: str
    test: str
    passed: bool
    seconds: float
    date: str
    figures: Figures

    @property
    def verdict(self) -> str:
        """One word: a control passes where the judge catches it."""
        if self.figures.is_open:
            return "open"
        if not self.passed:
            return "FAILED"
        return "caught" if self.figures.control else "holds"

    @property
    def line(self) -> str:
        """For the terminal."""
        counts = (f"{value} {name}" for name, value in self._counts() if value is not None)
        title = f"control, {self.figures.control}" if self.figures.control else self.clause
        facts = ", ".join([*counts, f"{self.seconds:.0f} s"])
        note = f"; {self.figures.note}" if self.figures.note else ""
        return f"{self.number:>3} {self.verdict:6} {title}: {facts}{note}"

    @property
    def cells(self) -> tuple[str, ...]:
        """For the page."""
        control = f"control: {self.figures.control}" if self.figures.control else self.clause
        counts = ("" if value is None else f"{value:,}" for _, value in self._counts())
        test = self.test.partition("[")[0]
        return (self.number, control, self.verdict, *counts, f"{self.seconds:.0f}", f"`{test}`")

    def _counts(self) -> tuple[tuple[str, int | None], ...]:
        of = self.figures
        return (
            ("kills", of.kills),
            ("losses", of.losses),
            ("events", of.events),
            ("leads", of.leads),
            ("violations", of.violations),
        )


def row_of(test: str, marks: tuple[str, str], figures: Figures, *, passed: bool, seconds: float) -> Row:
    """The row of a test that has ended today."""
    return Row(*marks, test, passed, seconds, datetime.now(UTC).date().isoformat(), figures)


def in_order(rows: list[Row]) -> list[Row]:
    """By the number of the experiment, a control after what it is the control of."""
    return sorted(rows, key=lambda row: (_order(row.number), bool(row.figures.control), row.test))


def keep(rows: list[Row]) -> None:
    """Replace the rows of these tests in the file; the others stay as they are."""
    by_test = {row.test: row for row in [*kept(), *rows]}
    ROWS.parent.mkdir(exist_ok=True)
    ROWS.write_text(json.dumps([asdict(row) for row in by_test.values()], indent=1))


def kept() -> list[Row]:
    """What earlier runs have left."""
    if not ROWS.exists():
        return []
    return [Row(**(row | {"figures": Figures(**row["figures"])})) for row in json.loads(ROWS.read_text())]


def _order(number: str) -> int:
    digits = "".join(character for character in number if character.isdigit())
    return int(digits or "99")
