"""Every kind of install has every file of the package: the schemas behind their link and the Lua file among them.

A wheel has extension modules where there is a C compiler, and works without.
"""

import os
import runpy
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.compiled_build import NoCompiler, compiled_build
from tests.conftest import on_ci
from tests.source_tree import ROOT, copy_tree

pytestmark = pytest.mark.timeout(600)  # a compiler on a busy machine takes minutes
STARTER = {"starter/model.yaml", "starter/mappings.yaml", "starter/leadscore.env"}
DATA = {"py.typed", "store/write_shard.lua", "schemas/crossing.avsc", "schemas/website_event.avsc"} | STARTER


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("tree"))


def expected_files(tree: Path) -> set[str]:
    package = tree / "src" / "leadscore"
    code = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    schemas = {
        f"schemas/{path.relative_to(tree / 'schemas').as_posix()}" for path in (tree / "schemas").rglob("*.json")
    }
    presets = {path.relative_to(package).as_posix() for path in package.glob("mapping/presets/*.yaml")}
    assert presets
    return code | DATA | schemas | presets


NO_COMPILER = {"CC": "no-such-compiler"}


def run_build(
    tree: Path, into: Path, kinds: Sequence[str], environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(into), str(tree)]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=500, check=False
    )


def build(tree: Path, into: Path, kinds: Sequence[str], environ: Mapping[str, str]) -> Path:
    """The wheel that is made; without ``kinds``, from the source distribution."""
    run = run_build(tree, into, kinds, environ)
    assert run.returncode == 0, run.stdout + run.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


def files_in(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    return {name.removeprefix("leadscore/") for name in names if name.startswith("leadscore/")}


def test_without_a_compiler_the_wheel_is_pure_and_has_every_file(tree: Path, tmp_path: Path) -> None:
    wheel = build(tree, tmp_path, ["--wheel"], NO_COMPILER)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert expected_files(tree) - files_in(wheel) == set()


def test_a_compiled_wheel_without_a_compiler_fails_and_says_why(tree: Path, tmp_path: Path) -> None:
    run = run_build(tree, tmp_path, ["--wheel"], NO_COMPILER | {"LEADSCORE_BUILD": "compiled"})
    assert run.returncode != 0
    assert "LEADSCORE_BUILD=compiled needs a C compiler and Python's headers: " in run.stdout + run.stderr
    assert list(tmp_path.glob("*.whl")) == []


def test_a_build_of_another_kind_is_refused(tree: Path, tmp_path: Path) -> None:
    run = run_build(tree, tmp_path, ["--wheel"], {"LEADSCORE_BUILD": "fast"})
    assert run.returncode != 0
    assert "LEADSCORE_BUILD is 'fast': expected 'compiled' or 'pure'" in run.stdout + run.stderr


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pure one from the source distribution, as an index has it."""
    return build(tree, tmp_path_factory.mktemp("dist"), [], {"LEADSCORE_BUILD": "pure"})


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_wheel_from_the_source_distribution_has_every_file(tree: Path, wheel: Path) -> None:
    assert expected_files(tree) - files_in(wheel) == set()
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:  # without it, no wheel from here is compiled
        assert any(name.endswith("/setup.py") for name in archive.getnames())


@pytest.fixture(scope="module")
def compiled() -> Path:
    """The folder that a compiled wheel was installed into."""
    try:
        return compiled_build()
    except NoCompiler as failure:
        if on_ci():
            raise
        pytest.skip(f"no C compiler here: {failure}")


def test_a_compiled_wheel_has_every_file_and_the_extension_modules(compiled: Path, tree: Path) -> None:
    package = compiled / "leadscore"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert expected_files(tree) - files == set()
    modules: list[str] = runpy.run_path(str(tree / "setup.py"))["COMPILED"]
    extensions = {module.removesuffix(".py") + EXTENSION_SUFFIXES[0] for module in modules}
    assert {name for name in files if name.endswith(EXTENSION_SUFFIXES[0])} == extensions


def test_a_compiler_that_works_is_found(tree: Path) -> None:
    assert runpy.run_path(str(tree / "setup.py"))["compiler_problem"]() is None


@pytest.mark.parametrize(("install", "build_kind"), [("installed", "pure"), ("compiled", "compiled")])
def test_the_version_says_what_is_installed(
    install: str, build_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    program = 'import leadscore.cli.main\nleadscore.cli.main.main(["--version"])'
    run = run_installed(request.getfixturevalue(install), tmp_path, program)
    assert run.stdout == f"leadscore 0.1.0 ({build_kind}, Python {sys.version_info.major}.{sys.version_info.minor})\n"


def run_installed(installed: Path, folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the package as it was installed, in a folder."""
    program = f"import sys\nsys.path.insert(0, {str(installed)!r})\n{program}"
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)


def test_what_was_installed_from_a_wheel_starts(installed: Path, tmp_path: Path) -> None:
    program = f"""
from importlib.resources import files
import leadscore.cli.main
assert leadscore.__file__.startswith({str(installed)!r}), leadscore.__file__
for name in {sorted(DATA)!r}:
    files("leadscore").joinpath(name).read_bytes()
sys.exit(leadscore.cli.main.main(["--version"]))
"""
    run = run_installed(installed, tmp_path, program)
    assert run.returncode == 0, run.stderr
    assert "0.1.0" in run.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--duration", "1", "--leads", "20", "--json"],
        ["init", "scoring"],
        ["map", "--print-preset", "salesforce"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_was_installed_from_a_wheel_needs_nothing_of_the_repository(
    installed: Path, tmp_path: Path, arguments: list[str]
) -> None:
    program = f"import leadscore.cli.main\nsys.exit(leadscore.cli.main.main({arguments!r}))"
    run = run_installed(installed, tmp_path, program)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_install_these_tests_run_on_has_every_file() -> None:
    missing = [name for name in sorted(expected_files(ROOT)) if not files("leadscore").joinpath(name).is_file()]
    assert missing == []
