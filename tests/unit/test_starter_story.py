"""The starter model on the scenario in deploy/: eighteen leads, ninety days, and what becomes of each of them."""

import json
import re
import shlex

import msgspec
import pytest

from leadscore.cli.main import main
from leadscore.events.json_lines import read_lines
from leadscore.log.records import COMMANDS
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.scoring.crossing import Cause, Crossing, iso_instant
from leadscore.yaml_reading.document import read as read_yaml
from tests import oracle
from tests.unit.starter_scenario import (
    LAST_DAY,
    MODEL,
    ROOT,
    SCENARIO,
    adjustments,
    crossings_of,
    definition,
    lead_at,
    log_entries,
    midnight_ms,
    scenario,
    up_to,
)

# When, who, which way, which threshold, why, and the record behind it (none where time alone did it).
STORY = """
2026-01-06T10:10 lead-buyer-1 ENTER mql EVENT website.form_submitted
2026-01-06T10:10 lead-buyer-1 ENTER hot EVENT website.form_submitted
2026-01-06T11:00 lead-student-1 ENTER mql INSTANT website.contact_requested
2026-01-07T08:00 lead-hand-raise-1 ENTER mql INSTANT website.contact_requested
2026-01-08T09:30 lead-trial-1 ENTER mql EVENT app.trial_started
2026-01-09T10:00 lead-job-seeker-1 ENTER mql INSTANT website.contact_requested
2026-01-10T10:00 lead-complainer-1 ENTER mql EVENT meeting.booked
2026-01-11T09:00 lead-complainer-1 ENTER hot EVENT event.attended
2026-01-11T15:00 lead-trial-1 ENTER hot EVENT email.click
2026-01-11T20:15 lead-job-seeker-1 LEAVE mql DISQUALIFIED website.page_view
2026-01-13T09:00 lead-job-seeker-1 ENTER mql INSTANT website.contact_requested
2026-01-14T09:00 lead-job-seeker-1 LEAVE mql RECYCLED crm.rejected
2026-01-15T09:00 lead-complainer-1 LEAVE hot DISQUALIFIED email.complaint
2026-01-15T09:00 lead-complainer-1 LEAVE mql DISQUALIFIED email.complaint
2026-01-15T09:00 lead-fair-1 ENTER mql COMMAND command.adjust
2026-01-15T10:00 lead-rejected-1 ENTER mql INSTANT website.contact_requested
2026-01-16T10:00 lead-rejected-1 LEAVE mql RECYCLED crm.rejected
2026-01-19T09:00 lead-fair-1 LEAVE mql COMMAND command.retract
2026-01-19T10:00 lead-won-1 ENTER mql EVENT deal.proposal_opened
2026-01-19T10:00 lead-erased-1 ENTER mql INSTANT website.contact_requested
2026-01-20T09:00 lead-hobbyist-1 ENTER mql INSTANT website.contact_requested
2026-01-20T11:00 lead-student-1 LEAVE mql TIME -
2026-01-21T08:00 lead-hand-raise-1 LEAVE mql TIME -
2026-01-21T09:00 lead-hobbyist-1 LEAVE mql RECYCLED crm.rejected
2026-01-26T09:00 lead-partner-1 ENTER mql EVENT website.page_view
2026-01-28T09:00 lead-complainer-1 ENTER mql EVENT website.page_view
2026-01-28T09:00 lead-complainer-1 ENTER hot EVENT website.page_view
2026-01-28T10:00 lead-partner-1 LEAVE mql EVENT email.unsubscribe
2026-01-28T15:00 lead-won-1 LEAVE mql RECYCLED deal.won
2026-02-05T09:00 lead-competitor-1 ENTER mql INSTANT website.contact_requested
2026-02-05T19:00 lead-known-1 ENTER mql MERGED command.merge
2026-02-05T19:00 lead-known-1 ENTER hot MERGED command.merge
2026-02-10T15:00 lead-trial-1 LEAVE hot TIME -
2026-02-17T10:00 lead-trial-1 ENTER hot EVENT website.chat_started
2026-02-21T18:22 lead-competitor-1 LEAVE mql TIME -
2026-02-21T18:37 lead-buyer-1 LEAVE hot TIME -
2026-02-23T02:16 lead-known-1 LEAVE hot TIME -
2026-02-23T09:00 lead-customer-1 ENTER at_risk EVENT service.rated
2026-03-06T07:44 lead-buyer-1 LEAVE mql TIME -
2026-03-06T10:00 lead-buyer-1 ENTER mql EVENT webinar.registered
2026-03-07T10:00 lead-buyer-1 ENTER hot EVENT webinar.attended
2026-03-10T09:00 lead-won-1 ENTER upsell EVENT website.page_view
2026-03-11T09:00 lead-student-1 ENTER mql INSTANT website.contact_requested
2026-03-12T21:04 lead-complainer-1 LEAVE hot TIME -
2026-03-15T14:11 lead-known-1 LEAVE mql TIME -
2026-03-15T22:13 lead-customer-1 LEAVE at_risk TIME -
2026-03-16T09:00 lead-student-2 ENTER mql INSTANT website.contact_requested
2026-03-16T09:00 lead-won-1 LEAVE upsell EVENT service.ticket_opened
2026-03-20T23:26 lead-trial-1 LEAVE hot TIME -
2026-03-24T10:00 lead-rejected-1 ENTER mql INSTANT website.contact_requested
2026-03-25T09:00 lead-student-1 LEAVE mql TIME -
2026-03-25T09:00 lead-trial-1 LEAVE mql RECYCLED deal.lost
2026-03-26T22:46 lead-complainer-1 LEAVE mql TIME -
2026-03-30T09:00 lead-student-2 LEAVE mql TIME -
"""

# Who, the score, the grade of the fit, the band.
THE_END = """
lead-buyer-1 84.3 A hot
lead-competitor-1 9.0 D cold
lead-complainer-1 45.2 A warm
lead-customer-1 39.3 B warm
lead-fair-1 21.4 A cold
lead-hand-raise-1 0.0 D cold
lead-hobbyist-1 0.0 F cold
lead-job-seeker-1 0.0 C cold
lead-known-1 32.8 A warm
lead-newsletter-1 0.0 D cold
lead-partner-1 22.0 B cold
lead-rejected-1 65.4 B warm
lead-scanner-1 0.0 D cold
lead-student-1 34.4 F warm
lead-student-2 0.0 F cold
lead-trial-1 49.7 A warm
lead-won-1 51.8 A warm
"""

DAYS_THAT_SHOW_EVERYTHING = (2, 7, 8, 14, 63, LAST_DAY)


def told(crossing: Crossing) -> str:
    when = iso_instant(crossing.occurred_at_ms)[:16]
    record = crossing.trigger.type if crossing.trigger is not None else "-"
    return f"{when} {crossing.lead_id} {crossing.direction} {crossing.threshold} {crossing.cause} {record}"


# --- the story -----------------------------------------------------------------------------------------------------


def test_who_crosses_when_and_why() -> None:
    assert [told(crossing) for crossing in up_to(LAST_DAY).crossings] == STORY.strip().splitlines()


def test_how_it_ends_for_each_lead() -> None:
    ends = [f"{end.lead_id} {end.score:.1f} {end.grade} {end.band}" for end in up_to(LAST_DAY).scores]
    assert ends == THE_END.strip().splitlines()


def test_the_oracle_tells_the_same_story() -> None:
    """But for the two ids that are merged, of which it knows nothing: nothing that others do depends on them."""
    model = read_yaml(MODEL.read_text()).value
    assert isinstance(model, dict)
    merged = {"lead-visitor-1", "lead-known-1"}
    log = [entry for entry in log_entries() if entry.event["lead_id"] not in merged]
    expected = oracle.run(model, log, midnight_ms(LAST_DAY))
    crossings = [crossing for crossing in up_to(LAST_DAY).crossings if crossing.lead_id not in merged]
    scores = [score for score in up_to(LAST_DAY).scores if score.lead_id not in merged]
    assert [crossing.id for crossing in crossings] == [crossing["id"] for crossing in expected.crossings]
    assert [score.lead_id for score in scores] == [score["lead_id"] for score in expected.scores]
    assert [score.score for score in scores] == pytest.approx([score["score"] for score in expected.scores], abs=1e-9)
    outcomes = [(one.threshold, one.name, one.rule) for one in up_to(LAST_DAY).outcomes]
    assert sorted(outcomes) == sorted(expected.outcomes)


def test_the_command_of_the_page_tells_the_story(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "model.md").read_text()
    [command] = re.findall(r"^leadscore (simulate .*)$", page, re.MULTILINE)
    assert main(shlex.split(command)) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["lead_id"] for line in printed if "direction" in line] == [
        line.split()[1] for line in STORY.strip().splitlines()
    ]
    assert [line["lead_id"] for line in printed if "band" in line] == [
        line.split()[0] for line in THE_END.strip().splitlines()
    ]


def test_the_alert_names_the_strongest_reasons_first() -> None:
    enter = crossings_of("lead-trial-1")[0]
    assert [(reason.name, reason.points) for reason in enter.reasons[:3]] == [
        ("trial_started", 25.0),
        ("role", 12.0),
        ("buying_authority", 10.0),
    ]


def test_a_job_seeker_is_disqualified_for_a_day() -> None:
    assert lead_at(7, "lead-job-seeker-1").disqualified == "looks for a job"
    assert lead_at(8, "lead-job-seeker-1").disqualified is None


def test_a_lead_that_complains_is_disqualified_until_a_requalify_command() -> None:
    reasons = [lead_at(day, "lead-complainer-1").disqualified for day in (10, 11, 20, 21)]
    assert reasons == [None, "complained about spam", "complained about spam", None]


def test_a_silent_student_is_disqualified_until_it_opens_a_mail() -> None:
    reasons = [lead_at(day, "lead-student-1").disqualified for day in (61, 62, 64, 65)]
    assert reasons == [None, "student or unemployed, and silent", "student or unemployed, and silent", None]


def test_a_student_who_reads_the_blog_is_not_disqualified() -> None:
    assert lead_at(63, "lead-student-2").disqualified is None


def test_a_competitor_enters_once_it_turns_out_not_to_be_one() -> None:
    assert lead_at(30, "lead-competitor-1").disqualified == "competitor"
    assert lead_at(31, "lead-competitor-1").disqualified is None


def test_the_scanner_earns_nothing_and_the_person_behind_it_three_points() -> None:
    assert [lead_at(day, "lead-scanner-1").score for day in (8, 10)] == [0, pytest.approx(3, abs=0.1)]


def test_no_group_gives_more_than_its_max() -> None:
    assert adjustments(7, "lead-trial-1")["group", "product"] == pytest.approx(-12.6, abs=0.05)
    assert adjustments(8, "lead-buyer-1")["group", "website"] < 0
    assert adjustments(14, "lead-newsletter-1")["group", "email"] < 0


def test_no_rule_gives_more_than_its_max() -> None:
    assert adjustments(7, "lead-trial-1")["rule", "app_activity"] == pytest.approx(-1.5, abs=0.05)


def test_fit_never_gives_more_than_its_max() -> None:
    assert (lead_at(LAST_DAY, "lead-buyer-1").fit, adjustments(LAST_DAY, "lead-buyer-1")["fit", "fit"]) == (40, -1)


def test_the_score_of_a_quiet_buyer_decays_and_comes_back() -> None:
    scores = [lead_at(day, "lead-buyer-1").score for day in (30, 45, 60, 63)]
    assert scores[0] > scores[1] > scores[2] < scores[3]


def test_a_lead_of_the_wrong_sort_enters_only_by_asking() -> None:
    assert lead_at(15, "lead-hobbyist-1").score > definition().thresholds["mql"].enter
    assert [crossing.cause for crossing in crossings_of("lead-hobbyist-1")] == [Cause.INSTANT, Cause.RECYCLED]


def test_a_suspended_lead_enters_with_its_first_event_after_resuming() -> None:
    assert lead_at(12, "lead-partner-1").thresholds["mql"] == "out"
    (resumed,) = (line for line in scenario() if line["type"] == "command.resume")
    assert crossings_of("lead-partner-1")[0].occurred_at_ms > oracle.instant_ms(resumed["occurred_at"])


def test_an_erased_lead_is_gone_and_its_late_event_does_not_bring_it_back() -> None:
    assert [crossing.cause for crossing in crossings_of("lead-erased-1")] == [Cause.INSTANT]
    assert "lead-erased-1" not in {score.lead_id for score in up_to(22).scores}


# --- the scenario shows the whole model ----------------------------------------------------------------------------


def shown(part: str) -> set[str]:
    """Names of the rules or conditions that gave something, or were true, for some lead on one of the days."""
    return {
        piece.name
        for day in DAYS_THAT_SHOW_EVERYTHING
        for score in up_to(day).scores
        for explanation in (score.explanation, *score.others.values())
        for piece in explanation.parts
        if piece.part == part and piece.count
    }


def test_every_rule_counts_an_event_of_the_scenario() -> None:
    assert definition().rules.keys() - shown("rule") == set()


def test_every_condition_holds_for_a_lead_of_the_scenario() -> None:
    assert definition().conditions.keys() - definition().required_conditions - shown("condition") == set()


def test_every_reason_to_disqualify_stops_a_lead_of_the_scenario() -> None:
    expected = {rule.disqualifies for rule in definition().rules.values()}
    expected |= {condition.disqualifies for condition in definition().conditions.values()}
    days = DAYS_THAT_SHOW_EVERYTHING
    reasons = {score.disqualified for day in days for score in up_to(day).scores if score.disqualified is not None}
    assert reasons == expected - {None}


def test_every_band_of_every_attribute_fits_a_lead_of_the_scenario() -> None:
    model = msgspec.to_builtins(definition())
    for bands in model["fit"]["attributes"].values():
        for place, band in enumerate(bands, start=1):
            band["points"] = place
    matcher = Matcher(msgspec.convert(model, ModelDefinition))
    events = [line.event for line in read_lines(SCENARIO.read_bytes().splitlines(), "scenario")]
    bands_hit = {(award.attribute_id, award.points) for event in events for award in matcher.attributes(event)}
    bands_of_the_model = sum(len(bands) for bands in definition().fit.attributes.values())
    assert len({(attribute, place) for attribute, place in bands_hit if place}) == bands_of_the_model


def test_every_threshold_is_entered_and_left_for_every_cause() -> None:
    crossings = up_to(LAST_DAY).crossings
    assert {(crossing.threshold, crossing.direction) for crossing in crossings} == {
        (name, direction) for name in definition().thresholds for direction in ("ENTER", "LEAVE")
    }
    assert {crossing.cause for crossing in crossings} == set(Cause)


def test_every_command_comes_in_the_scenario() -> None:
    assert {line["type"] for line in scenario() if line["type"].startswith("command.")} == COMMANDS


def test_the_leads_end_in_every_band() -> None:
    assert {end.band for end in up_to(LAST_DAY).scores} == {"cold", "warm", "hot"}


def test_the_scenario_has_late_and_repeated_lines() -> None:
    lines = scenario()
    assert any("received_at" in line for line in lines)
    assert len({(line["lead_id"], line["event_id"]) for line in lines}) == len(lines) - 1


def test_the_lines_are_in_the_order_of_the_log() -> None:
    times = [entry.log_time_ms for entry in log_entries()]
    assert times == sorted(times)
    assert midnight_ms(0) < times[0] < times[-1] < midnight_ms(LAST_DAY)


def test_a_repeated_line_adds_nothing() -> None:
    (rule,) = (part for part in lead_at(22, "lead-partner-1").explanation.parts if part.name == "any_page")
    assert rule.count == 1
