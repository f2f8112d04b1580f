"""The starter model on the scenario in deploy/: whom sales is told of, what it says, and customers."""

import pytest

from leadscore.scoring.crossing import Cause
from tests import oracle
from tests.unit.starter_scenario import LAST_DAY, crossings_of, definition, lead_at, midnight_ms, until, up_to

# --- whom sales is told of, and what it says ----------------------------------------------------------------------


def test_a_visitor_with_enough_points_alerts_nobody_until_a_form_says_who_it_is() -> None:
    before, form = (oracle.instant_ms(f"2026-01-06T{time}Z") for time in ("10:09:59", "10:10:00"))
    (buyer,) = (score for score in until(before).scores if score.lead_id == "lead-buyer-1")
    assert buyer.score > definition().thresholds["mql"].enter
    assert buyer.thresholds["mql"] == "out"
    assert [one.occurred_at_ms for one in crossings_of("lead-buyer-1")[:2]] == [form, form]


def test_a_visitor_who_becomes_known_enters_in_that_instant_with_the_reasons_of_both_ids() -> None:
    enter = crossings_of("lead-known-1")[0]
    assert (enter.cause, enter.threshold, crossings_of("lead-visitor-1")) == (Cause.MERGED, "mql", [])
    assert {"pricing_page", "role"} <= {reason.name for reason in enter.reasons}
    assert "lead-visitor-1" not in {score.lead_id for score in up_to(LAST_DAY).scores}


def test_what_sales_said_is_counted_with_its_reason() -> None:
    assert [(one.threshold, one.name, one.rule) for one in up_to(LAST_DAY).outcomes] == [
        ("mql", "rejected", "rejected"),
        ("mql", "rejected", "rejected_not_now"),
        ("mql", "accepted", "sales_accepted"),
        ("mql", "rejected", "rejected_wrong_fit"),
        ("mql", "won", "deal_won"),
        ("mql", "lost", "deal_lost"),
        ("hot", "lost", "deal_lost"),
    ]


def test_a_lead_given_back_enters_again_only_by_asking() -> None:
    assert lead_at(18, "lead-rejected-1").score > definition().thresholds["mql"].enter
    assert [crossing.cause for crossing in crossings_of("lead-rejected-1")] == [
        Cause.INSTANT,
        Cause.RECYCLED,
        Cause.INSTANT,
    ]


# --- customers ------------------------------------------------------------------------------------------------------


def test_a_customer_is_no_lead_for_the_first_call() -> None:
    """The CRM says that it is one."""
    assert lead_at(45, "lead-customer-1").score > definition().thresholds["mql"].enter
    assert {crossing.threshold for crossing in crossings_of("lead-customer-1")} == {"at_risk"}


def test_the_expansion_score_begins_with_the_deal_that_is_won() -> None:
    expansion = [lead_at(day, "lead-won-1").others["expansion"].score for day in (23, 24)]
    assert expansion == [0, pytest.approx(15, abs=0.1)]
    (enter,) = (one for one in crossings_of("lead-won-1") if one.threshold == "upsell" and one.direction == "ENTER")
    assert (enter.score_name, enter.reasons[0].name) == ("expansion", "limit_reached")


def test_who_has_not_bought_is_not_called_about_a_larger_plan() -> None:
    crossings = until(midnight_ms(LAST_DAY), without="deal.won").crossings
    assert "upsell" not in {crossing.threshold for crossing in crossings}


def test_a_customer_with_a_problem_is_not_called_about_a_larger_plan() -> None:
    leave = crossings_of("lead-won-1")[-1]
    assert leave.trigger is not None
    assert (leave.threshold, leave.direction, leave.trigger.type) == ("upsell", "LEAVE", "service.ticket_opened")


def test_tickets_and_a_bad_rating_call_service_and_time_ends_it() -> None:
    enter, leave = crossings_of("lead-customer-1")
    assert (enter.score_name, [reason.name for reason in enter.reasons][:3]) == (
        "service",
        ["bad_rating", "ticket_reopened", "ticket_opened"],
    )
    assert leave.cause is Cause.TIME
