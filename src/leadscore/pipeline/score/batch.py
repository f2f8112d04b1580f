"""The log records of one poll on their way: decoded, folded, published. No client in here.

A shard with a record or a state that this program cannot read stops before it, and before all of its part of the batch;
the others go on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from confluent_kafka import Message

from leadscore.errors import PartitionStopped, without_traceback
from leadscore.log.records import Frame, LogRecord, Trace
from leadscore.ops.tracing import TracedBatch
from leadscore.pipeline.score.frames import FrameRun, PlacedFrame
from leadscore.pipeline.score.log_message import LogMessage
from leadscore.pipeline.score.log_message import decoded as as_log_message
from leadscore.pipeline.score.shard import leads_of
from leadscore.pipeline.score.shards import OwnedShard
from leadscore.scoring.latest_score import ScoreNews
from leadscore.scoring.outputs import Output

GROUP_BYTES = 1024 * 1024
"""Of encoded records, in memory several times that: records and leads stay within what a processor caches."""


class CausedOutput(NamedTuple):
    """Something to publish, and the log offset that caused it."""

    offset: int
    output: Output


def in_groups(records: Mapping[int, Sequence[Message]]) -> Iterator[dict[int, Sequence[Message]]]:
    """The records of whole shards, few shards at a time where there are many records."""
    group: dict[int, Sequence[Message]] = {}
    size = 0
    for number, run in records.items():
        group[number] = run
        size += sum(map(len, run))
        if size >= GROUP_BYTES:
            yield group
            group, size = {}, 0
    if group:
        yield group


class ScoreBatch:
    """Messages and what they caused, by shard. ``stops`` are shards that cannot go on; they are left out."""

    def __init__(self, owned: Mapping[int, OwnedShard], records: Mapping[int, Sequence[Message]]) -> None:
        self.messages: dict[int, list[LogMessage]] = {}
        self.outputs: dict[int, list[CausedOutput]] = {}
        self.news: dict[int, list[ScoreNews]] = {}
        """What goes to the scores topic, by shard: not what a replay after a loss causes once more."""
        self.stops: dict[int, PartitionStopped] = {}
        self._owned = owned
        self._parts: dict[int, list[FrameRun | LogMessage]] = {}
        for number, run in records.items():
            try:
                self.messages[number], self._parts[number] = _decoded(run)
            except PartitionStopped as stopped:
                self.stops[number] = without_traceback(stopped)

    def unknown_leads(self) -> dict[int, list[str]]:
        """The leads whose states are not in memory, of shards that have such."""
        leads = {
            number: self._owned[number].shard.unknown_leads(chain.from_iterable(map(_leads_of, self._parts[number])))
            for number in self.messages
        }
        return {number: lead_ids for number, lead_ids in leads.items() if lead_ids}

    def load(self, lead_ids: Mapping[int, list[str]], states: Mapping[int, list[bytes | None]]) -> None:
        """Put the stored states of these leads into memory."""
        for number, of_shard in states.items():
            try:
                self._owned[number].shard.load(lead_ids[number], of_shard)
            except PartitionStopped as stopped:
                del self.messages[number]
                self.stops[number] = without_traceback(stopped)

    def fold(self) -> None:
        """Fold every message, all leads in memory. A new model version lets a shard's leads be reviewed."""
        for number, messages in self.messages.items():
            owned = self._owned[number]
            version = owned.shard.model_version
            self.outputs[number] = []
            for part in self._parts[number]:
                if isinstance(part, FrameRun):
                    self._fold_run(number, owned, part)
                else:
                    self._fold_one(number, owned, part.record, part.offset, part.time_ms)
            epochs = [message.leader_epoch for message in messages if message.leader_epoch is not None]
            if epochs:
                owned.shard.leader_epoch = epochs[-1]
            if version and owned.shard.model_version != version:
                owned.review_cursor = 0

    def _fold_run(self, number: int, owned: OwnedShard, run: FrameRun) -> None:
        shard, outputs = owned.shard, self.outputs[number]
        if shard.can_fold_by_lead(run):
            for (offset, _, _), decided in zip(run.frames, shard.fold_by_lead(run), strict=True):
                outputs += [CausedOutput(offset, output) for output in decided]
            return
        for offset, time_ms, frame in run.frames:
            self._fold_one(number, owned, frame, offset, time_ms)

    def _fold_one(self, number: int, owned: OwnedShard, record: LogRecord, offset: int, time_ms: int) -> None:
        shard = owned.shard
        self.outputs[number] += [CausedOutput(offset, output) for output in shard.fold(record, offset, time_ms)]
        if shard.news and offset >= owned.publish_from:
            self.news.setdefault(number, []).extend(shard.news)

    def traced(self, group: str, began_s: float, ended_s: float) -> TracedBatch:
        """The batch, for a span."""
        records = sum(map(len, self.messages.values()))
        return TracedBatch("score", group, began_s, ended_s, records, self._traces)

    def _traces(self) -> list[Trace]:
        frames = (message.record for run in self.messages.values() for message in run)
        awards = (award for frame in frames if isinstance(frame, Frame) for award in frame.awards)
        return [award.trace for award in awards if award.trace is not None]

    def outputs_of(self, number: int) -> Iterator[Output]:
        """What a shard's part of the batch caused."""
        return (caused.output for caused in self.outputs[number])

    def unpublished(self, number: int) -> list[Output]:
        """What is to be published of a shard: not what a replay after a loss causes once more."""
        publish_from = self._owned[number].publish_from
        return [caused.output for caused in self.outputs[number] if caused.offset >= publish_from]

    def offsets(self, numbers: Iterable[int]) -> dict[int, int]:
        """The next offset of each of these shards, to be committed.

        While a shard replays below the committed offset, that offset must not go back: it is the judge.
        """
        ends = {number: self.messages[number][-1].offset + 1 for number in numbers}
        return {number: end for number, end in ends.items() if end > self._owned[number].publish_from}


def _decoded(run: Iterable[Message]) -> tuple[list[LogMessage], list[FrameRun | LogMessage]]:
    """The records of a shard, and the same with frames that follow each other as one."""
    messages: list[LogMessage] = []
    parts: list[FrameRun | LogMessage] = []
    frames: FrameRun | None = None
    for message in run:
        decoded = as_log_message(message)
        messages.append(decoded)
        if not isinstance(decoded.record, Frame):
            frames = None
            parts.append(decoded)
            continue
        if frames is None:
            frames = FrameRun()
            parts.append(frames)
        frames.add(PlacedFrame(decoded.offset, decoded.time_ms, decoded.record))
    return messages, parts


def _leads_of(part: FrameRun | LogMessage) -> Iterable[str]:
    return part.lead_ids if isinstance(part, FrameRun) else leads_of(part.record)
