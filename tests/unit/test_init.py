"""``leadscore init``: what it writes can be used as it is, and it overwrites nothing."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.mapping.load import load_mappings
from leadscore.model.load import load_model
from leadscore.ops.config import load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS

FILES = {"model.yaml", "mappings.yaml", "leadscore.env"}


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "of my own" / "scoring"
    assert main(["init", str(folder)]) == 0
    capsys.readouterr()
    return folder


def variables(text: str) -> dict[str, str]:
    """As Docker and systemd read an environment file: no quotes, no expansion, a number sign begins a comment line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def every_variable(text: str) -> dict[str, str]:
    """With those that are commented out."""
    return variables(re.sub("^#(?=LEADSCORE_)", "", text, flags=re.MULTILINE))


def test_it_writes_three_files_and_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == FILES
    said = capsys.readouterr().out
    assert all(f"{tmp_path / 'new' / name} " in said for name in FILES)
    assert f"leadscore check --model {tmp_path / 'new' / 'model.yaml'}\n" in said


def test_what_to_do_next_can_be_copied_where_the_folder_has_a_blank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my scoring"
    assert main(["init", str(folder)]) == 0
    (check,) = re.findall("leadscore (check .*)", capsys.readouterr().out)
    assert main(shlex.split(check)) == 0


def test_check_passes_on_the_model_and_on_the_mappings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--model", str(folder / "model.yaml")]) == 0
    assert "b2b-starter" in capsys.readouterr().out
    assert main(["check", "--mappings", str(folder / "mappings.yaml")]) == 0
    assert capsys.readouterr().out == "3 topics: crm.stages, shop.events, tracking\n"


def test_the_environment_file_is_a_configuration_the_worker_starts_with(folder: Path) -> None:
    config = load_config(
        variables((folder / "leadscore.env").read_text()), required=[BOOTSTRAP_SERVERS, "LEADSCORE_MODEL"]
    )
    assert config.model is not None
    assert load_model(folder / config.model).definition.model == "b2b-starter"
    assert config.mappings is None


def test_what_is_commented_out_in_the_environment_file_is_right_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = every_variable((folder / "leadscore.env").read_text())
    secret = tmp_path / "secret"
    secret.write_text("of the test\n")
    config = load_config({name: str(secret) if name.endswith("_FILE") else text for name, text in environ.items()})
    monkeypatch.chdir(folder)
    assert config.mappings is not None
    assert load_mappings(config.mappings).keys() == {"crm.stages", "shop.events", "tracking"}
    assert {"crm.stages", "shop.events", "tracking"} < set(config.source_topics)


def test_a_shell_can_read_the_environment_file(folder: Path) -> None:
    script = "set -eu; set -a; . ./leadscore.env; set +a; env"
    said = subprocess.run(
        ["sh", "-c", script], cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    assert variables((folder / "leadscore.env").read_text()).items() <= variables(said.stdout.decode()).items()


def test_the_model_names_no_file_of_the_repository(folder: Path) -> None:
    text = (folder / "model.yaml").read_text()
    assert "deploy/" not in text
    assert "../" not in text
    assert "`leadscore check --model model.yaml`" in text


@pytest.mark.parametrize("name", sorted(FILES))
def test_it_overwrites_nothing_and_then_writes_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
    assert f"DIR: {tmp_path}: {name}: already there" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "below")]) == 2
    assert "expected a folder that can be written" in capsys.readouterr().err
