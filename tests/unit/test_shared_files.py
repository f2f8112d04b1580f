"""Lanes that share test files run each of them, and each once."""

import sys
from os import environ
from pathlib import Path
from subprocess import run

from tests.servers import ROOT
from tests.shared_files import OPTION, taker


def test_a_file_belongs_to_the_first_run_that_comes_to_it(tmp_path: Path) -> None:
    one, other = taker(tmp_path), taker(tmp_path)
    assert one("tests/e2e/test_a.py")
    assert other("tests/e2e/test_b.py")
    assert [one("tests/e2e/test_a.py"), one("tests/e2e/test_b.py")] == [True, False]
    assert [other("tests/e2e/test_a.py"), other("tests/e2e/test_b.py")] == [False, True]


def test_files_that_another_run_has_taken_are_left_to_it_and_all_others_are_run(tmp_path: Path) -> None:
    assert taker(tmp_path)("tests/unit/test_pace.py")
    assert passed_files(tmp_path, "tests/unit/test_pace.py", "tests/unit/test_backoff.py") == {
        "tests/unit/test_backoff.py"
    }
    assert not taker(tmp_path)("tests/unit/test_backoff.py")


def test_what_a_folder_has_set_up_is_torn_down_also_where_its_last_file_is_another_runs(tmp_path: Path) -> None:
    """A test in another folder comes next: pytest refuses to set it up on what the first has left standing."""
    folders = {"one": ["ours", "others"], "two": ["ours_too"]}
    for folder, names in folders.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "conftest.py").touch()
        for name in names:
            (tmp_path / folder / f"test_{name}.py").write_text("def test_it() -> None: ...\n")
    (shared := tmp_path / "shared").mkdir()
    assert taker(shared)("one/test_others.py")
    files = ["one/test_ours.py", "one/test_others.py", "two/test_ours_too.py"]
    assert passed_files(shared, *files, cwd=tmp_path) == {"one/test_ours.py", "two/test_ours_too.py"}


def passed_files(folder: Path, *files: str, cwd: Path = ROOT) -> set[str]:
    """The files with tests that pass in a run that shares the folder; no test fails in it."""
    options = [OPTION, str(folder), "-v", "-p", "no:cacheprovider", "-p", "no:randomly"]
    if cwd != ROOT:
        options += ["-p", "tests.conftest", "--rootdir=.", "--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", *files, *options]
    paths = environ | {"PYTHONPATH": str(ROOT)}
    done = run(command, cwd=cwd, env=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return {line.partition("::")[0] for line in done.stdout.splitlines() if "PASSED" in line}
