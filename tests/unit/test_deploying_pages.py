"""What docs/deploying.md and docs/upgrading.md say fits the chart, the Makefile and the formats."""

import re
from pathlib import Path

import yaml

from leadscore.log import records
from leadscore.scoring import old_states, state
from leadscore.store import fence
from tests.chart import CHART

ROOT = Path(__file__).resolve().parents[2]
DEPLOYING = (ROOT / "docs" / "deploying.md").read_text()
UPGRADING = (ROOT / "docs" / "upgrading.md").read_text()
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_page_on_deploying_names_targets_that_exist() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", DEPLOYING))
    assert named >= {"image-check", "chart", "sbom"}
    assert named - set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) == set()


def test_the_page_on_deploying_names_values_that_exist() -> None:
    [table] = re.findall(r"\| What \| Where \| Why so \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", DEPLOYING)
    places = {place for row in table.splitlines() for place in re.findall(r"`([a-z][A-Za-z.]+)`", row.split("|")[2])}
    assert {"keda", "secrets", "podMonitor"} <= places
    names = set(VALUES) | {
        f"{name}.{inner}" for name, values in VALUES.items() if isinstance(values, dict) for inner in values
    }
    assert places - names - {"minReadySeconds"} == set()
    assert "minReadySeconds" in VALUES["rollout"]


def test_the_example_of_secrets_on_the_page_is_made_of_values_that_exist() -> None:
    [example] = [block for block in re.findall(r"```yaml\n(.*?)```", DEPLOYING, re.DOTALL) if "secrets:" in block]
    assert yaml.safe_load(example).keys() <= VALUES.keys()


def test_the_page_on_upgrading_names_the_formats_of_this_version() -> None:
    said = re.search(
        r"lead states of format (\d+), fences of format (\d+) and log records of format (\d+)",
        UPGRADING.partition("## Going back")[2],
    )
    assert said is not None
    assert [int(number) for number in said.groups()] == [state.FORMAT, fence.FORMAT, records.FORMAT]


def test_the_page_on_upgrading_names_the_formats_of_the_version_before() -> None:
    said = re.search(r"lead states of format (\d+), fences and award log of format (\d+)", UPGRADING)
    assert said is not None
    of_states, of_the_rest = (int(number) for number in said.groups())
    assert of_states == old_states.FORMAT
    assert bytes([of_the_rest]) in fence.READABLE_FORMATS
    assert bytes([of_the_rest]) in records.READABLE_FORMATS
