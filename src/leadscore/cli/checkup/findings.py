"""What a check-up finds: each finding says what was looked at, whether it is in order, and otherwise what to do."""

import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import msgspec

from leadscore.errors import InputError, LeadscoreError, Unavailable
from leadscore.model.phrases import counted
from leadscore.pipeline.kafka.deadline import Deadline

RETRY_S = 0.5
ASK_AGAIN = "Ask again; if it stays, look into the brokers' log."


class Status(StrEnum):
    """How a finding bears on a worker: only a problem keeps it from working as promised."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


class Finding(msgspec.Struct, frozen=True):
    """One finding. ``advice`` is empty where nothing has to be done."""

    check: str
    status: Status
    detail: str
    advice: str = ""


Findings = Iterator[Finding]


def ok(check: str, detail: str) -> Finding:
    """Nothing has to be done."""
    return Finding(check, Status.OK, detail)


def warning(check: str, detail: str, advice: str) -> Finding:
    """The worker works; something is less safe than it could be."""
    return Finding(check, Status.WARNING, detail, advice)


def problem(check: str, detail: str, advice: str) -> Finding:
    """The worker would not start, would stop, or could not keep its promise."""
    return Finding(check, Status.PROBLEM, detail, advice)


def not_checked(check: str, detail: str, advice: str) -> Finding:
    """Nothing is known: the question could not be asked, or got no answer."""
    return Finding(check, Status.NOT_CHECKED, detail, advice)


def refused(check: str, error: LeadscoreError, advice: str) -> Findings:
    """A problem for each line of an error."""
    return (problem(check, line, advice) for line in str(error).splitlines())


def unless_wrong(check: str, findings: Iterable[Finding], advice: str) -> Findings:
    """The findings, and problems in the place of an input that is wrong; other errors pass."""
    try:
        yield from findings
    except InputError as error:
        yield from refused(check, error, advice)


def once_answered(check: str, ask: Callable[[], Findings], advice: str, timeout_s: float) -> Findings:
    """What Kafka's answers show. Kafka is asked again for ``timeout_s`` while it gives none: leaders move."""
    deadline = Deadline(timeout_s)
    while True:
        try:
            answered = list(unless_wrong(check, ask(), advice))
        except Unavailable as outage:
            if not deadline.left_s:
                yield problem(check, str(outage), ASK_AGAIN)
                return
            time.sleep(RETRY_S)
        except LeadscoreError as error:
            yield problem(check, str(error), advice)
            return
        else:
            yield from answered
            return


def is_in_order(findings: Iterable[Finding]) -> bool:
    """Whether a worker can start: there may be warnings, and checks that could not be made."""
    return all(finding.status is not Status.PROBLEM for finding in findings)


def lines_of(findings: Iterable[Finding]) -> Iterator[str]:
    """The findings for people."""
    for finding in findings:
        yield f"{finding.status.value:<11}  {finding.check}: {finding.detail}"
        if finding.advice:
            yield f"{'':<11}  -> {finding.advice}"


def summary_of(findings: list[Finding]) -> str:
    """How many findings of each status, in one line."""
    counts = [(status, sum(finding.status is status for finding in findings)) for status in Status]
    return ", ".join(_counted(count, status) for status, count in counts if count or status is Status.PROBLEM)


def _counted(count: int, status: Status) -> str:
    """``1 problem``, ``2 problems``, ``3 ok``."""
    is_noun = status in (Status.WARNING, Status.PROBLEM)
    return counted(count, status.value) if is_noun else f"{count} {status.value}"
