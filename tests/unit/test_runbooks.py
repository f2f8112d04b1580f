"""Every alert has its runbook and every runbook its alert; what a runbook names exists."""

import argparse
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

import pytest

from deploy.grafana.panel import Panel
from deploy.grafana.write import dashboards
from deploy.prometheus.alerts import all_alerts
from deploy.prometheus.scale import Scale
from leadscore.cli.main import program_parser
from leadscore.errors import StopCause
from leadscore.ops.config import Config, settings, variable_of
from leadscore.ops.metrics import Metrics
from leadscore.store.keys import ShardKeys, owner_key

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "runbooks"
RUNBOOKS = sorted(FOLDER.glob("*.md"))
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
LOG_LINES = (ROOT / "docs" / "log-events.md").read_text(encoding="utf-8")
"""Every log line is on this page; so are those whose names the source puts together."""
PANELS = {
    place.content.title
    for dashboard in dashboards()
    for place in dashboard.places()
    if isinstance(place.content, Panel)
} | {dashboard.title for dashboard in dashboards()}
OF_PROMETHEUS_ITSELF = {"Targets"}


def part_of(path: Path, heading: str) -> str:
    return path.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " "))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert [path.stem for path in RUNBOOKS] == sorted(alert.name for alert in all_alerts(Scale()))


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_what_suffers_where_to_look_and_what_to_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert all(part.strip() for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_the_impact_is_told_in_leads_and_crossings(path: Path) -> None:
    assert re.search(r"\b(?:leads?|crossings?|sales)\b", part_of(path, "Impact"), re.IGNORECASE)


def test_every_cause_of_a_stopped_partition_is_in_its_runbook() -> None:
    causes = re.findall(r"^\| `(\w+)` \|", part_of(FOLDER / "LeadscorePartitionsStopped.md", "Diagnosis"), re.MULTILINE)
    assert sorted(causes) == sorted(StopCause)


def test_the_command_that_deletes_all_keys_of_a_deployment_leaves_none_and_takes_no_other() -> None:
    [pattern] = re.findall(r"--pattern '(.+?)'", part_of(FOLDER / "LeadscoreKeysEvicted.md", "Mitigation"))
    keys = ShardKeys(Config().redis_prefix, 3, 32)
    of_ours = (keys.lead("L 1"), keys.fence, keys.outbox, keys.due, keys.erased, owner_key(Config().redis_prefix))
    assert [key for key in of_ours if not fnmatchcase(key, pattern)] == []
    assert not fnmatchcase(ShardKeys("leadscore-2", 3, 32).fence, pattern)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_command_in_a_runbook_is_one_of_the_program(path: Path) -> None:
    for command in code_in(path.read_text(encoding="utf-8")):
        if command.startswith("leadscore "):
            accept(command)


def accept(command: str) -> None:
    """Its subcommands and options exist; what an option is given is not looked at."""
    parser: argparse.ArgumentParser = program_parser()
    for word in shlex.split(command)[1:]:
        subcommands = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
        if word.startswith("--"):
            assert word in parser._option_string_actions, f"{command}: {word}"
        elif subcommands is not None and word in subcommands.choices:
            parser = subcommands.choices[word]
        else:
            assert parser.prog != "leadscore", f"{command}: {word}"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_variables_metrics_log_lines_and_panels_in_a_runbook_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    variables = {variable_of(name) for name in settings()}
    metrics = {row.name for row in Metrics("0", []).described}
    for code in code_in(text):
        for name in re.findall(r"LEADSCORE_[A-Z_]+", code):
            assert name in variables or name.startswith("LEADSCORE_KAFKA__"), name
        for name in re.findall(r"\bleadscore_[a-z_]+", code):
            assert name in metrics, name
    for name in chain.from_iterable(log_lines_in(text)):
        assert f'"{name}"' in SOURCE or f"`{name}`" in LOG_LINES, name
    titles = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]*|leadscore: \w+)\*(?!\*)", text))
    assert titles - PANELS - OF_PROMETHEUS_ITSELF == set()


def log_lines_in(text: str) -> Iterator[list[str]]:
    """Names in a sentence that speaks of log lines."""
    for sentence in re.split(r"(?<=[.:])\s", text):
        if re.search(r"\blog lines?\b|\blines? `", sentence):
            yield [name for name in code_in(sentence) if re.fullmatch(r"[a-z]+(?:_[a-z]+)+", name)]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_the_pages_that_a_runbook_links_to_exist(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (FOLDER / link).is_file()] == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    for wrong in ("leadscore redrive", "leadscore dlq list --reasons malformed", "leadscore log --offset 3"):
        with pytest.raises(AssertionError):
            accept(wrong)
