"""What a process has logged itself is not decoded again, and is what it would be decoded to."""

import msgspec
import pytest

from leadscore.events.decoder import Decoder
from leadscore.log.records import Award, Frame, Source, decode, encode
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.pipeline.match.batch import LoggedFrame, Work
from leadscore.pipeline.own_frames import OwnFrames
from tests.bench.in_process import SETTINGS, SOURCES
from tests.bench.streams import STREAMS, Size
from tests.unit.fake_store import FakeStore
from tests.unit.stage_of_score import StageOfScore

MODEL = msgspec.convert(
    {"model": "m", "version": 1, "rules": {"view": {"event": "website.page_view", "points": 10}}}, ModelDefinition
)
NOON_MS = 1_767_607_200_000


def logged(*event_ids: str, number: int = 0) -> LoggedFrame:
    awards = [
        Award(0, offset, "L1", event_id, "website.page_view", NOON_MS, None, [])
        for offset, event_id in enumerate(event_ids)
    ]
    frame = Frame(1, [Source("website", "id", 0)], awards)
    return LoggedFrame(number, encode(frame), frame)


@pytest.mark.parametrize("workload", ["peers", "starter"])
def test_a_frame_is_what_its_bytes_are_decoded_to(workload: str) -> None:
    """To the types of its numbers, which ``==`` does not see."""
    stream = STREAMS[workload](Size(2_000, 100, 1))
    work = Work(load_config(SETTINGS), Decoder(lookup=stream.lookup), Matcher(stream.model), SOURCES)
    work.take(stream.messages)
    frames = list(work.frames())
    assert frames
    for _, value, frame in frames:
        assert repr(decode(value)) == repr(frame)


def test_a_frame_is_taken_once() -> None:
    own = OwnFrames()
    own.numbers = {0}
    _, value, frame = logged("e1")
    own.keep(0, value, frame)
    assert own.take(bytes(bytearray(value))) is frame
    assert own.take(value) is None


def test_what_goes_to_another_process_is_not_kept() -> None:
    own = OwnFrames()
    own.numbers = {0}
    own.keep(*logged("e1", number=1))
    assert own.take(logged("e1").value) is None


def test_the_latest_are_kept_within_a_number_of_bytes() -> None:
    first, second, third = logged("e1"), logged("e2"), logged("e3")
    own = OwnFrames(most_bytes=2 * len(first.value))
    own.numbers = {0}
    for one in (first, second, second, third):
        own.keep(*one)
    assert own.take(first.value) is None
    assert own.take(second.value) is second.frame
    own.keep(*first)
    assert own.take(third.value) is third.frame
    assert own.take(first.value) is first.frame


def test_the_score_stage_scores_them_as_it_would_score_the_bytes() -> None:
    states = []
    for is_kept in (False, True):
        store, frame = FakeStore(), logged("e1", "e2")
        stage = StageOfScore(store, {0: [frame.frame]}, compile_model(MODEL), lambda offset: NOON_MS + offset)
        stage.turn()
        if is_kept:
            stage.own_frames.keep(*frame)
        stage.turns(2)
        states.append(store.read_leads({0: ["L1"]})[0])
        assert stage.own_frames.take(frame.value) is None
    assert states[0] == states[1] != [None]
