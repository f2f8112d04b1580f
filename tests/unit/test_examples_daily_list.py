"""examples/daily_list: from what ``leadscore list --json`` prints to a CSV file and an HTML page."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leadscore.cli.list import ListedLead, lead_object
from leadscore.scoring.crossing import Reason
from leadscore.scoring.outcomes import Outcome

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OWNERS = 'lead_id,owner,name\nL1,Zoe,"Ann <b>Lee</b>"\nL2,Zoe,=1+1\nL3,Adam,\nL4,,Nemo\n'


def listed(lead_id: str, score: float, **fields: Any) -> str:
    """A line as the command prints it."""
    defaults: dict[str, Any] = {
        "band": "hot",
        "grade": "B",
        "thresholds": ["mql"],
        "disqualified": None,
        "suspended": False,
        "reason": Reason("pricing_page", 30.0),
        "entered_ms": 1_767_607_200_123,
        "latest_record_ms": 1_767_707_200_789,
        "at_ms": 1_767_807_200_789,
    }
    return json.dumps(lead_object(ListedLead(lead_id=lead_id, score=score, **{**defaults, **fields})))


LINES = [
    listed("L1", 70.26, outcome=Outcome("rejected", "sales_rejected", 1_767_607_200_123)),
    listed("L2", 91.0, reason=None, entered_ms=None),
    listed("L3", 65.0),
    listed("L4", 99.0),
    listed("L5", 99.0),
    listed("L6", 80.0, suspended=True),
    listed("L7", 80.0, disqualified="complained"),
]


def run(folder: Path, lines: list[str], **environ: str) -> "subprocess.CompletedProcess[str]":
    owners = folder / "owners.csv"
    owners.write_text(OWNERS)
    (folder / "out").mkdir(exist_ok=True)
    settings = {"OWNERS": str(owners), "FOLDER": str(folder / "out")} | environ
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "daily_list"],
        cwd=EXAMPLES,
        env={name: value for name, value in settings.items() if value},
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "best-leads.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_each_owner_has_the_best_leads_first_and_those_without_an_owner_come_last(tmp_path: Path) -> None:
    assert run(tmp_path, LINES).returncode == 0
    assert [(row["owner"], row["rank"], row["lead"], row["score"]) for row in rows(tmp_path)] == [
        ("Adam", "1", "L3", "65.0"),
        ("Zoe", "1", "L2", "91.0"),
        ("Zoe", "2", "L1", "70.3"),
        ("(no owner)", "1", "L4", "99.0"),
        ("(no owner)", "2", "L5", "99.0"),
    ]
    first = rows(tmp_path)[2]
    assert (first["reason"], first["outcome"], first["entered"], first["latest record"]) == (
        "pricing_page +30.0",
        "rejected 2026-01-05",
        "2026-01-05",
        "2026-01-06",
    )


def test_the_same_leads_in_any_order_give_the_same_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(tmp_path, LINES).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run(tmp_path, LINES[::-1]).returncode == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert before.keys() == {"best-leads.csv", "best-leads.html"}


def test_names_are_escaped_for_the_browser_and_for_the_spreadsheet(tmp_path: Path) -> None:
    assert run(tmp_path, LINES).returncode == 0
    page = (tmp_path / "out" / "best-leads.html").read_text()
    assert "Ann &lt;b&gt;Lee&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "As of 2026-01-07T" in page
    assert rows(tmp_path)[1]["name"] == "'=1+1"


def test_an_owner_gets_no_more_than_the_best(tmp_path: Path) -> None:
    assert run(tmp_path, LINES, BEST="1").returncode == 0
    assert [row["lead"] for row in rows(tmp_path)] == ["L3", "L2", "L4"]


@pytest.mark.parametrize(
    ("lines", "environ", "said"),
    [
        (LINES, {"OWNERS": ""}, "OWNERS is not set: expected"),
        (LINES, {"OWNERS": "nowhere.csv"}, "nowhere.csv: expected CSV with the columns lead_id and owner"),
        (LINES, {"BEST": "0"}, "BEST: expected a whole number from 1, not '0'"),
        ([*LINES, "no such leads"], {}, "line 8: expected what leadscore list --json prints"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_files_stay(
    tmp_path: Path, lines: list[str], environ: dict[str, str], said: str
) -> None:
    assert run(tmp_path, LINES).returncode == 0
    before = (tmp_path / "out" / "best-leads.csv").read_bytes()
    ended = run(tmp_path, lines, **environ)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert (tmp_path / "out" / "best-leads.csv").read_bytes() == before
