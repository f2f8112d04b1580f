"""Which answers about known vulnerabilities are answers, and what is made of them."""

import json

import pytest

from tests import audit
from tests.audit import NotAsked, Vulnerability, main, vulnerabilities

CLEAN = {"name": "redis", "version": "8.1.0", "vulns": []}
SAMPLE = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"]}]}
VULNERABLE = {"name": "urllib3", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}]}
SKIPPED = {"name": "rich", "skip_reason": "Dependency not found on PyPI and could not be audited: rich (15.0.0)"}


def answer_of(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_an_answer_names_what_is_known_of_the_locked_versions_alone() -> None:
    assert vulnerabilities(answer_of(CLEAN, SAMPLE)) == []
    assert vulnerabilities(answer_of(VULNERABLE, CLEAN, SAMPLE)) == [
        Vulnerability("urllib3 1.0", "PYSEC-1", "1.1, 2.0")
    ]


def test_a_package_that_was_skipped_is_no_clean_one() -> None:
    with pytest.raises(NotAsked, match="no answer for 1 of 3 packages"):
        vulnerabilities(answer_of(CLEAN, SKIPPED, SAMPLE))


def test_a_database_that_knows_nothing_is_no_answer() -> None:
    with pytest.raises(NotAsked, match="does not know that jinja2"):
        vulnerabilities(answer_of(CLEAN, {**SAMPLE, "vulns": []}))


@pytest.mark.parametrize(
    ("said", "words", "code", "printed"),
    [
        (answer_of(CLEAN, SAMPLE), [], 0, "locked versions: 0\n"),
        (answer_of(VULNERABLE, SAMPLE), [], 1, "VULNERABLE: urllib3 1.0: PYSEC-1, fixed in 1.1, 2.0\n"),
        (answer_of(SKIPPED), [], 0, "NOT RUN: the database has no answer for 1 of 1 packages\n"),
        (answer_of(SKIPPED), ["--must-ask"], 1, "NOT RUN"),
    ],
)
def test_a_vulnerability_fails_and_no_answer_is_said_in_capitals(
    said: str,
    words: list[str],
    code: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "answer", lambda: said)
    assert main(words) == code
    assert printed in capsys.readouterr().out


def test_a_vulnerability_that_was_accepted_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "answer", lambda: answer_of(VULNERABLE, SAMPLE))
    monkeypatch.setattr(audit, "ACCEPTED", {"PYSEC-1": "only with proxies, which we do not use; 2026-11"})
    assert main([]) == 0
