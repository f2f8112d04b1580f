"""Writes the best leads of each owner as a CSV file and an HTML page, from what ``leadscore list --json`` prints.

README.md beside this file says how to run it and what happens after a crash. The same input gives the same files.
"""

import csv
import html
import io
import json
import os
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

NO_OWNER = "(no owner)"
COLUMNS = (
    "owner",
    "rank",
    "lead",
    "name",
    "score",
    "grade",
    "thresholds",
    "reason",
    "outcome",
    "entered",
    "latest record",
)
STYLE = "body{font-family:sans-serif} td,th{padding:.2em .8em;text-align:left}"


class Owned(NamedTuple):
    """A line of the file of owners."""

    owner: str = NO_OWNER
    name: str = ""


def stop(message: str) -> NoReturn:
    """End with a message; no file was changed."""
    sys.exit(message)


def setting(name: str, meaning: str, default: str | None = None) -> str:
    """An environment variable; without it and a default the program ends."""
    value = os.environ.get(name) or default
    return stop(f"{name} is not set: expected {meaning}") if value is None else value


def owners_of(path: str) -> dict[str, Owned]:
    """Owner and name of each lead: CSV with the columns lead_id, owner and perhaps name."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
        return {row["lead_id"]: Owned(row["owner"] or NO_OWNER, row.get("name") or "") for row in rows}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        stop(f"{path}: expected CSV with the columns lead_id and owner: {error!r}")


def leads_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The leads, an object a line."""
    leads = []
    for number, line in enumerate(lines, start=1):
        try:
            lead = json.loads(line)
            leads.append({**lead, "lead_id": str(lead["lead_id"]), "score": float(lead["score"])})
        except (ValueError, TypeError, KeyError) as error:
            stop(f"line {number}: expected what leadscore list --json prints: {error!r}")
    return leads


def rows_of(leads: list[dict[str, Any]], owners: dict[str, Owned], best: int) -> list[dict[str, str]]:
    """The ``best`` leads of each owner, those without an owner last; suspended and disqualified ones are left out."""
    workable = [lead for lead in leads if not lead.get("suspended") and not lead.get("disqualified")]

    def owned(lead: dict[str, Any]) -> Owned:
        return owners.get(lead["lead_id"], Owned())

    def place(lead: dict[str, Any]) -> tuple[bool, str, float, str]:
        owner = owned(lead).owner
        return owner == NO_OWNER, owner, -lead["score"], lead["lead_id"]

    rows = []
    for _, group in groupby(sorted(workable, key=place), key=lambda lead: owned(lead).owner):
        rows += [row_of(rank, lead, owned(lead)) for rank, lead in enumerate(list(group)[:best], start=1)]
    return rows


def row_of(rank: int, lead: dict[str, Any], owned: Owned) -> dict[str, str]:
    """The cells of a lead."""
    reason, outcome = lead.get("reason"), lead.get("outcome")
    cells = (
        owned.owner,
        str(rank),
        lead["lead_id"],
        owned.name,
        f"{lead['score']:.1f}",
        lead.get("grade") or "",
        ", ".join(lead.get("thresholds") or []),
        f"{reason['name']} {reason['points']:+.1f}" if reason else "",
        f"{outcome['name']} {outcome['at'][:10]}" if outcome else "",
        (lead.get("entered_at") or "")[:10],
        (lead.get("latest_record_at") or "")[:10],
    )
    return dict(zip(COLUMNS, cells, strict=True))


def csv_of(rows: list[dict[str, str]]) -> str:
    """The list for a spreadsheet: a cell that it would take for a formula starts with an apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for name, cell in row.items()})
    return text.getvalue()


def html_of(rows: list[dict[str, str]], as_of: str) -> str:
    """The list for a browser: a table for each owner."""
    lines = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Best leads</title><style>{STYLE}</style>',
        f"<h1>Best leads</h1><p>As of {html.escape(as_of)}</p>",
    ]
    columns = COLUMNS[1:]
    for owner, group in groupby(rows, key=lambda row: row["owner"]):
        lines.append(f"<h2>{html.escape(owner)}</h2><table>")
        lines.append("<tr>" + "".join(f"<th>{column}</th>" for column in columns) + "</tr>")
        lines += ["<tr>" + "".join(f"<td>{html.escape(row[name])}</td>" for name in columns) + "</tr>" for row in group]
        lines.append("</table>")
    return "\n".join([*lines, "</html>", ""])


def write_whole(path: Path, text: str) -> None:
    """Write the file so that a reader, or a crash, has the old one or the new one, and never a part."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def main() -> None:
    """Read the list from standard input and write both files."""
    owners = owners_of(setting("OWNERS", "a CSV file with the columns lead_id, owner and perhaps name"))
    folder = Path(setting("FOLDER", "the folder for best-leads.csv and best-leads.html"))
    best = setting("BEST", "how many leads an owner gets", "20")
    if not best.isdecimal() or not int(best):
        stop(f"BEST: expected a whole number from 1, not {best!r}")
    leads = leads_of(sys.stdin)
    rows = rows_of(leads, owners, int(best))
    as_of = max((lead.get("as_of") or "" for lead in leads), default="")
    write_whole(folder / "best-leads.csv", csv_of(rows))
    write_whole(folder / "best-leads.html", html_of(rows, as_of))


if __name__ == "__main__":
    main()
