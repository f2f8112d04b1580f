"""The program around the commands: words that no command knows, and an output that cannot be written."""

import subprocess
import sys
from pathlib import Path

import pytest

from leadscore.cli.main import main
from tests.source_tree import ROOT

MODEL = str(ROOT / "deploy" / "model.yaml")
LEADSCORE = [sys.executable, "-m", "leadscore.cli.main"]
FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["check", MODEL], "usage: leadscore check [-h] [--model FILE"),
        (["schemas", "print", "crossing", "--raw"], "usage: leadscore schemas print"),
        (["log", "accept-gap", "--partition", "1", "--lead", "L1"], "usage: leadscore log accept-gap"),
    ],
)
def test_a_word_that_the_command_does_not_know_is_refused_with_its_usage(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(usage)
    assert "error: unrecognized arguments: " in message


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    "words", [["check", "--model", MODEL], ["produce", "--print"], ["schemas", "print", "asyncapi"]]
)
def test_a_full_disk_is_told_in_one_line(words: list[str]) -> None:
    with FULL.open("wb") as full:
        ended = subprocess.run([*LEADSCORE, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    *_, last = ended.stderr.splitlines()
    assert last == "leadscore: standard output: No space left on device: expected room for what is printed"
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 1


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
def test_a_worker_that_cannot_write_its_log_keeps_its_exit_code() -> None:
    environ = {
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": "localhost:1",
        "LEADSCORE_MODEL": "/none",
        "LEADSCORE_HTTP_PORT": "0",
    }
    with FULL.open("wb") as full:
        ended = subprocess.run(
            [*LEADSCORE, "run"], env=environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "leadscore: the log cannot be written: No space left on device" in ended.stderr
    assert "/none: cannot be read" in ended.stderr
    assert "Exception" not in ended.stderr
    assert ended.returncode == 2


@pytest.mark.parametrize("words", [["check", "--model", MODEL], ["produce", "--events", "20000", "--print"]])
def test_a_reader_that_has_seen_enough_is_no_error(words: list[str]) -> None:
    with subprocess.Popen([*LEADSCORE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert "Error" not in said
    assert "Exception" not in said
