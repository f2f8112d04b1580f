"""``leadscore explain``: it adds up, shows what decays and when, and what time will do; for people and as JSON."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadscore.cli import explain
from leadscore.cli.main import main
from leadscore.events.event import Event
from leadscore.time_units import DAY_MS
from tests.unit.fake_store import FakeStore
from tests.unit.stored_events import NOON_MS, SHARDS, page, stored

MODEL = """
model: small
version: 3
decay: {half_life: 30d}
groups: {website: {max: 50}}
rules:
  visit: {event: website.page_view, points: 40, group: website, decay: {half_life: 10d}}
  call: {event: call.booked, points: 36}
  paper: {event: form.sent, points: 8, decay: {steps: {0d: 1.0, 7d: 0.5, 14d: 0.25}}}
  login: {event: app.login, points: 10, max: 15, decay: none}
  stop: {event: email.complaint, points: 0, disqualifies: complained}
conditions:
  busy: {when: {count: {rules: [call], at_least: 2, within: 7d}}, points: 4}
fit:
  attributes: {role: [{in: [ceo], points: 12}]}
  max: 10
  grades: {A: 10, B: 0}
thresholds:
  mql: {enter: 60, exit: 50, cooldown: 90d}
  hot: {enter: 100, exit: 70, require: {grade: A, engagement: 40, fit: 5}}
"""

Explain = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return path


@pytest.fixture
def explained(model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``explained([events], "L1", "--json")`` runs the command on a store that holds the events."""
    monkeypatch.setenv("LEADSCORE_LOG_PARTITIONS", str(SHARDS))

    def run(events: list[Event], *arguments: str) -> int:
        store: FakeStore = stored(model, events)
        monkeypatch.setattr(explain, "make_store", lambda _config: store)
        return main(["explain", "--model", str(model), *arguments])

    return run


def everything() -> list[Event]:
    role = Event("profile.updated", "r1", "L1", NOON_MS, {}, {"role": "ceo"})
    return [
        role,
        *(page(f"v{number}", "L1", NOON_MS) for number in range(2)),
        *(page(f"c{number}", "L1", NOON_MS, "call.booked") for number in range(2)),
        *(page(f"l{number}", "L1", NOON_MS, "app.login") for number in range(2)),
        page("p1", "L1", NOON_MS, "form.sent"),
    ]


def at(days: float) -> list[str]:
    return ["--at", str(NOON_MS + round(days * DAY_MS))]


def object_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    shown = json.loads(capsys.readouterr().out)
    assert isinstance(shown, dict)
    return shown


@pytest.mark.parametrize("days", [0, 0.5, 3, 20, 100])
def test_parts_and_adjustments_add_up_to_the_score(
    explained: Explain, capsys: pytest.CaptureFixture[str], days: float
) -> None:
    assert explained(everything(), "L1", "--json", *at(days)) == 0
    lead = object_of(capsys)
    points = [part["points"] for part in lead["parts"]] + [clamp["points"] for clamp in lead["adjustments"]]
    assert sum(points) == pytest.approx(lead["score"], abs=1e-9)
    assert {clamp["clamp"] for clamp in lead["adjustments"]} >= {"rule", "fit"}


def test_the_numbers_of_the_table_add_up_to_its_last_line(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explained(everything(), "L1", *at(3)) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.split()[:1] == ["now"]) + 1
    end = next(index for index, line in enumerate(lines) if line.startswith("score "))
    numbers = [re.search(r" ([+-]?\d+\.\d\d)\b", line) for line in lines[start:end]]
    shown = [float(number[1]) for number in numbers if number is not None]
    assert sum(shown) == pytest.approx(float(lines[end].split()[1]), abs=0.005 * len(shown))
    assert len(shown) == 10


def test_the_table_says_what_each_clamp_took(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(everything(), "L1", *at(0)) == 0
    text = capsys.readouterr().out
    for took in (
        r"cut by the group's max +-30\.00",
        r"cut by the rule's max +-5\.00",
        r"cut by the fit's max +-2\.00",
        r"ceiling of the score +-59\.00",
    ):
        assert re.search(took, text), took


def test_a_half_life_says_when_half_is_gone_and_when_all_but_nothing(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explained([page("c1", "L1", NOON_MS, "call.booked")], "L1", "--json", *at(30)) == 0
    [part] = object_of(capsys)["parts"]
    assert part["points"] == pytest.approx(18)
    assert (part["awarded"], part["count"], part["latest_event_at"]) == (36.0, 1, "2026-01-05T12:00:00.000Z")
    assert part["half_gone_at"] == "2026-03-06T12:00:00.000Z"
    assert part["gone_at"].startswith("2026-12-25T")  # 18 points halve 10.8 times until 0.01 is left: 324.4 days


def test_points_that_age_in_days_are_gone_at_a_midnight(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained([page("p1", "L1", NOON_MS, "form.sent")], "L1", "--json", *at(1)) == 0
    [part] = object_of(capsys)["parts"]
    assert part["points"] == 4.0
    assert (part["half_gone_at"], part["gone_at"]) == ("2026-01-13T00:00:00.000Z", "2026-01-20T00:00:00.000Z")


def test_points_that_never_decay_have_no_such_time(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained([page("l1", "L1", NOON_MS, "app.login")], "L1", "--json", *at(400)) == 0
    [part] = object_of(capsys)["parts"]
    assert (part["points"], part["half_gone_at"], part["gone_at"]) == (10.0, None, None)


def test_the_next_change_is_the_first_leave_by_time(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    calls = [page(f"c{number}", "L1", NOON_MS, "call.booked") for number in range(2)]
    assert explained(calls, "L1", "--json", *at(0)) == 0
    lead = object_of(capsys)
    assert lead["next_change"] == {
        "threshold": "mql",
        "direction": "LEAVE",
        "cause": "TIME",
        "at": "2026-01-21T06:46:10.360Z",  # after 15.78 days, as in design 1.6; the condition is over by then
    }
    assert lead["thresholds"] == {"mql": "in", "hot": "out"}


def test_a_lead_that_time_has_taken_out_is_out_although_no_tick_has_come(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [page(f"c{number}", "L1", NOON_MS, "call.booked") for number in range(2)]
    assert explained(calls, "L1", "--json", *at(17)) == 0
    lead = object_of(capsys)
    assert lead["thresholds"] == {"mql": "out", "hot": "out"}
    assert lead["next_change"] is None
    [mql] = [standing for standing in lead["standings"] if standing["threshold"] == "mql"]
    assert mql["sequence"] == 2  # it has entered and left
    assert (mql["entered_at"], mql["cooldown_until"]) == ("2026-01-05T12:00:00.000Z", "2026-04-05T12:00:00.000Z")


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_explanation_fits_the_terminal(
    explained: Explain, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert explained(everything(), "L1", *at(3)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert ("awarded" in " ".join(lines)) is (columns >= 100)
    assert any("gone" in line.split() for line in lines)


def test_below_the_floor_the_points_that_are_missing_count_from_below(
    explained: Explain, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    model.write_text(MODEL.replace("points: 0, disqualifies: complained", "points: -12"))
    assert explained([page("x1", "L1", NOON_MS, "email.complaint")], "L1", *at(0)) == 0
    assert "mql: out, enters at 60, 72.00 points more\n" in capsys.readouterr().out


@pytest.mark.parametrize("lead", ["", "jane@example.com", "a\nb"])
def test_what_can_be_no_lead_id_is_refused(explained: Explain, capsys: pytest.CaptureFixture[str], lead: str) -> None:
    with pytest.raises(SystemExit) as ended:
        explained([], lead)
    assert ended.value.code == 2
    assert f"LEAD: {lead!r}: expected " in capsys.readouterr().err


def test_it_says_what_keeps_a_lead_out(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained([page("p1", "L1", NOON_MS, "form.sent")], "L1", *at(0)) == 0
    text = capsys.readouterr().out
    assert (
        "hot: out, enters at 100, 92.00 points more; needs grade A, has B; needs engagement 40, has 8.00; "
        "needs fit 5, has 0.00"
    ) in text
    assert "mql: out, enters at 60, 52.00 points more\n" in text
    assert "Time alone changes no threshold." in text


def test_it_says_why_a_lead_is_disqualified_and_that_one_is_suspended(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [page("x1", "L1", NOON_MS, "email.complaint"), page("s1", "L1", NOON_MS, "command.suspend")]
    assert explained(events, "L1", *at(0)) == 0
    text = capsys.readouterr().out
    assert "\nDisqualified: complained (by stop, until a requalify command)\n" in text
    assert "\nSuspended: it enters no threshold" in text
    assert explained(events, "L1", "--json", *at(0)) == 0
    lead = object_of(capsys)
    assert (lead["disqualified"], lead["disqualified_by"], lead["suspended"]) == ("complained", "stop", True)


@pytest.mark.parametrize(
    ("rule_says", "shown"), [("other", "busy (by busy, as long as that is so)\n"), ("busy", "busy\n")]
)
def test_it_says_which_condition_disqualifies_where_only_one_part_of_the_model_can(
    explained: Explain, capsys: pytest.CaptureFixture[str], model: Path, rule_says: str, shown: str
) -> None:
    text = MODEL.replace("points: 4}", "disqualifies: busy}")
    model.write_text(
        text.replace("points: 36}", "points: 36}\n  seen: {event: call.booked, points: 0, disqualifies: x}")
    )
    model.write_text(model.read_text().replace("disqualifies: x}", f"disqualifies: {rule_says}}}"))
    calls = [page(f"c{number}", "L1", NOON_MS, "call.booked") for number in range(2)]
    requalify = page("q1", "L1", NOON_MS + 1, "command.requalify")
    assert explained([*calls, requalify], "L1", *at(1)) == 0
    assert f"\nDisqualified: {shown}" in capsys.readouterr().out


def test_an_unknown_lead_has_the_score_of_a_newcomer(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained([], "nobody", "--json", *at(0)) == 0
    lead = object_of(capsys)
    assert (lead["scored"], lead["score"], lead["latest_record_at"], lead["parts"]) == (False, 0.0, None, [])
    assert explained([], "nobody") == 0
    assert "Nothing is known of this lead" in capsys.readouterr().out


def test_a_forgotten_lead_is_a_newcomer(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained([page("p1", "L1", NOON_MS, "form.sent")], "L1", "--json", *at(366)) == 0
    assert object_of(capsys)["scored"] is False


def test_a_time_before_the_latest_record_is_refused(explained: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(everything(), "L1", "--at", "2026-01-05T11:59:59.999Z") == 2
    assert capsys.readouterr().err == (
        "--at: 2026-01-05T11:59:59.999Z: expected 2026-01-05T12:00:00.000Z or later: the lead changed then, and "
        "earlier states are not kept\n"
    )


def test_without_a_time_a_lead_from_the_near_future_is_read_at_its_latest_record(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    far_ms = 4_102_444_800_000
    assert explained([page("l1", "L1", far_ms, "app.login")], "L1", "--json") == 0
    lead = object_of(capsys)
    assert lead["as_of"] == lead["latest_record_at"] == "2100-01-01T00:00:00.000Z"


def test_a_model_file_of_another_version_is_refused(
    explained: Explain, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = model.with_name("other.yaml")
    other.write_text(MODEL.replace("version: 3", "version: 4"))
    assert explained(everything(), "L1", "--model", str(other)) == 2
    assert "version 4: the lead's state follows version 3: expected that file" in capsys.readouterr().err


def test_without_a_model_file_kafka_must_be_configured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    assert main(["explain", "L1"]) == 2
    assert "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS: not set" in capsys.readouterr().err


INSTANT = MODEL.replace("points: 36}", "points: 36, qualifies: mql}").replace(
    "cooldown: 90d}", "cooldown: 90d, hold: 7d}"
)


def test_it_says_what_holds_a_lead_in_that_a_rule_let_in_at_once_and_until_when(
    explained: Explain, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.write_text(INSTANT)
    called = [page("c1", "L1", NOON_MS, "call.booked")]
    assert explained(called, "L1", *at(1)) == 0
    assert (
        "mql: in since 2026-01-05 12:00 (24 h), let in at once by call and held whatever its score until "
        "2026-01-12 12:00, then leaves below 50" in " ".join(capsys.readouterr().out.split())
    )
    assert explained(called, "L1", "--json", *at(1)) == 0
    standing = object_of(capsys)["standings"][0]
    assert (standing["threshold"], standing["standing"], standing["held_by"]) == ("mql", "in", ["call"])
    assert standing["held_until"] == standing["projected_exit_at"] == "2026-01-12T12:00:00.000Z"


def test_it_says_until_when_a_lead_that_sales_gave_back_does_not_enter(
    explained: Explain, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = "  back: {event: crm.rejected, points: 0, recycles: {threshold: mql, for: 30d}}\n"
    model.write_text(MODEL.replace("rules:\n", f"rules:\n{rejected}", 1))
    given_back = [page("r1", "L1", NOON_MS, "crm.rejected")]
    assert explained(given_back, "L1", *at(1)) == 0
    assert "not before 2026-02-04 12:00 (given back by sales)" in " ".join(capsys.readouterr().out.split())
    for days, until in ((29, "2026-02-04T12:00:00.000Z"), (30, None)):
        assert explained(given_back, "L1", "--json", *at(days)) == 0
        assert object_of(capsys)["standings"][0]["recycled_until"] == until


def test_it_says_what_sales_said_last(explained: Explain, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejected = "  no_budget: {event: crm.rejected, points: 0, outcome: rejected}\n"
    model.write_text(MODEL.replace("rules:\n", f"rules:\n{rejected}", 1))
    said = [page("r1", "L1", NOON_MS, "crm.rejected")]
    assert explained(said, "L1", *at(3)) == 0
    assert "Sales said: rejected 3 d ago (no_budget)." in capsys.readouterr().out
    assert explained(said, "L1", "--json", *at(3)) == 0
    assert object_of(capsys)["outcome"] == {"name": "rejected", "rule": "no_budget", "at": "2026-01-05T12:00:00.000Z"}


def test_it_says_which_condition_that_a_threshold_requires_does_not_hold(
    explained: Explain, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = "  named: {when: {attribute: {name: name, exists: true}}}\n"
    required = MODEL.replace("conditions:\n", f"conditions:\n{gate}", 1)
    model.write_text(required.replace("cooldown: 90d}", "require: {conditions: [named]}}"))
    assert explained([page("v1", "L1", NOON_MS)], "L1", *at(1)) == 0
    assert "needs condition named true, has false" in " ".join(capsys.readouterr().out.split())
    assert explained([page("v1", "L1", NOON_MS)], "L9", "--json", *at(1)) == 0
    assert object_of(capsys)["standings"][0]["gates"][0]["what"] == "condition named"


def test_a_lead_that_has_risen_above_the_exit_level_is_held_by_nothing(
    explained: Explain, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.write_text(INSTANT)
    risen = [page("c1", "L1", NOON_MS, "call.booked"), page("v1", "L1", NOON_MS + 1)]
    assert explained(risen, "L1", "--json", *at(0.5)) == 0
    standing = object_of(capsys)["standings"][0]
    assert (standing["standing"], standing["held_until"], standing["held_by"]) == ("in", None, [])


def merge(event_id: str, lead_id: str, into: str) -> Event:
    return Event("command.merge", event_id, lead_id, NOON_MS, {"into": into})


def test_an_alias_is_the_same_as_its_lead_which_is_explained(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    merges = [merge("m1", "cookie", "form"), merge("m2", "form", "L1"), page("late", "cookie", NOON_MS, "call.booked")]
    assert explained([*everything(), *merges], "cookie", "--json", *at(0)) == 0
    by_alias = object_of(capsys)
    assert explained([*everything(), *merges], "L1", "--json", *at(0)) == 0
    lead = object_of(capsys)
    assert by_alias.pop("asked_for") == "cookie"
    assert lead.pop("asked_for") == "L1"
    assert by_alias == lead
    assert lead["lead_id"] == "L1"
    assert lead["aliases"] == ["cookie", "form"]
    [calls] = [part for part in lead["parts"] if part["name"] == "call"]
    assert calls["count"] == 3


def test_the_text_about_an_alias_names_every_id_on_the_way(
    explained: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    merges = [merge("m1", "cookie", "form"), merge("m2", "form", "L1")]
    assert explained([*everything(), *merges], "cookie", *at(0)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["cookie is the same as form.", "form is the same as L1."]
    assert lines[2].startswith("Lead L1 on ")
    assert "Other ids of this person: cookie, form." in lines
