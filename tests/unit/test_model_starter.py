"""The starter model in deploy/: it loads, and it says what practitioners' guides ask for."""

import re
from pathlib import Path

import pytest

from leadscore.model.describe import describe
from leadscore.model.load import load_model

PATH = Path(__file__).parents[2] / "deploy" / "model.yaml"
STARTER = load_model(PATH)


@pytest.mark.parametrize(
    "event",
    [
        "website.page_view",
        "website.form_submitted",
        "website.download",
        "website.contact_requested",
        "website.chat_started",
        "email.open",
        "email.click",
        "email.reply",
        "email.unsubscribe",
        "email.complaint",
        "webinar.registered",
        "webinar.attended",
        "webinar.watched_on_demand",
        "webinar.no_show",
        "event.attended",
        "social.engaged",
        "app.activity",
        "app.trial_started",
        "meeting.booked",
        "meeting.cancelled",
        "crm.accepted",
        "crm.rejected",
        "deal.won",
        "deal.lost",
        "service.ticket_opened",
        "service.rated",
    ],
)
def test_every_kind_of_behaviour_has_a_rule(event: str) -> None:
    assert event in {one for rule in STARTER.definition.rules.values() for one in rule.event_types}


@pytest.mark.parametrize(
    "attribute",
    [
        *("role", "job_title", "department", "age", "country", "city", "email_domain_type"),
        *("company_size", "company_type", "company_revenue", "industry"),
        *("budget", "buying_authority", "need", "timeframe"),
    ],
)
def test_every_explicit_criterion_gives_points(attribute: str) -> None:
    assert attribute in STARTER.definition.fit.attributes


def test_the_negative_events_take_points_or_disqualify() -> None:
    rules = STARTER.definition.rules

    points = [rules[name].points for name in ("unsubscribed", "meeting_cancelled", "careers_page")]
    assert all(isinstance(number, int | float) and number < 0 for number in points)
    assert rules["spam_complaint"].disqualifies


def test_contact_me_now_goes_straight_to_sales() -> None:
    assert STARTER.definition.rules["contact_me_now"].qualifies == "mql"


def test_what_sales_says_is_an_outcome_and_takes_the_lead_out_of_every_threshold_for_new_leads() -> None:
    model = STARTER.definition
    said = {name: rule.outcome for name, rule in model.rules.items() if rule.outcome is not None}
    assert set(said.values()) == {"accepted", "rejected", "won", "lost"}
    given_back = [model.rules[name].recycles for name, outcome in said.items() if outcome != "accepted"]
    for_new_leads = [name for name, threshold in model.thresholds.items() if threshold.of == "main"]
    assert [recycles and recycles.thresholds for recycles in given_back] == [for_new_leads] * len(given_back)


def test_an_anonymous_visitor_or_a_customer_never_alerts_sales_by_points() -> None:
    for threshold in STARTER.definition.thresholds.values():
        if threshold.of == "main":
            assert threshold.require is not None
            assert threshold.require.conditions == ["reachable", "no_customer"]


def test_no_other_score_counts_who_is_only_a_lead() -> None:
    """Every threshold of another score asks for a customer."""
    others = [one.require for one in STARTER.definition.thresholds.values() if one.of != "main"]
    assert [require and require.conditions for require in others] == [["customer"]] * 2
    assert set(STARTER.definition.scores) == {"expansion", "service"}


def test_every_rule_for_clicks_leaves_machine_clicks_out() -> None:
    clicks = [rule for rule in STARTER.definition.rules.values() if "email.click" in rule.event_types]

    assert len(clicks) == 3
    assert all(rule.exclude_burst is not None for rule in clicks)


def test_no_group_but_direct_contact_qualifies_alone() -> None:
    model = STARTER.definition
    best = {name: group.max or 0 for name, group in model.groups.items() if group.in_main}

    assert max(best.values()) < model.thresholds["mql"].enter


def test_every_rule_and_condition_has_a_comment_with_its_reason() -> None:
    """The comment stands above the item or above the first of its block."""
    blocks = re.split(r"\n\s*\n", STARTER.text)
    names = [*STARTER.definition.rules, *STARTER.definition.conditions]

    def explained(name: str) -> bool:
        (block,) = (block for block in blocks if re.search(rf"^  {name}:", block, re.MULTILINE))
        return "#" in block.split(f"  {name}:")[0] or name.startswith(("webinar_", "demo_"))

    assert [name for name in names if not explained(name)] == []


def test_the_starter_can_be_said_in_words() -> None:
    words = " ".join(describe(STARTER.definition).split())

    assert 'disqualified ("student or unemployed, and silent") while the lead\'s role is student or unemployed' in words
