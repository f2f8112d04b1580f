"""``leadscore schemas``: every contract of the folder, as it is in its file."""

from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.events.local_schemas import single_object_header

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
FILES = {path.name.removesuffix(".avsc"): path for path in SCHEMAS.glob("*.avsc")} | {
    path.name.removesuffix(".schema.json"): path for path in SCHEMAS.glob("*.schema.json")
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_contract_is_printed_as_it_is_in_its_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "print", name]) == 0
    assert capsys.readouterr().out == FILES[name].read_text()


def test_the_list_has_every_contract_and_the_bytes_before_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert {line.split()[0] for line in lines} == FILES.keys()
    assert ["crossing", single_object_header("crossing").hex(), "A", "lead"] in [line.split()[:4] for line in lines]


def test_a_name_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schemas", "print", "crossings"])
    assert ended.value.code == 2
    assert "'crossing', 'crossing.1', 'crossing.2', 'crossing.3', 'email_event'" in capsys.readouterr().err
