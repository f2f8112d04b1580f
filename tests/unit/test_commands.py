"""``leadscore command`` and ``erase``: the command each line of words becomes, and what is refused."""

from uuid import UUID

import pytest

from leadscore.cli.main import main, program_parser
from leadscore.cli.orders import command_of
from leadscore.errors import ConfigError
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.events.event_bytes import avro_bytes
from leadscore.ops.config import load_config

NOW_MS = 1_767_614_400_000


def command(*words: str) -> Event:
    return command_of(program_parser().parse_args(words), load_config({}), NOW_MS)


@pytest.mark.parametrize("order", ["reset", "suspend", "resume", "requalify"])
def test_an_order_without_arguments_is_the_command_of_its_name(order: str) -> None:
    ordered = command("command", order, "L1", "--id", "c1")
    assert ordered == Event(f"command.{order}", "c1", "L1", NOW_MS, {})


def test_orders_carry_their_arguments_and_time() -> None:
    adjusted = command("command", "adjust", "L1", "--points", "-2.5", "--reason", "met at the fair", "--id", "c1")
    assert adjusted == Event("command.adjust", "c1", "L1", NOW_MS, {"points": -2.5, "reason": "met at the fair"})
    retracted = command("command", "retract", "L1", "--target", "e7", "--id", "c2", "--at", "2026-01-05T10:00:00Z")
    assert retracted == Event("command.retract", "c2", "L1", 1_767_607_200_000, {"target": "e7"})
    of_type = command("command", "retract", "L1", "--target", "e7", "--target-type", "email.click", "--id", "c2")
    assert of_type == Event("command.retract", "c2", "L1", NOW_MS, {"target": "e7", "target_type": "email.click"})
    merged = command("command", "merge", "v1", "--into", "L1", "--reason", "called us", "--id", "c4")
    assert merged == Event("command.merge", "c4", "v1", NOW_MS, {"reason": "called us", "into": "L1"})
    assert command("erase", "L1", "--id", "c3") == Event("command.erase", "c3", "L1", NOW_MS, {})


def test_every_order_can_be_read_by_the_worker() -> None:
    adjust = command("command", "adjust", "L1", "--points", "10", "--reason", "met")
    retract = command("command", "retract", "L1", "--target", "e7", "--target-type", "email.click")
    merge = command("command", "merge", "v1", "--into", "L1")
    for ordered in (adjust, retract, merge):
        value = avro_bytes(ordered)
        assert value is not None
        assert Decoder().decode("commands", value) == ordered


def test_a_persons_command_is_a_new_fact_each_time() -> None:
    ids = {command("command", "suspend", "L1").event_id for _ in range(3)}
    assert len(ids) == 3
    assert {UUID(command_id).version for command_id in ids} == {4}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["command", "adjust", "L1", "--points", "nan"], "--points: nan: expected a finite number"),
        (["command", "adjust", "L1", "--points", "2e6"], "--points: 2000000.0: expected a number from"),
        (["command", "retract", "L1", "--target", ""], "--target: '': expected the event_id to take back"),
        (
            ["command", "retract", "L1", "--target", "e1", "--target-type", "command.reset"],
            "--target-type: 'command.reset': expected the type of the event to take back",
        ),
        (["command", "merge", "v1", "--into", "me@x.org"], "--into: 'me@x.org': expected the lead_id to merge into"),
        (["command", "merge", "v1", "--into", "v1"], "--into: 'v1': expected another id than LEAD"),
        (
            ["command", "retract", "L1", "--target", "e1", "--target-type", "command.merge"],
            "--target-type: 'command.merge': expected the type of an event: a merge cannot be taken back",
        ),
        (["erase", "me@x.org"], "LEAD: 'me@x.org': expected an opaque id"),
        (["erase", "L1", "--id", "a\nb"], r"--id: 'a\nb': expected text of 1 to 256 characters"),
        (["erase", "L1", "--at", str(NOW_MS + 300_001)], "--at: 2026-01-05T12:05:00.001Z: expected at most 300000 ms"),
    ],
)
def test_what_the_worker_would_refuse_is_refused_here(words: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        command(*words)
    assert str(caught.value).startswith(problem)


def test_points_that_are_no_number_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["command", "adjust", "L1", "--points", "ten"])
    assert "argument --points: 'ten': expected a number" in capsys.readouterr().err


def test_erasing_is_a_command_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command", "erase", "L1", "--yes"]) == 2
    assert capsys.readouterr().err == "leadscore command erase: expected leadscore erase L1 --yes\n"


def test_without_yes_nothing_is_erased(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("leadscore.cli.orders.KafkaSession", None)  # whoever asks for one fails
    assert main(["erase", "L1"]) == 1
    assert "Nothing was sent. To do it, repeat with --yes." in capsys.readouterr().out
