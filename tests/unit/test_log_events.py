"""docs/log-events.md lists every event that the worker logs, with its level, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "leadscore"
PAGE = (ROOT / "docs" / "log-events.md").read_text(encoding="utf-8")
LEVEL_METHODS = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "error"}
LASTING = {"OngoingLog": slice(1, 3), "OutageLog": slice(0, 2)}
"""Which arguments are the events of a condition that lasts: when it begins, and when it is over."""
NAMED_BY_VARIABLE = {
    "ops/ongoing.py": set[str](),  # what it is made with
    "ops/services.py": set[str](),
    "pipeline/score/announcements.py": {"shards_started", "state_regression", "state_rebuild"},
}
"""Modules that log under a name that is no constant where they log it, and the names."""
OF_LIBRARIES = {"kafka_client", "library_log"}


def listed() -> dict[str, str]:
    """The events of the page, and their levels."""
    return dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE))


def calls(source: str) -> Iterator[tuple[str, list[ast.expr]]]:
    """What logs: the method or class, and its arguments."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called, arguments = node.func, node.args
        if ast.unparse(called) == "partial" and arguments:
            called, arguments = arguments[0], arguments[1:]
        if isinstance(called, ast.Name) and called.id in LASTING:
            yield called.id, arguments[LASTING[called.id]]
        elif isinstance(called, ast.Attribute) and ast.unparse(called.value) in ("_log", "self._logger"):
            yield called.attr, arguments[1:2] if called.attr == "log" else arguments[:1]
        elif "_log.error" in [ast.unparse(keyword.value) for keyword in node.keywords]:  # a thread's target
            [args] = [keyword.value for keyword in node.keywords if keyword.arg == "args"]
            assert isinstance(args, ast.Tuple)
            yield "error", args.elts


def logged(module: str, source: str) -> dict[str, str | None]:
    """The events of a module, and their levels where the call says it."""
    events: dict[str, str | None] = {}
    for method, names in calls(source):
        for name in names:
            if isinstance(name, ast.Constant):
                level = LEVEL_METHODS.get(method)
                assert isinstance(name.value, str)
                events[name.value] = level
            else:
                assert module in NAMED_BY_VARIABLE, f"{module}: {ast.unparse(name)}"
    return events


def all_logged() -> dict[str, str | None]:
    events: dict[str, str | None] = {}
    for path in SOURCE.rglob("*.py"):
        if "cli" not in path.parts or path.name == "run.py":  # other commands print, and log nothing
            events |= logged(str(path.relative_to(SOURCE)), path.read_text(encoding="utf-8"))
    return events


def test_the_page_lists_every_event_and_no_other() -> None:
    by_variable = set[str]().union(*NAMED_BY_VARIABLE.values())
    assert listed().keys() == all_logged().keys() | by_variable | OF_LIBRARIES


def test_the_page_has_the_level_of_every_event() -> None:
    page = listed()
    levels = {name: level for name, level in all_logged().items() if level is not None}
    assert {name: page[name] for name in levels} == levels


def test_an_event_that_is_named_by_a_variable_stands_in_its_module() -> None:
    for module, names in NAMED_BY_VARIABLE.items():
        source = (SOURCE / module).read_text(encoding="utf-8")
        assert {name for name in names if f'"{name}"' not in source} == set()


def test_a_row_says_what_to_do_and_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize(
    "source",
    [
        '_log.info("planted")',
        'partial(_log.info, "planted")',
        'OngoingLog(_log, "planted", "planted")',
        'OutageLog("planted", "planted", {})',
        'Thread(target=_log.error, args=("planted",))',
        'self._logger.log(level, "planted")',
    ],
)
def test_an_event_is_found_in_whatever_way_it_is_logged(source: str) -> None:
    assert logged("x.py", source).keys() == {"planted"}


def test_an_event_whose_name_is_put_together_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"x\.py"):
        logged("x.py", '_log.info(f"{what}_planted")')
