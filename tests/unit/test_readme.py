"""What the README and the pages it links say exists: commands, options, targets, variables, files, tests, headers."""

import re
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from leadscore.cli.ending import Exit
from leadscore.cli.main import COMMANDS, main
from leadscore.cli.run import CRASH_VARIABLE
from leadscore.events.local_schemas import schema_texts
from leadscore.model.load import parse_model
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import KAFKA_PREFIX
from leadscore.pipeline.score.publishing import crossing_output, json_encoding
from leadscore.scoring.crossing import Crossing
from tests.unit.sample_crossing import CROSSING

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PROMISE = (ROOT / "docs" / "promise.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SUBSCRIBERS = (ROOT / "docs" / "subscribers.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "schemas" / "README.md",
    *sorted((ROOT / "examples").rglob("*.md")),
]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
UNDERSTOOD = 77

PEOPLE = [(ROOT / "docs" / f"for-{people}.md").read_text() for people in ("platform-engineers", "sres", "marketing")]
FRONT = "\n".join([README, *PEOPLE, (ROOT / "docs" / "limits.md").read_text()])
"""The README and the pages that it sends people to first."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(language: str) -> list[str]:
    return [text for tag, text in BLOCK.findall(README) if tag == language]


def inline(page: str = README) -> list[str]:
    """What stands between single backticks."""
    return CODE.findall(BLOCK.sub("", page))


def command_lines() -> list[str]:
    """Every command of the README and of the pages for people, without what is said about it."""
    in_blocks = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in (*in_blocks, *inline("\n".join([README, *PEOPLE]))) if line]


LEADSCORE = sorted({line for line in command_lines() if line.startswith("leadscore ")})
MAKE = sorted({line.split()[1] for line in command_lines() if line.startswith("make ")})


def test_the_readme_names_the_two_commands_first() -> None:
    first = next(block for block in blocks("sh"))
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
    assert len(LEADSCORE) > 12


@pytest.mark.parametrize("line", LEADSCORE)
def test_every_command_of_the_readme_is_one_the_program_knows(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = shlex.split(line)[1:]
    do_nothing(monkeypatch)
    if not {"--help", "--version"}.isdisjoint(command):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
    else:
        assert main(command) == UNDERSTOOD


def do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program read its options, and then only say that it understood them."""
    for name in (*COMMANDS, "accept_gap", "accept_source_gap"):
        monkeypatch.setattr(import_module(f"leadscore.cli.{name}"), "run", lambda _args: UNDERSTOOD)


@pytest.mark.parametrize("target", MAKE)
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_variable_of_the_readme_exists() -> None:
    variables = {f"LEADSCORE_{field.name.removesuffix('_ms').upper()}" for field in fields(Config)}
    variables |= {CRASH_VARIABLE, "LEADSCORE_BUILD"}
    named = set(re.findall(r"LEADSCORE_[A-Z_]*[A-Z]", FRONT))
    assert len(named) > 10
    assert {name for name in named if not name.startswith(KAFKA_PREFIX)} - variables == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def anchors(page: Path) -> set[str]:
    """What a link may name after its ``#``: the headings, as GitHub writes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *RUNBOOKS], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_heading_leads_somewhere(page: Path) -> None:
    links = [link.split("#") for link in LINK.findall(page.read_text()) if "#" in link and "://" not in link]
    of_pages = [(page.parent / file if file else page, anchor) for file, anchor in links]
    assert [anchor for file, anchor in of_pages if file.suffix == ".md" and anchor not in anchors(file)] == []


def test_the_link_check_sees_the_links() -> None:
    assert {"docs/model.md", "docs/metrics.md", "docs/configuration.md", "docs/subscribers.md"} <= set(
        LINK.findall(README)
    )


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_file_that_the_page_names_exists(page: str) -> None:
    named = {text for text in inline(page) if re.fullmatch(r"[\w.-]+(/[\w.-]+)+", text)}
    assert len(named) > 2
    assert [name for name in named if not name.startswith("/") and not (ROOT / name).exists()] == []


def layout_packages() -> list[str]:
    """The packages in the order of the README's layout."""
    layout = README.partition("## Layout")[2].partition("## Development")[0]
    return re.findall(r"^  (\w+)/", layout, re.MULTILINE)


def test_the_layout_names_every_package_and_folder() -> None:
    layout = README.partition("## Layout")[2].partition("## Development")[0]
    packages = {path.name for path in (ROOT / "src" / "leadscore").iterdir() if (path / "__init__.py").exists()}
    assert sorted(packages) == sorted(layout_packages())
    assert all(
        (ROOT / folder).is_dir() for folder in re.findall(r"^(\w[\w/]*)/? ", layout, re.MULTILINE) if "/" in folder
    )


def test_every_page_of_the_docs_is_in_the_layout() -> None:
    (line,) = re.findall(r"^docs/ +(.*)$", README, re.MULTILINE)
    assert sorted(line.split(", ")) == sorted(page.stem for page in (ROOT / "docs").glob("*.md"))


def test_the_readme_and_contributing_have_one_order_of_packages() -> None:
    named = CONTRIBUTING.partition("from the core to the shell: ")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", named) == layout_packages()


def test_a_package_imports_only_from_those_above_it_in_the_layout() -> None:
    above: list[str] = []
    uphill = []
    for package in layout_packages():
        for path in (ROOT / "src" / "leadscore" / package).rglob("*.py"):
            imports = re.findall(r"^ *from leadscore\.((\w+)[\w.]*) import", path.read_text(), re.MULTILINE)
            uphill += [
                (package, module) for module, of in imports if of in layout_packages() and of not in (*above, package)
            ]
        above.append(package)
    assert set(uphill) == {("events", "scoring.crossing"), ("events", "scoring.latest_score")}


def test_every_test_that_the_readme_or_the_promise_names_exists() -> None:
    named = {text for text in inline(README) + inline(PROMISE) if text.startswith("test_")}
    there = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert len(named) > 5
    assert named - there == set()


def test_the_model_of_the_readme_is_a_model() -> None:
    [text] = blocks("yaml")
    assert parse_model(text, "README.md").thresholds.keys() == {"mql"}


def test_the_figures_of_the_readme_are_those_of_the_page_of_benchmarks() -> None:
    row = re.compile(r"^\| (match|score|match \+ score) \| ([^|]+) \| ([^|]+) \| ([0-9.]+) \|", re.MULTILINE)
    stages = (ROOT / "docs" / "benchmarks.md").read_text().partition("\n## Stages\n")[2].partition("\n## ")[0]
    assert row.findall(README) == row.findall(stages)
    assert len(row.findall(README)) == 3


def test_the_page_for_subscribers_has_every_field_of_a_crossing() -> None:
    rows = SUBSCRIBERS.partition("## Value")[2]
    named = {name for row in re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    schema = {field["name"] for field in msgspec.json.decode(schema_texts()["crossing"])["fields"]}
    assert schema <= named
    assert {name.removesuffix("_ms") for name in Crossing.__struct_fields__} <= named


def test_the_page_for_subscribers_has_every_header() -> None:
    named = set(
        re.findall(
            r"^\| `([\w-]+)` \|", SUBSCRIBERS.partition("## Key and headers")[2].partition("## Value")[0], re.MULTILINE
        )
    )
    assert named == {name for name, _ in crossing_output(CROSSING, json_encoding()).headers}


@pytest.mark.parametrize("page", [FRONT, (ROOT / "docs" / "metrics.md").read_text()], ids=["for-sres", "metrics"])
def test_the_grace_period_of_the_page_is_longer_than_the_worker_takes_to_end(page: str) -> None:
    drain_s = load_config({}).drain_timeout_ms / 1000
    periods_s = [int(seconds) for seconds in re.findall(r"terminationGracePeriodSeconds: (\d+)", page)]
    assert periods_s
    assert min(periods_s) > drain_s + 5


def test_the_page_for_sres_names_every_exit_code() -> None:
    (line,) = re.findall(r"^- \*\*Exit codes\*\* .*$", FRONT, re.MULTILINE)
    assert [int(code) for code in re.findall(r"\b\d\b", line)] == sorted(Exit)
