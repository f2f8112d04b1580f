"""``make unit-all-pythons`` says which versions of Python were run and which were not."""

import sys
from pathlib import Path

import pytest

from tests import other_pythons

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_the_versions_of_the_classifiers_are_promised() -> None:
    assert other_pythons.promised_versions()[0] == "3.11"
    assert HERE in other_pythons.promised_versions()


def test_a_version_without_an_interpreter_is_reported_loudly_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(other_pythons, "promised_versions", lambda: [HERE, "3.99"])
    assert other_pythons.main() == 0
    assert "  3.99: NOT RUN: no python3.99 on the PATH or in pyenv\n" in capsys.readouterr().out


def test_a_version_that_fails_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(other_pythons, "promised_versions", lambda: [HERE, "3.98", "3.99"])
    monkeypatch.setattr(other_pythons, "outcome_on", {"3.98": "FAILED", "3.99": "passed"}.__getitem__)
    assert other_pythons.main() == 1
    assert "  3.98: FAILED\n  3.99: passed\n" in capsys.readouterr().out


def test_a_program_that_is_no_interpreter_of_the_version_is_not_used() -> None:
    assert other_pythons.is_version(Path(sys.executable), HERE)
    assert not other_pythons.is_version(Path(sys.executable), "3.99")
    assert not other_pythons.is_version(Path("/bin/false"), HERE)
