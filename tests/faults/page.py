"""Writes the table of the experiments into docs/promise.md, from the rows that ``make faults`` has left."""

import sys

from tests.faults.report import Row, in_order, kept
from tests.servers import ROOT

PAGE = ROOT / "docs" / "promise.md"
BEGIN, END = "<!-- experiments: begin, written by make faults-page -->\n", "<!-- experiments: end -->\n"
HEAD = ("#", "Clause", "Verdict", "Kills", "Losses", "Events", "Leads", "Violations", "s", "Test")


def table() -> str:
    """The rows, and of what days they are."""
    rows = in_order([row for row in kept() if is_there(row)])
    days = sorted({row.date for row in rows})
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *(row.cells for row in rows))]
    span = " to ".join(dict.fromkeys([days[0], days[-1]]))
    return "\n".join([f"The latest run of each, {span}, on two cores.", "", *lines, ""])


def is_there(row: Row) -> bool:
    """Whether the test still has this name."""
    name = row.test.partition("[")[0]
    return any(f"def {name}(" in path.read_text() for path in (ROOT / "tests" / "faults").glob("test_*.py"))


def main() -> int:
    """Replace what stands between the two marks."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
