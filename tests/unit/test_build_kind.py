"""Which build runs, and which modules it has compiled."""

import ast
import os
import re
import runpy
import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from leadscore import __version__
from leadscore.build_kind import COMPILED, PURE, build_kind, full_version
from leadscore.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
MODULES: list[str] = runpy.run_path(str(ROOT / "setup.py"))["COMPILED"]


def test_the_build_that_is_tested_is_the_one_that_was_asked_for() -> None:
    assert build_kind() == os.environ.get("LEADSCORE_TEST_BUILD", build_kind())


@pytest.mark.parametrize("module", MODULES)
def test_every_listed_module_is_compiled_or_none_is(module: str) -> None:
    loaded = import_module("leadscore." + module.removesuffix(".py").replace("/", "."))
    is_compiled = str(loaded.__file__).endswith(tuple(EXTENSION_SUFFIXES))
    assert is_compiled == (build_kind() == COMPILED)


@pytest.mark.parametrize("module", MODULES)
def test_no_compiled_module_defines_a_struct(module: str) -> None:
    assert structs((ROOT / "src" / "leadscore" / module).read_text()) == []


def structs(source: str) -> list[str]:
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if any(ast.unparse(base).endswith("Struct") for base in node.bases)]


def test_a_planted_struct_is_caught() -> None:
    assert structs("class Planted(msgspec.Struct, frozen=True):\n    x: int") == ["Planted"]


def test_tests_that_replace_functions_of_compiled_modules_say_so() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "tests" / "unit").glob("test_*.py")}
    replacing = {name for name, text in texts.items() if replaced_modules(text) & set(MODULES)}
    assert {"test_spared_work.py", "test_sure_stay.py"} <= replacing
    assert {name for name in replacing if "OF_THE_SOURCE" not in texts[name]} == set()


def replaced_modules(source: str) -> set[str]:
    """The modules of whose names a test replaces one."""
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    paths = {
        alias.asname or alias.name: f"{(node.module or '').removeprefix('leadscore.')}/{alias.name}.py"
        for node in imports
        for alias in node.names
    }
    return {paths[name] for name in re.findall(r"setattr\((\w+)[.,]", source) if name in paths}


def test_the_version_says_which_build_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert capsys.readouterr().out == f"leadscore {__version__} ({build_kind()}, Python {python})\n"
    assert build_kind() in (COMPILED, PURE)
    assert full_version().startswith(__version__)


def test_the_build_needs_the_mypy_that_the_lock_pins() -> None:
    build = (ROOT / "pyproject.toml").read_text().partition("[project]")[0]
    pinned = re.search(r"^mypy==(.*)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f'"mypy=={pinned[1]}"' in build
