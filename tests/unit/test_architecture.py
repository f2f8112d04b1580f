"""The shape of the source: no world in the core, imports from shell to core only, files with one reason."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "leadscore"

PURE = ("yaml_reading", "model", "events", "log", "mapping", "scoring")
IMPURE_BY_DESIGN = {"events.registry"}  # HTTP to the schema registry, behind a callable

CLIENTS = {"confluent_kafka", "redis", "prometheus_client"}
WORLD = {"asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "random", "secrets", "socket", "ssl"}
WORLD |= {"subprocess", "sys", "threading", "time", "urllib"}
CLOCK_READINGS = {"now", "today", "utcnow"}

EVERYBODYS = {"build_kind", "errors", "readers", "time_units", "__version__"}
"""Modules that any other may import."""

# What each part may import of the others, besides: a package, or one module of it.
MAY_IMPORT = {
    "build_kind": set(),
    "errors": set(),
    "readers": set(),
    "time_units": set(),
    "starter_files": set(),
    "yaml_reading": set(),
    "log": set(),
    # The values of a crossing and of a latest score, to encode them.
    "events": {"yaml_reading", "log.records", "scoring.crossing", "scoring.latest_score"},
    "model": {"yaml_reading", "log.records", "events.event"},
    "mapping": {"yaml_reading", "log.records", "events", "model.field_tests", "model.value_sets"},
    "scoring": {"log", "events.event", "model"},
    "store": {"log", "events", "model", "scoring"},
    "ops": {"yaml_reading", "log", "events", "model", "scoring", "store"},
    "pipeline": {"log", "events", "mapping", "model", "scoring", "store", "ops"},
    "demo": {"log", "events", "mapping", "model", "scoring", "store", "ops", "pipeline", "starter_files"},
    "cli": {
        *{"yaml_reading", "log", "events", "mapping", "model", "scoring", "store", "ops", "pipeline", "demo"},
        "starter_files",
    },
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
TEST_FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}
EXAMPLES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "examples").rglob("*.py"))}
CLAIM = re.compile(r"\bpure\b", re.IGNORECASE)


class Parsed:
    """A piece of source, parsed and walked once."""

    def __init__(self, source: str) -> None:
        self.lines = source.count("\n")
        tree = ast.parse(source)
        self.docstring = ast.get_docstring(tree) or ""
        nodes = list(ast.walk(tree))
        self.functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        self.attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
        self.imports = [name for node in nodes for name in imported(node)]
        """Every imported name in full, wherever the import stands: ``time``, ``leadscore.model.load``."""

    @property
    def claims_to_be_pure(self) -> bool:
        """Whether the first paragraph of its docstring says so."""
        return CLAIM.search(self.docstring.partition("\n\n")[0]) is not None


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


@cache
def parsed(path: Path) -> Parsed:
    return Parsed(path.read_text())


def is_pure(module: str) -> bool:
    """Whether it is in a pure package, or claims to be pure."""
    if module in IMPURE_BY_DESIGN:
        return False
    return module.split(".", maxsplit=1)[0] in PURE or parsed(MODULES[module]).claims_to_be_pure


PURE_MODULES = [module for module in MODULES if is_pure(module)]
VALUES = {"", "errors", "starter_files", "time_units", "__version__"}
"""Modules that a pure one may import though they do not say that they are pure."""


def worldly(source: Parsed) -> list[str]:
    """What a pure module must not have: clients, the outside world, readings of the clock."""
    clients = [name for name in source.imports if name.split(".")[0] in CLIENTS | WORLD]
    return clients + [ast.unparse(node) for node in source.attributes if node.attr in CLOCK_READINGS]


def impure_imports(source: Parsed) -> list[str]:
    """The modules of our own that it imports and that are not pure."""
    ours = [name.removeprefix("leadscore.") for name in source.imports if name.startswith("leadscore.")]
    modules = {name if name in MODULES else name.rpartition(".")[0] for name in ours}
    return sorted(modules - set(PURE_MODULES) - VALUES)


def uphill(module: str, source: Parsed) -> list[str]:
    """The imports of our own that this module may not have."""
    part = module.partition(".")[0]
    ours = [name.removeprefix("leadscore.") for name in source.imports if name.startswith("leadscore.")]
    allowed = MAY_IMPORT[part] | EVERYBODYS | {part}
    return [name for name in ours if not any(name == way or name.startswith(f"{way}.") for way in allowed)]


def long_functions(source: Parsed) -> list[str]:
    return [function.name for function in source.functions if lines_of_code(function) > LONGEST_FUNCTION]


def from_test_modules(source: Parsed) -> list[str]:
    """What it imports from a module of tests."""
    ours = [name for name in source.imports if name.startswith("tests.")]
    return [name for name in ours if any(part.startswith("test_") for part in name.split(".")[:-1])]


def lines_of_code(function: ast.FunctionDef) -> int:
    """The lines of its body, but for the docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_knows_no_client_and_no_world(module: str) -> None:
    assert worldly(parsed(MODULES[module])) == []


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_imports_pure_modules_only(module: str) -> None:
    assert impure_imports(parsed(MODULES[module])) == []


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_imports_go_one_way(module: str) -> None:
    assert uphill(module, parsed(MODULES[module])) == []


@pytest.mark.parametrize("module", MODULES)
def test_no_import_is_relative(module: str) -> None:
    assert [name for name in parsed(MODULES[module]).imports if name.startswith(".")] == []


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_longer_than_forty_lines(module: str) -> None:
    assert long_functions(parsed(MODULES[module])) == []


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_is_short_says_what_it_is_for_and_needs_nothing_of_ours(file: str) -> None:
    example = parsed(EXAMPLES[file])
    assert long_functions(example) == []
    assert example.docstring
    assert [name for name in example.imports if name.split(".")[0] in ("leadscore", "tests")] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_for(module: str) -> None:
    path = MODULES[module]
    assert path.name == "__init__.py" or parsed(path).docstring


@pytest.mark.parametrize("file", TEST_FILES)
def test_what_several_tests_use_is_in_no_module_of_tests(file: str) -> None:
    assert from_test_modules(parsed(TEST_FILES[file])) == []


def python_files() -> list[Path]:
    return [*MODULES.values(), *TEST_FILES.values(), *EXAMPLES.values()]


def test_no_file_is_long_without_being_listed() -> None:
    long = {str(path.relative_to(ROOT)) for path in python_files() if parsed(path).lines > LONGEST_FILE}
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
    assert len(worldly(Parsed(planted))) == 1


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
    assert len(uphill(module, Parsed(planted))) == 1


def test_an_import_downhill_is_not_caught() -> None:
    source = "from leadscore import __version__\nfrom leadscore.log import records"
    assert uphill("pipeline.worker", Parsed(source)) == []


def test_a_planted_long_function_is_caught() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert long_functions(Parsed(f"def exact():\n{body}")) == []
    assert long_functions(Parsed(f"def long():\n    '''Doc.'''\n{body}    x = 2\n")) == ["long"]


@pytest.mark.parametrize(
    ("planted", "impure"),
    [
        ("from leadscore.store.redis_store import RedisStore", ["store.redis_store"]),
        ("from leadscore.events import registry", ["events.registry"]),
        ("import leadscore.pipeline.worker", ["pipeline.worker"]),
        ("from leadscore.errors import ConfigError\nfrom leadscore.store.keys import Keys", []),
    ],
)
def test_a_planted_import_of_what_is_not_pure_is_caught(planted: str, impure: list[str]) -> None:
    assert impure_imports(Parsed(planted)) == impure


def test_a_module_is_pure_by_its_first_paragraph() -> None:
    assert Parsed('"""Keys. Pure."""').claims_to_be_pure
    assert not Parsed('"""Keys.\n\nThe caller is pure."""').claims_to_be_pure


def test_modules_outside_the_pure_packages_are_held_to_their_claim() -> None:
    assert {"pipeline.score.reconcile", "pipeline.match.alignment", "store.fence"} <= set(PURE_MODULES)


def test_a_planted_import_from_a_module_of_tests_is_caught() -> None:
    assert from_test_modules(Parsed("from tests.unit.test_demo import CROSSING")) == ["tests.unit.test_demo.CROSSING"]
    assert from_test_modules(Parsed("from tests.unit.semantics import run")) == []
