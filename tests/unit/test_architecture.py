"""The shape of the source: no world in the core, imports from shell to core only, files with one reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "leadscore"

PURE = ("yaml_reading", "model", "events", "log", "scoring")
IMPURE_BY_DESIGN = {"events.registry"}  # HTTP to the schema registry, behind a callable

CLIENTS = {"confluent_kafka", "redis", "prometheus_client"}
WORLD = {"asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "random", "secrets", "socket", "ssl"}
WORLD |= {"subprocess", "sys", "threading", "time", "urllib"}
CLOCK_READINGS = {"now", "today", "utcnow"}

EVERYBODYS = {"errors", "readers", "time_units", "__version__"}
"""Modules that any other may import."""

# What each part may import of the others, besides: a package, or one module of it.
MAY_IMPORT = {
    "errors": set(),
    "readers": set(),
    "time_units": set(),
    "starter_files": set(),
    "yaml_reading": set(),
    "log": set(),
    "events": {"yaml_reading", "log.records", "scoring.crossing"},  # the crossing's value, to encode it
    "model": {"yaml_reading", "log.records", "events.event"},
    "scoring": {"log", "events.event", "model"},
    "store": {"log", "events", "model", "scoring"},
    "ops": {"yaml_reading", "log", "events", "model", "scoring", "store"},
    "pipeline": {"log", "events", "model", "scoring", "store", "ops"},
    "demo": {"log", "events", "model", "scoring", "store", "ops", "pipeline", "starter_files"},
    "cli": {"yaml_reading", "log", "events", "model", "scoring", "store", "ops", "pipeline", "demo", "starter_files"},
}

VAGUE_WORDS = {"base", "common", "handler", "handlers", "helper", "helpers", "manager", "service", "util", "utils"}
LONGEST_FILE = 400
LONGER_FILES = {
    "tests/deployment.py",  # one deployment on real servers: its topics, processes, outputs and state
    "tests/unit/test_oracle.py",  # the hand-computed cases of the oracle, section by section
    "tests/unit/test_other_products_bugs.py",  # one list of other products' bugs, in the order of its source
    "tests/mutants/table.py",  # one list of planted errors, in the order of the design
    "tests/oracle.py",  # the second opinion on all of scoring, read from top to bottom next to the design
    "tests/servers.py",  # one module for all servers, expected by its users: tests, make kafka, make redis
}
LONGEST_FUNCTION = 40


def module_name(path: Path) -> str:
    """``scoring.fold`` of ``src/leadscore/scoring/fold.py``."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
PURE_MODULES = [name for name in MODULES if name.split(".")[0] in PURE and name not in IMPURE_BY_DESIGN]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported name in full, wherever the import stands: ``time``, ``leadscore.model.load``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def worldly(source: str) -> list[str]:
    """What a pure module must not have: clients, the outside world, readings of the clock."""
    tree = ast.parse(source)
    found = [name for name in imports(tree) if name.split(".")[0] in CLIENTS | WORLD]
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return found + [ast.unparse(node) for node in attributes if node.attr in CLOCK_READINGS]


def uphill(module: str, source: str) -> list[str]:
    """The imports of our own that this module may not have."""
    part = module.partition(".")[0]
    ours = [name.removeprefix("leadscore.") for name in imports(ast.parse(source)) if name.startswith("leadscore.")]
    allowed = MAY_IMPORT[part] | EVERYBODYS | {part}
    return [name for name in ours if not any(name == way or name.startswith(f"{way}.") for way in allowed)]


def long_functions(source: str) -> list[str]:
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [function.name for function in functions if lines_of_code(function) > LONGEST_FUNCTION]


def lines_of_code(function: ast.FunctionDef) -> int:
    """The lines of its body, but for the docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_knows_no_client_and_no_world(module: str) -> None:
    assert worldly(MODULES[module].read_text()) == []


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_imports_go_one_way(module: str) -> None:
    assert uphill(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize("module", MODULES)
def test_no_import_is_relative(module: str) -> None:
    assert [name for name in imports(ast.parse(MODULES[module].read_text())) if name.startswith(".")] == []


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_longer_than_forty_lines(module: str) -> None:
    assert long_functions(MODULES[module].read_text()) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_for(module: str) -> None:
    path = MODULES[module]
    assert path.name == "__init__.py" or ast.get_docstring(ast.parse(path.read_text()))


def python_files() -> list[Path]:
    return [path for folder in ("src", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_is_long_without_being_listed() -> None:
    long = {str(path.relative_to(ROOT)) for path in python_files() if path.read_text().count("\n") > LONGEST_FILE}
    assert long == LONGER_FILES


def test_every_file_name_says_its_reason() -> None:
    vague = [path.name for path in python_files() if VAGUE_WORDS & set(path.stem.split("_"))]
    assert vague == []


# The checks themselves


@pytest.mark.parametrize(
    "planted",
    [
        "import time",
        "import os.path",
        "from logging import getLogger",
        "from concurrent import futures",
        "def f():\n    import redis",
        "from confluent_kafka import Producer",
        "from datetime import datetime\nSTARTED = datetime.now()",
    ],
)
def test_a_planted_piece_of_the_world_is_caught(planted: str) -> None:
    assert len(worldly(planted)) == 1


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("scoring.fold", "import leadscore.pipeline.worker"),
        ("scoring.fold", "from leadscore.store import redis_store"),
        ("model.load", "from leadscore.log import publication"),
        ("ops.config", "from leadscore.cli.main import main"),
        ("errors", "from leadscore import model"),
    ],
)
def test_a_planted_import_uphill_is_caught(module: str, planted: str) -> None:
    assert len(uphill(module, planted)) == 1


def test_an_import_downhill_is_not_caught() -> None:
    assert uphill("pipeline.worker", "from leadscore import __version__\nfrom leadscore.log import records") == []


def test_a_planted_long_function_is_caught() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert long_functions(f"def exact():\n{body}") == []
    assert long_functions(f"def long():\n    '''Doc.'''\n{body}    x = 2\n") == ["long"]
