"""``leadscore check --mappings``: a mapping tried on JSON lines, without a Kafka."""

import json
from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.starter_files import MAPPINGS, text_outside_repository
from tests.source_tree import ROOT

CART = {
    "id": 17,
    "ts": 1767607200,
    "kind": "Cart Opened",
    "customer": {"id": "c-9", "traits": {"role": "cto"}},
    "utm": {"campaign": "spring"},
    "data": {"sku": "A-1"},
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, Path]:
    """The starter's mappings file, and where lines to try it on may be written."""
    mappings = tmp_path / MAPPINGS
    mappings.write_text(text_outside_repository(MAPPINGS))
    return str(mappings), tmp_path / "lines.jsonl"


def test_the_example_in_the_starter_mappings_becomes_the_event_that_its_comment_says(
    files: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    mappings, lines = files
    lines.write_text(json.dumps(CART) + "\n")
    assert main(["check", "--mappings", mappings, "--events", str(lines), "--topic", "shop.events"]) == 0
    event = json.loads(capsys.readouterr().out)
    assert (event["type"], event["event_id"], event["lead_id"]) == ("shop.cart", "17", "c-9")
    assert (event["sku"], event["campaign"], event["attributes"]) == ("A-1", "spring", {"role": "cto"})


def test_a_line_that_would_be_a_dead_letter_is_named_with_its_reason(
    files: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    mappings, lines = files
    lines.write_text(json.dumps(CART) + "\n" + json.dumps({**CART, "customer": {}}) + "\n")
    assert main(["check", "--mappings", mappings, "--events", str(lines), "--topic", "shop.events"]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err.startswith(f"{lines}:2: ")
    assert "customer.id" in said.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--events", "x"], "--topic: missing: expected one of the file's: crm.stages, shop.events, tracking"),
        (
            ["--events", "x", "--topic", "shop"],
            "--topic: 'shop': expected one of the file's: crm.stages, shop.events, tracking",
        ),
        (
            ["--events", "/none", "--topic", "tracking"],
            "/none: cannot be read: No such file or directory: ",
        ),
    ],
)
def test_what_is_wrong_with_the_options_is_reported(
    files: tuple[str, Path], options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--mappings", files[0], *options]) == 2
    assert complaint in capsys.readouterr().err


def test_a_model_in_the_place_of_the_mappings_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = ROOT / "deploy" / "model.yaml"
    assert main(["check", "--mappings", str(model)]) == 2
    assert capsys.readouterr().err == f"{model}: the keys of a model file: expected topics, each with its mapping\n"


def test_events_without_mappings_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--schema", "--events", "x"]) == 2
    assert "expected them with --mappings" in capsys.readouterr().err


def test_rules_whose_type_no_topic_gives_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, mappings = tmp_path / "model.yaml", tmp_path / "mappings.yaml"
    types = ["website.page_view", "shop.cart", "shop.order_paid", "crm.called", "[meeting.booked, shop.cart]", "[demo]"]
    rules = "".join(f"  r{index}: {{event: {name}, points: 1}}\n" for index, name in enumerate(types))
    model.write_text(f"model: m\nversion: 1\nrules:\n{rules}")
    mappings.write_text("a: {types: {x: shop.cart}, type_prefix: shop.}\nb: {type: crm.called}\n")
    assert main(["check", "--model", str(model), "--mappings", str(mappings)]) == 0
    said = capsys.readouterr()
    assert [line.partition(": no topic")[0] for line in said.err.splitlines()] == [
        "warning: rules.r4.event: meeting.booked",
        "warning: rules.r5.event: demo",
    ]
    assert said.out.startswith("Model m, version 1")


def test_a_record_as_vendors_print_it_over_several_lines_is_one_record(
    files: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    mappings, lines = files
    lines.write_text(json.dumps(CART, indent=2) + "\n")
    assert main(["map", "--mappings", mappings, "--topic", "shop.events", str(lines)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["event_id"] == "17"
    assert said.err.startswith("1 record: 1 gave events")


def test_a_dump_of_several_topics_is_mapped_where_there_is_a_mapping_and_else_read_as_our_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"type": "website.page_view", "event_id": "e", "lead_id": "L", "occurred_at": "2026-01-05T10:00:00Z"}
    sent = {"lead": "L", "id": 1, "seen": 1767607200}
    lines = [("shop", sent), ("leadscore.website", own), ("other", sent), ("shop", {**sent, "seen": 1767607200 * 2})]
    dump = [{"topic": topic, "ts": 1767607200000, "payload": json.dumps(record)} for topic, record in lines]
    (tmp_path / "dump").write_text("\n".join(map(json.dumps, dump)))
    (tmp_path / "m.yaml").write_text("shop: {lead_id: lead, event_id: id, occurred_at: [at, seen], type: shop.order}")
    words = ["--mappings", str(tmp_path / "m.yaml"), "--kcat"]
    assert main(["map", *words, str(tmp_path / "dump")]) == 1
    said = capsys.readouterr()
    assert [json.loads(line)["type"] for line in said.out.splitlines()] == ["shop.order", "website.page_view"]
    assert "dump:3: missing_field: type: expected" in said.err
    assert "dump:4: future: at or seen is 1767607200000 ms ahead of the Kafka timestamp" in said.err


def test_a_key_that_lead_ids_need_and_that_is_not_set_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings, key = tmp_path / "mappings.yaml", tmp_path / "key"
    mappings.write_text("a: {lead_id: {keyed_hash: email}, type: a.b}\nb: {type: a.b}\n")
    assert main(["check", "--mappings", str(mappings)]) == 0
    noted = capsys.readouterr().err
    assert noted.startswith("note: LEADSCORE_LEAD_ID_KEY_FILE: not set: the mapping of a makes lead ids by keyed_hash;")
    key.write_text("a secret of at least sixteen characters")
    monkeypatch.setenv("LEADSCORE_LEAD_ID_KEY_FILE", str(key))
    assert main(["check", "--mappings", str(mappings)]) == 0
    assert not capsys.readouterr().err
