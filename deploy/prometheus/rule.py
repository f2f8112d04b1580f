"""Rules of Prometheus as values, and the form they have in its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """Whether to wake a person. A page is about what users notice, and there is something to do at once."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Recording:
    """An expression whose result is kept under a name of its own."""

    name: str
    expression: str

    def as_yaml(self) -> Mapping[str, Any]:
        """What stands in the file."""
        return {"record": self.name, "expr": self.expression}


@dataclass(frozen=True, slots=True)
class Alert:
    """An expression that returns what is wrong, and what to tell about it. ``summary`` is one line."""

    name: str
    severity: Severity
    expression: str
    lasts: str
    summary: str
    description: str
    keeps_firing: str = ""

    def as_yaml(self, runbooks: str) -> Mapping[str, Any]:
        """What stands in the file; ``runbooks`` is where the pages of docs/runbooks are."""
        keeps = {"keep_firing_for": self.keeps_firing} if self.keeps_firing else {}
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasts,
            **keeps,
            "labels": {"severity": self.severity.value},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks.rstrip('/')}/{self.name}.md",
            },
        }


Rule = Recording | Alert
