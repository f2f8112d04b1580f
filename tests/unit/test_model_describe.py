"""The model in words."""

import pytest

from leadscore.model.describe import describe
from leadscore.model.load import parse_model
from leadscore.model.pattern_words import pattern_in_words
from tests.unit.model_texts import EVERYTHING, minimal_with

NESTED = """
conditions:
  c:
    when:
      any:
        - attribute: {name: vip, in: [true]}
        - all: [{attribute: {name: a, exists: true}}, {attribute: {name: b, exists: true}}]
    points: 1
    disqualifies: vip
"""

LOOKED_AT = """
rules: {mail_click: {points: 0}}
conditions: {c: {when: {quiet: {rules: [mail_click], within: 1d}}, points: 1}}
"""


def words_of(text: str) -> str:
    """The description as one line: where lines break does not matter."""
    return " ".join(describe(parse_model(text, "model.yaml")).split())


@pytest.mark.parametrize(
    "sentence",
    [
        "Model b2b-starter, version 3",
        "never below 0 and never above 100.",
        "A lead's main score is its engagement (what it does) plus its fit (who it is), never below 0 and never above",
        "- expansion: group product plus group direct, never below 0 and never above 100.",
        "no more than 40. It counts for expansion, not for the main score.",
        "no more than 60. It counts for the main score and for expansion.",
        "- upsell: a lead enters when a record raises its expansion score to 40 or more, and leaves when the expansion",
        "A main score of 70 or more is hot, of 30 or more warm, below that cold.",
        "Points lose half their worth every 30 days, unless a rule or its group says otherwise.",
        "What is worth points while it lasts counts in full until it ends, and then no longer.",
        "Everything in this group together counts as no less than -20 and no more than 30.",
        "- pricing_page: +10 points for each website.page_view where path begins with /pricing. Only the earliest of",
        "where form is whitepaper, country is DE or FR and pages is at least 2.",
        "For each asset only the earliest counts.",
        "Its points count by age: 100 % up to 7 days, 75 % up to 14 days, 50 % up to 30 days, then nothing.",
        "It lets the lead into mql at once, whatever the score.",
        "Machine clicks are left out: of 5 or more within 2 seconds none counts. All of them together give at most 15",
        "- unsubscribed: -25 points for each email.unsubscribe. Its points do not decay.",
        '- asked_to_stop: no points for each email.complaint. It disqualifies the lead ("complained") until a',
        "- webinar_minutes: as many points as the number in minutes times 0.5 (no more than 20) for each",
        "on_demand. Only what occurs from 2026-01-01 on (UTC) counts. Only the earliest 4 of one month (UTC) count.",
        "- sales_rejected: no points for each crm.rejected. It takes the lead out of mql, whatever the score. For 90",
        "days after it, only a rule that lets it in at once lets it in again.",
        "- went_quiet: -10 points while for more than 30 days no event of mail_click came (and the lead is known",
        "- researching: +10 points while 3 or more events of pricing_page came within the last 7 days.",
        "while the lead's role is student or unemployed and no event of mail_click came within the last 60 days.",
        "- company_size: +20 points if it is at least 1000; else +10 points if it is at least 200.",
        "The grade by points of fit: A from 30, B from 20, C from 10, D from 0; F below.",
        "- mql: a lead enters when a record raises its main score to 65 or more, and leaves when the main score is",
        "- reachable: no points, but a threshold needs it. It holds while the lead's has_address is true.",
        "To enter it needs a grade of C or better and that reachable holds. It does not enter again within 14 days",
        "Time alone only lets leads out, never in. A disqualified lead enters nothing.",
        "A lead that a rule let in at once, with too low a score, may stay for 14 days.",
    ],
)
def test_every_part_of_the_model_is_described_in_words(sentence: str) -> None:
    assert sentence in words_of(EVERYTHING)


@pytest.mark.parametrize(
    ("fragment", "sentence"),
    [
        ("{}", "A lead's score is its engagement (what it does) plus its fit (who it is), never below 0 and never"),
        (
            "{}",
            "- mql: a lead enters when a record raises its score to 65 or more, and leaves when the score is below 50",
        ),
        (
            "scores: {whole: {groups: [website], fit: true, floor: -10, ceiling: 50}}",
            "- whole: group website plus the fit, never below -10 and never above 50.",
        ),
        ("decay: {linear: 60d}", "Points decay evenly to nothing over 60 days, unless"),
        ("decay: {expire: 1d}", "Points count in full for 1 day, then not at all, unless"),
        ("decay: none", "Points do not decay, unless"),
        ("groups: {website: {min: -5, decay: none}}", "Points do not decay, unless a rule says otherwise."),
        ("rules: {mail_click: {limit: {times: 3, per: forever}}}", "Only the earliest 3 ever count."),
        ("rules: {mail_click: {limit: {times: 1, per: month}}}", "Only the earliest of one month (UTC) counts."),
        (
            "rules: {mail_click: {event: [email.click, sms.click, push.click]}}",
            "- mail_click: +3 points for each email.click, sms.click or push.click.",
        ),
        (
            "rules: {mail_click: {points: {field: minutes, times: 0.5, max: 20, min: 0}, max: 30}}",
            "number in minutes times 0.5 (no less than 0 and no more than 20) for each email.click. All of them",
        ),
        (
            "rules: {mail_click: {points: {field: minutes}}}",
            "as many points as the number in minutes for each email.click.",
        ),
        (
            "rules: {mail_click: {active: {from: 2026-03-01, until: 2026-06-01T12:00:00Z}}}",
            "Only what occurs from 2026-03-01 on and before 2026-06-01T12:00:00Z (UTC) counts.",
        ),
        ("rules: {mail_click: {active: {until: 2026-06-01}}}", "Only what occurs before 2026-06-01 (UTC) counts."),
        (
            "rules: {mail_click: {points: -1.5, max: 4}}",
            "-1.5 points for each email.click. All of them together take at most 4 points.",
        ),
        (
            "rules: {mail_click: {where: {a: true, b: {exists: false}, c: {not_in: [1]}}}}",
            "where a is true, b is not known and c is known and not 1.",
        ),
        (
            "rules: {mail_click: {where: {a: {not_in: [y], matches: x, exists: true}}}}",
            "where a is known and not y, a contains x and a is known.",
        ),
        (NESTED, '- c: +1 point and disqualified ("vip") while the lead'),
        (
            NESTED,
            "while the lead's vip is true or (the lead's a is known and the lead's b is known).",
        ),
        (
            "conditions: {c: {when: {not: {attribute: {name: role, exists: true}}}, points: 1}}",
            "while it is not so that the lead's role is known.",
        ),
        (
            "conditions: {c: {when: {attribute: {name: vip, in: [true]}}, points: 1}}",
            "- vip: no points, but conditions look at it.",
        ),
        (
            LOOKED_AT,
            "- mail_click: no points for each email.click, but conditions look at it.",
        ),
        (
            "conditions: {c: {when: {count: {rules: [mail_click], at_least: 2, within: 1d}}, points: 1}}",
            "2 or more events of mail_click came within the last day.",
        ),
        ("thresholds: {mql: {exit: 0}}", "and leaves only when it is disqualified: the score is never below 0."),
        (
            "thresholds: {mql: {require: {engagement: 40, fit: 10}}}",
            "To enter it needs at least 40 points of engagement and at least 10 points of fit.",
        ),
    ],
)
def test_the_unusual_is_described_too(fragment: str, sentence: str) -> None:
    assert sentence in words_of(minimal_with(fragment))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("^/pricing", "begins with /pricing"),
        ("\\.pdf$", "ends with .pdf"),
        ("^(a|b)$", "is a or b"),
        ("^/c\\+\\+/(x|y)/", "begins with /c++/x/ or /c++/y/"),
        ("(?i)onboarding", "contains onboarding, in upper or lower case"),
        ("^/(a|b|c)(/|$)", "begins with /a, /b or /c, as a whole word"),
        ("(?i)\\bmanager\\b", "contains manager, as a whole word, in upper or lower case"),
        ("^a.*b", "fits the pattern ^a.*b"),
        ("a|b", "fits the pattern a|b"),
        ("(a|b)+", "fits the pattern (a|b)+"),
        ("(a|b(c|d))", "fits the pattern (a|b(c|d))"),
        ("price\\$", "fits the pattern price\\$"),
        ("\\bword", "fits the pattern \\bword"),
        ("[ab]", "fits the pattern [ab]"),
        ("", "fits the pattern "),
    ],
)
def test_the_usual_patterns_are_described_without_signs(pattern: str, words: str) -> None:
    assert pattern_in_words(pattern) == words


def test_an_empty_model_is_described_as_such() -> None:
    words = words_of("model: m\nversion: 1")

    assert "No points for who the lead is." in words
    assert "None: nothing will be published." in words


def test_every_name_of_the_model_is_in_its_description() -> None:
    model = parse_model(EVERYTHING, "model.yaml")
    words = describe(model)

    names = [*model.groups, *model.rules, *model.conditions, *model.fit.attributes, *model.scores, *model.thresholds]
    assert [name for name in names if name not in words] == []
