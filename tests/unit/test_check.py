"""``leadscore check``."""

import argparse
import json
from pathlib import Path

import pytest

from leadscore.cli import check
from leadscore.errors import ModelError
from leadscore.model.json_schema import model_schema
from tests.unit.model_texts import EVERYTHING


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    check.add_parser(parser.add_subparsers(required=True))
    return check.run(parser.parse_args(["check", *words]))


def test_a_right_model_is_printed_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(EVERYTHING, encoding="utf-8")

    assert run("--model", str(path)) == 0
    assert capsys.readouterr().out.startswith("Model b2b-starter, version 3\n")


def test_a_wrong_model_prints_nothing_and_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("model: m\nversion: 1\nrule: {}\n", encoding="utf-8")

    with pytest.raises(ModelError) as raised:
        run("--model", str(path))

    assert str(raised.value) == f"{path}:3: rule: unknown key (did you mean rules?)"
    assert capsys.readouterr().out == ""


def test_a_tab_before_a_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    for text, reason in (
        ("model: m\n\tversion: 1\n", "while scanning a plain scalar, found a tab character that violates indentation"),
        ("rules:\n  \ta: b\n", "while scanning for the next token, found character that cannot start any token"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ModelError) as raised:
            run("--model", str(path))
        assert str(raised.value) == f"{path}:2: not YAML: {reason}: a tab: expected spaces before the key"


def test_typographic_quotes_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.yaml"
    rule = "  {name}: {{event: website.page_view, points: 1, where: {{path: {{matches: {pattern}}}}}}}\n"
    rules = rule.format(name="a", pattern="\u201c^/pricing\u201d") + rule.format(name="b", pattern='"^/it\u2019s"')
    path.write_text(f"model: m\nversion: 1\nrules:\n{rules}  # a note: \u201cprices\u201d\n", encoding="utf-8")
    assert run("--model", str(path)) == 0
    assert capsys.readouterr().err == f"warning: {path}:4: \u201c is part of the text: expected \" or '\n"


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--schema") == 0
    assert json.loads(capsys.readouterr().out) == model_schema()


@pytest.mark.parametrize("words", [[], ["--model", "x", "--schema"]])
def test_exactly_one_of_model_and_schema_is_expected(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run(*words)

    assert raised.value.code == 2
    assert "--schema" in capsys.readouterr().err


MISSPELT = (
    "warning: rules.r.points.field: minute: no number of this name in leadscore's schema of webinar.attended"
    " (did you mean minutes?); only JSON or a mapped topic could give one"
)


@pytest.mark.parametrize(("field", "warned"), [("minutes", []), ("minute", [MISSPELT])])
def test_points_out_of_a_field_that_is_no_number_in_our_schema_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, warned: list[str]
) -> None:
    model = tmp_path / "model.yaml"
    rule = f"{{event: [webinar.attended, call.held], points: {{field: {field}}}}}"
    model.write_text(f"model: m\nversion: 1\nrules: {{r: {rule}}}", encoding="utf-8")

    assert run("--model", str(model)) == 0
    assert capsys.readouterr().err.splitlines() == warned


def test_a_mapped_topic_may_give_a_number_under_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, mappings = tmp_path / "model.yaml", tmp_path / "mappings.yaml"
    model.write_text("model: m\nversion: 1\nrules: {r: {event: webinar.attended, points: {field: stay}}}")
    mappings.write_text("zoom: {type: webinar.attended}\n")

    assert run("--model", str(model), "--mappings", str(mappings)) == 0
    assert capsys.readouterr().err == ""
