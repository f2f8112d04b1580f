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


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--schema") == 0
    assert json.loads(capsys.readouterr().out) == model_schema()


@pytest.mark.parametrize("words", [[], ["--model", "x", "--schema"]])
def test_exactly_one_of_model_and_schema_is_expected(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run(*words)

    assert raised.value.code == 2
    assert "--schema" in capsys.readouterr().err
