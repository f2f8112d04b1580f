"""Loading a model file: what is read, and how every mistake is told."""

from pathlib import Path

import pytest

from leadscore.errors import ModelError
from leadscore.model.definition import Decay
from leadscore.model.field_tests import Test
from leadscore.model.load import load_model, parse_model
from tests.unit.model_texts import EVERYTHING, lines_of, minimal_with, problems_of


def test_the_design_s_example_loads_key_for_key() -> None:
    model = parse_model(EVERYTHING, "model.yaml")

    assert (model.model, model.version, model.forget_after) == ("b2b-starter", 3, "365d")
    assert list(model.rules)[:2] == ["pricing_page", "whitepaper"]
    assert model.rules["whitepaper"].where["country"] == Test(in_=["DE", "FR"])
    assert model.rules["whitepaper"].decay == Decay(steps={"7d": 1.0, "14d": 0.75, "30d": 0.5})
    assert model.rules["unsubscribed"].decay == "none"
    assert model.conditions["student"].disqualifies == "student or unemployed, and silent"
    assert model.fit.grades == {"A": 30, "B": 20, "C": 10, "D": 0}
    assert model.thresholds["hot"].hold == "14d"


def test_everything_but_name_and_version_has_a_default() -> None:
    model = parse_model("model: empty\nversion: 1", "model.yaml")

    assert model.decay == Decay(half_life="30d")
    assert (model.score.floor, model.score.ceiling) == (0, 100)
    assert (model.bands.cold, model.bands.warm, model.bands.hot) == (0, 30, 70)


def test_a_loaded_model_keeps_its_text(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(EVERYTHING, encoding="utf-8")

    loaded = load_model(path)

    assert loaded.text == EVERYTHING
    assert loaded.definition == parse_model(EVERYTHING, "x")


def test_every_problem_stands_in_a_line_of_its_own_in_the_order_of_the_file() -> None:
    wrong = EVERYTHING.replace("group: website", "group: web").replace("exit: 50", "exit: 65").replace("-30", "50")

    assert lines_of(wrong) == [
        "model.yaml:18: rules.pricing_page.group: web: no such group (did you mean website?)",
        "model.yaml:47: fit: min 50 and max 40: expected min no larger than max",
        "model.yaml:57: thresholds.mql: enter 65 and exit 65: expected exit below enter",
    ]


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    assert lines_of("model: a\nversion: 1\nmodel: b") == [
        "model.yaml:3: model: given twice, first in line 1: expected it once"
    ]


def test_shape_and_text_problems_are_reported_together() -> None:
    assert lines_of("model: a\nversion: one\nrulez: {}\ngroups:") == [
        'model.yaml:2: version: "one": expected a whole number of at least 1 and of at most 2147483647',
        "model.yaml:3: rulez: unknown key (did you mean rules?)",
        "model.yaml:4: groups: empty: give a value, or leave the key out",
    ]


RULE = "rules: {r: {event: e, points: 1, %s}}"


@pytest.mark.parametrize(
    ("fragment", "problem"),
    [
        (RULE % "pionts: 2", "rules.r.pionts: unknown key (did you mean points?)"),
        ("rules: {r: {event: e}}", "rules.r: points is missing: expected a number"),
        ("rules: {r: {event: e, points: '3'}}", 'rules.r.points: "3": expected a number'),
        ("rules: {r: {event: e, points: true}}", "rules.r.points: true: expected a number"),
        ("rules: {r: {event: e, points: .nan}}", "rules.r.points: .nan: expected a number between"),
        ("rules: {r: {event: e, points: -.inf}}", "rules.r.points: -.inf: expected a number between"),
        ("rules: {r: {event: e, points: 1e999}}", "rules.r.points: 1e999: expected a number between"),
        (
            "rules: {r: {event: e, points: 9999999999999999999}}",
            "rules.r.points: 9999999999999999999: expected a number b",
        ),
        ("rules: {r: {event: '', points: 1}}", 'rules.r.event: "": expected text of 1 to 200 characters'),
        ("rules: {'a b': {event: e, points: 1}}", 'rules.a b: "a b": expected a name'),
        ("rules: [1]", "rules: [1]: expected a mapping"),
        (RULE % "limit: 3", "rules.r.limit: 3: expected a mapping with keys out of times, per"),
        (RULE % "limit: {times: 1.5, per: day}", "rules.r.limit.times: 1.5: expected a whole number of at least 1"),
        (RULE % "limit: {times: 1, per: year}", 'rules.r.limit.per: "year": expected day or forever or month or week'),
        (RULE % "max: 0", "rules.r.max: 0: expected a number above 0"),
        (RULE % "decay: {half_life: 2w}", 'rules.r.decay.half_life: "2w": expected a duration'),
        (RULE % "decay: {linear: 12h}", 'rules.r.decay.linear: "12h": expected a whole number of days'),
        (
            RULE % "decay: {steps: {7d: 1.5}}",
            "rules.r.decay.steps.7d: 1.5: expected a number of at least 0 and of at most 1",
        ),
        (RULE % "decay: {steps: {week: 1}}", 'rules.r.decay.steps.week: "week": expected a whole number of days'),
        (RULE % "decay: never", 'rules.r.decay: "never": expected a mapping with keys out of half_life'),
        (
            RULE % "decay: ",
            "rules.r.decay: empty: give a value, or leave the key out; for points that do not decay: the word none",
        ),
        (RULE % "where: {p: [a]}", 'rules.r.where.p: ["a"]: expected text or a number or true or false or a mapping'),
        (RULE % "where: {p: {is: a}}", "rules.r.where.p.is: unknown key"),
        (RULE % "where: {p: {in: a}}", 'rules.r.where.p.in: "a": expected a list'),
        (
            RULE % "exclude_burst: {at_least: 65, within: 2s}",
            "rules.r.exclude_burst.at_least: 65: expected a whole number",
        ),
        ("version: 0", "version: 0: expected a whole number of at least 1"),
        ("version: 1.0", "version: 1.0: expected a whole number"),
        ("version: true", "version: true: expected a whole number"),
        (
            "conditions: {c: {when: {count: {rules: [], at_least: 1, within: 1d}}, points: 1}}",
            "conditions.c.when.count.rules: empty",
        ),
        (
            "conditions: {c: {when: {count: {rules: [mail_click], at_least: 65, within: 1d}}, points: 1}}",
            "conditions.c.when.count.at_least: 65",
        ),
        ("fit: {attributes: {role: []}}", "fit.attributes.role: empty: expected at least one"),
        ("fit: {grades: {a: 1}}", 'fit.grades.a: "a": expected A or B or C or D or E or F'),
    ],
)
def test_a_wrong_key_or_value_is_reported_with_its_path_the_value_and_what_was_expected(
    fragment: str, problem: str
) -> None:
    text = fragment if fragment.startswith("version") else f"version: 1\n{fragment}"

    (told,) = problems_of(f"model: m\n{text}")

    assert told.startswith(problem)


CONDITION = "conditions: {c: {points: 1, when: %s}}"
BANDS = "fit: {attributes: {size: [%s]}}"
REQUIRED = """
thresholds: {mql: {require: {conditions: [%s]}}}
conditions: {c: {when: {attribute: {name: role, exists: true}}, %s}}
"""
GATED = "fit: {max: 10, grades: %s}\nthresholds: {t: {enter: 60, exit: 50, require: {grade: %s}}}"


@pytest.mark.parametrize(
    ("fragment", "problem"),
    [
        ("score: {floor: 100}", "score: floor 100 and ceiling 100: expected floor below ceiling"),
        ("bands: {warm: 71}", "bands: cold 0, warm 71, hot 70: expected cold <= warm <= hot"),
        ("groups: {g: {min: 2, max: 1}}", "groups.g: min 2 and max 1: expected min no larger than max"),
        (
            "groups: {g: {decay: {}}}",
            "groups.g.decay: nothing: expected exactly one of half_life, steps, linear, expire",
        ),
        ("decay: {half_life: 1d, expire: 1d}", "decay: half_life, expire: expected exactly one"),
        ("decay: {half_life: 0d}", "decay.half_life: 0d: expected more than 0"),
        ("decay: {linear: 0d}", "decay.linear: 0d: expected more than 0"),
        ("decay: {expire: 40000d}", "decay.expire: 40000d: expected at most 36525d"),
        ("decay: {steps: {}}", "decay.steps: empty: expected at least one age"),
        ("decay: {steps: {14d: 1, 7d: 0.5}}", "decay.steps.7d: 7d after 14d: expected the younger age first"),
        ("decay: {steps: {7d: 1, 07d: 0.5}}", "decay.steps.07d: 07d after 7d: expected the younger age first"),
        (RULE % "group: websit", "rules.r.group: websit: no such group (did you mean website?)"),
        (RULE % "qualifies: won", "rules.r.qualifies: won: no such threshold, expected one of mql"),
        (RULE % "where: {p: {}}", "rules.r.where.p: no test: expected one of in, not_in"),
        (RULE % "where: {p: {in: []}}", "rules.r.where.p.in: empty: expected at least one"),
        (RULE % "where: {p: {exists: false, below: 3}}", "rules.r.where.p: below, exists: never true"),
        (RULE % "where: {p: {at_least: 3, below: 3}}", "rules.r.where.p: at_least 3 and below 3: never true"),
        (RULE % "where: {p: {in: [true], not_in: [1, true]}}", "rules.r.where.p: in, not_in: never true, all values"),
        (RULE % "where: {p: {at_least: 3, matches: '^3'}}", "rules.r.where.p: at_least, matches: never true"),
        (RULE % "where: {p: {matches: '('}}", 'rules.r.where.p.matches: "(": not a regular expression'),
        (RULE % "where: {p: {matches: '(a+)+$'}}", 'rules.r.where.p.matches: "(a+)+$": could take very long'),
        (
            "rules: {r: {event: command.adjust, points: 1}}",
            "rules.r.event: command.adjust: expected a type that does not",
        ),
        (
            "rules: {command.adjust: {event: e, points: 1}}",
            "rules.command.adjust: command.adjust: the name is reserved",
        ),
        (
            "conditions: {c: {when: {attribute: {name: role, exists: true}}}}",
            "conditions.c: neither points nor disqualifies, and no threshold requires it: expected at least one",
        ),
        (REQUIRED % ("r", "points: 1"), "thresholds.mql.require.conditions[0]: r: no such condition"),
        (REQUIRED % ("c", "points: 0"), "conditions.c.points: a threshold requires the condition: expected neither"),
        (REQUIRED % ("c", "disqualifies: x"), "conditions.c.disqualifies: a threshold requires the condition"),
        (
            CONDITION % "{}",
            "conditions.c.when: nothing: expected exactly one of all, any, not, count, quiet, attribute",
        ),
        (CONDITION % "{attribute: {name: role}}", "conditions.c.when.attribute: no test"),
        (CONDITION % "{all: [{not: {}}]}", "conditions.c.when.all[0].not: nothing: expected exactly one"),
        (
            CONDITION % "{any: [{quiet: {rules: [mail_clik], within: 1d}}]}",
            "conditions.c.when.any[0].quiet.rules[0]: mail_clik: no such rule (did you mean mail_click?)",
        ),
        (
            CONDITION % "{count: {rules: [mail_click], at_least: 1, within: 0s}}",
            "conditions.c.when.count.within: 0s: expected more than 0",
        ),
        (
            "conditions: {c: {when: {attribute: {name: role, exists: true}}, points: 1, group: g}}",
            "conditions.c.group: g: no such group",
        ),
        ("fit: {min: 5, max: 4}", "fit: min 5 and max 4: expected min no larger than max"),
        ("fit: {attributes: {role: [{points: 3}]}}", "fit.attributes.role[0]: no test"),
        (BANDS % "{at_least: 200, points: 5}, {at_least: 1000, points: 9}", "fit.attributes.size[1]: never reached"),
        (
            BANDS % "{below: 10, points: 5}, {at_least: 1, below: 10, points: 9}",
            "fit.attributes.size[1]: never reached",
        ),
        (BANDS % "{in: [a, 1], points: 5}, {in: [1], points: 9}", "fit.attributes.size[1]: never reached"),
        (BANDS % "{exists: true, points: 5}, {matches: a, points: 9}", "fit.attributes.size[1]: never reached"),
        ("fit: {grades: {A: 10, B: 10}}", "fit.grades.B: B 10: expected less than the 10 of A"),
        ("thresholds: {t: {enter: 50, exit: 50}}", "thresholds.t: enter 50 and exit 50: expected exit below enter"),
        ("thresholds: {t: {enter: 101, exit: 50}}", "thresholds.t.enter: 101: never reached"),
        (
            "thresholds: {t: {enter: 60, exit: 50, require: {grade: B}}}",
            "thresholds.t.require.grade: B: expected grades under fit",
        ),
        (
            "fit: {max: 9}\nthresholds: {t: {enter: 60, exit: 50, require: {fit: 10}}}",
            "thresholds.t.require.fit: 10: never reached",
        ),
        (
            GATED % ("{B: 10}", "A"),
            "thresholds.t.require.grade: A: never reached, expected one of the grades under fit",
        ),
        (
            GATED % ("{A: 30, B: 11}", "B"),
            "thresholds.t.require.grade: B: never reached, it needs a fit of 11: expected a",
        ),
        ("forget_after: 0d\nthresholds: {mql: {hold: 0d}}", "forget_after: 0d: expected more than 0"),
        ("forget_after: 13d", "forget_after: 13d: expected at least the 14d of thresholds.mql.hold"),
        (
            "forget_after: 14d\nthresholds: {mql: {cooldown: 15d}}",
            "forget_after: 14d: expected at least the 15d of thresholds.mql.cooldown",
        ),
        (
            "forget_after: 14d\n" + CONDITION % "{not: {quiet: {rules: [mail_click], within: 15d}}}",
            "forget_after: 14d: expected at least the 15d of conditions.c.when.not.quiet.within",
        ),
        (
            "forget_after: 14d\n" + RULE % "exclude_burst: {at_least: 2, within: 15d}",
            "forget_after: 14d: expected at least the 15d of rules.r.exclude_burst.within",
        ),
        # two pairs of names with one CRC32
        (
            "rules: {plumless: {event: e, points: 1}, buckeroo: {event: e, points: 1}}",
            "rules.buckeroo: buckeroo: has the same internal number as plumless",
        ),
        (
            "thresholds: {plumless: {enter: 2, exit: 1}, buckeroo: {enter: 2, exit: 1}}",
            "thresholds.buckeroo: buckeroo: has the same internal number as plumless",
        ),
        (
            "fit: {attributes: {plumless: [{exists: true, points: 1}]}}\n"
            + CONDITION % "{attribute: {name: buckeroo, exists: true}}",
            "fit.attributes.buckeroo: buckeroo: has the same internal number as plumless",
        ),
        (
            "conditions: {plumless: {when: %s, points: 1}, buckeroo: {when: %s, points: 1}}"
            % (("{attribute: {name: role, exists: true}}",) * 2),
            "conditions.buckeroo: buckeroo: has the same internal number as plumless",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(fragment: str, problem: str) -> None:
    (told,) = problems_of(minimal_with(fragment))

    assert told.startswith(problem)


@pytest.mark.parametrize(
    "fragment",
    [
        "decay: {expire: 0d}",
        "decay: {steps: {0d: 0.5, 1d: 1.0, 2d: 0}}",
        "decay: none",
        "bands: {cold: 5, warm: 5, hot: 5}",
        "groups: {g: {min: 1, max: 1}}",
        "forget_after: 14d",
        "thresholds: {t: {enter: 100, exit: 99.5}}",
        "fit: {attributes: {role: [{exists: false, points: -5}]}}",
        "fit: {grades: {A: 1, C: 0}}\nthresholds: {t: {enter: 60, exit: 50, require: {grade: B}}}",
        GATED % ("{A: 30, B: 10}", "B"),
        GATED % ("{A: 30}", "F"),
        BANDS
        % "{at_least: 200, points: 5}, {at_least: 100, points: 3}, {below: 10, points: -5}, {matches: a, points: 1}",
        BANDS
        % "{in: [1], points: 5}, {in: [true, 2], points: 3}, {exists: true, points: 1}, {exists: false, points: 2}",
        RULE % "where: {p: {in: [1], not_in: [true]}, q: {in: [a, b], not_in: [b]}}",
        CONDITION % "{attribute: {name: only_here, in: [true, 1, x]}}",
        CONDITION % "{count: {rules: [mail_click], at_least: 64, within: 365d}}",
        RULE % "exclude_burst: {at_least: 64, within: 0s}",
        RULE % "once_per: 'any field', where: {'context.page.path': 3}",
        "rules: {plumless: {event: e, points: 1}}\nthresholds: {buckeroo: {enter: 2, exit: 1}}",
    ],
)
def test_what_is_unusual_but_makes_sense_is_accepted(fragment: str) -> None:
    assert problems_of(minimal_with(fragment)) == []


def test_a_name_that_does_not_exist_is_reported_where_there_is_no_name_to_choose_from() -> None:
    assert lines_of("model: m\nversion: 1\nrules: {r: {event: e, points: 1, group: web}}") == [
        "model.yaml:3: rules.r.group: web: no such group, the model has no groups"
    ]


def test_words_that_look_like_something_else_stay_what_was_written() -> None:
    words = "[NO, yes, 010, 2026-01-05, 1:30, 1_0, true, +1, .5]"
    text = f"model: m\nversion: 1\nrules: {{r: {{event: e, points: 1, where: {{f: {{in: {words}}}}}}}}}"

    where = parse_model(text, "model.yaml").rules["r"].where["f"]

    assert where == Test(in_=["NO", "yes", "010", "2026-01-05", "1:30", "1_0", True, 1, 0.5])
    assert isinstance(where, Test)
    assert where.in_ is not None
    assert where.in_[6] is True


def test_keys_are_text_even_where_yaml_sees_a_number_or_a_truth_value() -> None:
    text = "model: m\nversion: 1\nrules: {404: {event: e, points: 1, where: {true: a, 7: b}}}"

    assert parse_model(text, "model.yaml").rules["404"].where == {"true": "a", "7": "b"}


def test_an_alias_means_what_it_stands_for() -> None:
    text = "model: m\nversion: 1\ngroups: {a: &a {max: 4}, b: *a}"

    assert parse_model(text, "model.yaml").groups["b"].max == 4


BOMB = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 10) if n else 'x'}]\n" for n in range(8))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "model.yaml:1: the text is empty: expected keys and values"),
        ("# nothing but a comment\n", "model.yaml:1: the text is empty"),
        ("- a", 'model.yaml:1: ["a"]: expected a mapping with keys out of model, version'),
        ("model: m\nversion: [1", "model.yaml:3: not YAML: while parsing a flow sequence"),
        ("model: m\n\tversion: 1", "model.yaml:2: not YAML: "),
        ("model: m\n---\nmodel: m", "model.yaml:2: not YAML: expected a single document"),
        ("model: *m", "model.yaml:1: not YAML: found undefined alias"),
        ("model: ä\nversion: \x00", "model.yaml:2: not YAML: the character U+0000, expected text"),
        ("model: \ud800", "model.yaml:1: not text: "),
        (
            "model: m\nversion: 1\nrules: !!python/object:os.system {}",
            "model.yaml:3: rules: the tag !!python/object:os.system",
        ),
        ("model: !!int m", "model.yaml:1: model: m: expected a number"),
        ("model: !secret m", "model.yaml:1: model: the tag !secret is not allowed"),
        ("? [a]\n: b", "model.yaml:1: a key that is no text"),
        ("[" * 100_000, "model.yaml:1: nested too deep"),
        ("model: m\nrules: &r {a: *r}", "model.yaml:2: rules"),
        (BOMB, "model.yaml:1: k5[3][6]"),
        ("#" * (1024 * 1024 + 1), "model.yaml:1: too large: expected at most 1048576 bytes"),
    ],
)
def test_text_that_is_no_plain_yaml_is_refused(text: str, problem: str) -> None:
    assert lines_of(text)[0].startswith(problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"model: m\nversion: \xff", ":2: the byte 0xff: expected UTF-8 text"), (b"x" * 2_000_000, ":1: too large")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(content)

    with pytest.raises(ModelError) as raised:
        load_model(path)

    assert str(raised.value).startswith(f"{path}{problem}")


def test_a_published_version_is_read_though_it_would_be_refused_today() -> None:
    text = minimal_with("thresholds: {mql: {enter: 50, exit: 60}}")
    assert problems_of(text)
    assert parse_model(text, "models, version 1", is_published=True).thresholds["mql"].exit == 60


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        load_model(tmp_path)

    assert str(raised.value) == f"{tmp_path}: cannot be read: Is a directory: expected a file of YAML"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(b"\xef\xbb\xbfmodel: m\nversion: 1\n")

    assert load_model(path).text == "model: m\nversion: 1\n"
