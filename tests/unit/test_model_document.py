"""docs/model.md: every key of the model file is in it, with an example, and every example loads or runs."""

import json
import re
from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.model.load import parse_model
from leadscore.yaml_reading.document import read as read_yaml
from tests.oracle import Plain
from tests.unit.model_texts import PAGE, minimal_with
from tests.unit.schema_keys import keys_of_the_schema, keys_within
from tests.unit.semantics import act, command, crossings, line, profile, run, score

EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def documented_keys() -> set[str]:
    """What stands in backticks in the first column of a table."""
    first_columns = re.findall(r"^\|([^|]*)\|", PAGE, re.MULTILINE)
    return {key for column in first_columns for key in re.findall(r"`([a-z_]+)[`:]", column)}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.split("\n")[1])
def test_every_example_loads(example: str) -> None:
    fragment = example.startswith("# fragment\n")

    parse_model(minimal_with(example) if fragment else example, "example")


def test_the_two_records_of_the_page_become_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lines,) = re.findall(r"^```jsonl\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (fragment,) = [example for example in EXAMPLES if "form_sent:" in example]
    model, events = tmp_path / "model.yaml", tmp_path / "events.jsonl"
    model.write_text(minimal_with(fragment))
    told = []

    for kept in (lines.splitlines()[:2], lines.splitlines()):
        events.write_text("\n".join(kept))
        options = ["--events", str(events), "--scores-at", "2026-01-05T10:00:00Z"]
        assert main(["simulate", "--model", str(model), *options]) == 0
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        told.append({line["lead_id"]: line["score"] for line in printed if "as_of" in line})

    assert told == [{"L1": 50, "L2": 100}, {"L2": 150}]
    assert "L1 was worth 50 points and L2 100; now L2 is worth 150, and L1 is another id of it" in PAGE


def test_the_outcomes_of_the_page_do_what_it_says() -> None:
    (fragment,) = [example for example in EXAMPLES if "deal_won:" in example]
    model = read_yaml(minimal_with(fragment)).value
    assert isinstance(model, dict)

    def said(number: int, reason: str) -> Plain:
        return act("sales.rejected", f"o{number}", number, reason=reason)

    assert line(model, 1, act("deal.won", "w1", 0)).score == 30
    assert line(model, 1, act("deal.won", "w1", 0), said(1, "spam")).disqualified == "sales: spam"
    assert line(model, 1, act("deal.won", "w1", 0), said(1, "bad data")).score == 30
    twice = act("deal.won", "w1", 0), said(1, "no budget"), said(2, "no budget")
    assert (line(model, 1, *twice[:2]).disqualified, line(model, 2, *twice).disqualified) == (None, "rejected twice")
    undone = line(model, 3, *twice, *(command("retract", f"c{n}", 3, target=f"o{n}") for n in (1, 2)))
    assert (undone.score, undone.disqualified) == (30, None)


def test_a_lead_given_back_does_what_the_page_says() -> None:
    (fragment,) = [example for example in EXAMPLES if "not_now:" in example]
    model = read_yaml(minimal_with(fragment)).value
    assert isinstance(model, dict)
    march_1, april_2 = 59, 91  # days after 1 January 2026

    def visited(event_id: str, day: float) -> Plain:
        return act("website.page_view", event_id, day)

    assert "It does not enter again when it looks at\nprices in March; it does on 2 April" in PAGE
    before = visited("e1", 0), act("crm.rejected", "r1", 1, reason="budget"), visited("e2", march_1)
    recycled = [("ENTER", "EVENT", 0), ("LEAVE", "RECYCLED", 1)]
    assert crossings(model, 120, *before) == recycled
    assert crossings(model, 120, *before, visited("e3", april_2)) == [*recycled, ("ENTER", "EVENT", april_2)]
    asked = act("website.contact_requested", "a1", march_1)
    assert crossings(model, march_1, *before, asked) == [*recycled, ("ENTER", "INSTANT", march_1)]
    assert crossings(model, 120, visited("e1", 0), act("crm.rejected", "r1", 1, reason="no fit")) == recycled[:1]


def test_the_scores_of_the_page_are_what_it_says() -> None:
    (fragment,) = [example for example in EXAMPLES if "plan_compared:" in example]
    model = read_yaml(minimal_with(fragment)).value
    assert isinstance(model, dict)
    del model["rules"]["pricing_page"]  # of the model around it, for every page
    compared = [act("website.page_view", f"e{day}", day, path="/account/plan") for day in (0, 1)]
    read = act("website.page_view", "e2", 2, path="/prices")
    before, after = line(model, 1, *compared), line(model, 2, *compared, read)
    assert "twice has 50 points of `account`: an expansion score of 50, and a main score of 0" in PAGE
    assert (before.others["expansion"].score, before.score) == (50, 0)
    assert "both scores count: 30 and 80, and the lead enters `upsell`" in PAGE
    assert (after.score, after.others["expansion"].score, after.thresholds) == (30, 80, {"upsell": "in", "mql": "out"})
    (entered,) = run(model, 2, *compared, read).crossings
    assert "Its reasons are `plan_compared` 50 and `prices_read` 30" in PAGE
    assert [(one.name, one.points) for one in entered.reasons] == [("plan_compared", 50), ("prices_read", 30)]
    assert line(model, 3, *compared, act("call.held", "e3", 3)).others["expansion"].score == 50


def test_only_whom_sales_can_reach_enters_as_the_page_says() -> None:
    (fragment,) = [example for example in EXAMPLES if "form_filled:" in example]
    model = read_yaml(minimal_with(fragment)).value
    assert isinstance(model, dict)
    read = [act("website.download", f"e{day}", day) for day in (0, 0.1)]
    form = act("website.form_submitted", "f1", 0.2, attributes={"has_address": True})
    assert "A visitor who downloads two price lists is worth 80 points and does not enter" in PAGE
    assert score(model, 0.1, *read) == 80
    assert crossings(model, 0.1, *read) == []
    assert crossings(model, 0.2, *read, form) == [("ENTER", "EVENT", 0.2)]
    told = profile("p1", 0.2, has_address=True)
    assert crossings(model, 0.3, *read, told) == []
    assert crossings(model, 0.3, *read, told, act("website.download", "e3", 0.3)) == [("ENTER", "EVENT", 0.3)]


def test_the_points_out_of_a_field_are_what_the_page_says() -> None:
    (fragment,) = [example for example in EXAMPLES if "minutes_watched:" in example]
    model = read_yaml(minimal_with(fragment)).value
    assert isinstance(model, dict)
    model |= {"decay": "none"}
    march_2, march_3, june_1 = 60, 61, 151  # days after 1 January 2026

    def watched(event_id: str, day: float, minutes: int, event_type: str = "webinar.attended") -> Plain:
        return act(event_type, event_id, day, asset="w", minutes=minutes)

    assert (
        "on 2 March for 30 minutes and on 3 March for 60 has 15 points, and one that watched on 1 June has none" in PAGE
    )
    twice = watched("e1", march_2, 30), watched("e2", march_3, 60, "webinar.watched_on_demand")
    assert line(model, march_3, *twice).score == 15
    assert line(model, june_1, watched("e1", june_1, 60)).score == 0
    calls = [act("call.held", f"c{day}", day, rating=rating) for day, rating in enumerate((25, 3, 4, -2, 9, 9))]
    assert line(model, 20, *calls).score == 10 + 3 + 4 - 2


def test_every_key_of_the_model_file_is_in_the_page() -> None:
    mentioned = set(re.findall(r"`([a-z_]+)[`:]", PAGE))

    assert keys_of_the_schema() - mentioned == set()


def test_every_key_of_the_model_file_is_in_an_example() -> None:
    shown = {key for example in EXAMPLES for key in keys_within(read_yaml(example).value)}

    assert keys_of_the_schema() - shown == set()


def test_the_tables_name_no_key_that_does_not_exist() -> None:
    words = {"none"}  # a word of `decay`, no key

    assert documented_keys() - keys_of_the_schema() == words


def test_the_page_explains_most_keys_in_tables() -> None:
    assert len(documented_keys()) > 40
