"""Every kind of install has every file of the package: the schemas behind their link and the Lua file among them."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.source_tree import ROOT, copy_tree

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
    return code | DATA | schemas


def build(tree: Path, into: Path, *kinds: str) -> Path:
    """The pure wheel that is made; without ``kinds``, from the source distribution."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(into), str(tree)]
    run = subprocess.run(
        command, env=os.environ | {"LEADSCORE_BUILD": "pure"}, capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


def files_in(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    return {name.removeprefix("leadscore/") for name in names if name.startswith("leadscore/")}


def test_a_wheel_from_the_tree_has_every_file(tree: Path, tmp_path: Path) -> None:
    assert expected_files(tree) - files_in(build(tree, tmp_path, "--wheel")) == set()


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From the source distribution, as an index has it."""
    return build(tree, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_wheel_from_the_source_distribution_has_every_file(tree: Path, wheel: Path) -> None:
    assert expected_files(tree) - files_in(wheel) == set()


def run_installed(installed: Path, folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the package as it was installed, in a folder."""
    program = f"import sys\nsys.path.insert(0, {str(installed)!r})\n{program}"
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


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
    [["demo", "--duration", "1", "--leads", "20", "--json"], ["init", "scoring"]],
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
