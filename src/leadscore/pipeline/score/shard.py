"""One shard: the fold of one log partition, between what is stored and what the next write will store.

States in memory are valid exactly while the stored fence is the one known here. When a write finds another fence, the
worker throws the ``Shard`` away and reconciles. No client and no clock in here: bytes from the store, records from
the log.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import msgspec

from leadscore.errors import PartitionStopped, StopCause
from leadscore.log.positions import NOTHING_SEEN, position_after, seen_offset
from leadscore.log.records import ERASE, Award, Forward, Forwards, Frame, LogRecord, OldFrame, Source, Tick
from leadscore.model.compiled import CompiledModel
from leadscore.pipeline.score.frames import FrameRun, OpenFrame
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.lifetimes import due_entry_ms, earlier_of, ttl_ms
from leadscore.pipeline.score.outbox import encode_outputs
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.erasures import Erasure, lead_hash
from leadscore.scoring.fold import fold_tick
from leadscore.scoring.latest import Revision
from leadscore.scoring.latest_score import ScoreNews
from leadscore.scoring.leads import apply_award
from leadscore.scoring.merging import apply_forward
from leadscore.scoring.outcomes import CountedOutcome
from leadscore.scoring.outputs import ErasedLead, Output
from leadscore.scoring.state import LeadState, StateFormatError, decode_mark, decode_state, encode_state
from leadscore.store.fence import Fence
from leadscore.store.fence import encode as encode_fence
from leadscore.store.shard import LeadWrite, ShardWrite

_erasure_encoder = msgspec.msgpack.Encoder()
_erasure_decoder = msgspec.msgpack.Decoder(Erasure)

ModelOfVersion = Callable[[int], CompiledModel]


class OutcomeAt(NamedTuple):
    """What sales said of an enter, and the offset of the log record that says it."""

    offset: int
    outcome: CountedOutcome


@dataclass(slots=True)
class FoldCounts:
    """What became of the awards and forwards of a batch; each is one of the first five."""

    applied: int = 0
    duplicates: int = 0
    rejected: int = 0
    replayed: int = 0
    forwarded: int = 0
    merged: int = 0
    circles: int = 0
    outcomes: list[OutcomeAt] = field(default_factory=list)

    def add(self, other: "FoldCounts") -> None:
        """What became of others as well; without what sales said, which is of a shard."""
        self.applied += other.applied
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.replayed += other.replayed
        self.forwarded += other.forwarded
        self.merged += other.merged
        self.circles += other.circles


def source_key(source: Source) -> str:
    """A source partition's name in the fence."""
    return f"{source.topic}/{source.topic_id}/{source.partition}"


def leads_of(record: LogRecord) -> Iterator[str]:
    """The leads that a record of the log is about, some of them perhaps several times."""
    if isinstance(record, Frame):
        return (award.lead_id for award in record.awards)
    if isinstance(record, Forwards):
        return (forward.award.lead_id for forward in record.forwards)
    return iter(record.lead_ids)


class Shard:
    """The fold of one log partition from the stored fence on."""

    def __init__(
        self,
        number: int,
        stored: bytes | None,
        fence: Fence,
        model_of_version: ModelOfVersion,
        settings: FoldSettings,
        latest: LatestScores | None = None,
    ) -> None:
        self.number = number
        self.stored = stored
        self.offset = fence.offset
        self.model_version = fence.model_version
        self.erasures: dict[bytes, Erasure] = {}
        self.outbox_offsets: set[int] = set()
        self.counts = FoldCounts()
        self.news: list[ScoreNews] = []
        """What the record folded last is news of for the scores topic."""
        self._topic_id = fence.log_topic_id
        self._log_incarnation = fence.log_incarnation
        self.leader_epoch = fence.log_leader_epoch
        self._writer = fence.writer
        self._model_since_ms = fence.model_since_ms
        self._sources = dict(fence.sources)
        self._states: dict[str, LeadState | None] = {}
        self._model_of_version = model_of_version
        self._settings = settings
        self._latest = latest
        self._touched: dict[str, bool] = {}
        self._erased: dict[bytes, bytes | None] = {}
        self._outbox: dict[int, bytes] = {}

    def remember(self, erased: dict[bytes, bytes], outbox_offsets: Iterable[int]) -> None:
        """What the store holds besides the leads."""
        self.erasures = {hashed: _erasure_decoder.decode(data) for hashed, data in erased.items()}
        self.outbox_offsets = set(outbox_offsets)

    @property
    def model_since_ms(self) -> int:
        """The log's time at which the version in force came in force; 0 where it was the first."""
        return self._model_since_ms

    def unknown_leads(self, lead_ids: Iterable[str]) -> list[str]:
        """Those of the leads whose state is not in memory, each once."""
        states = self._states
        return list(dict.fromkeys([lead_id for lead_id in lead_ids if lead_id not in states]))

    def load(self, lead_ids: list[str], stored: list[bytes | None]) -> None:
        """Put stored states into memory; ``PartitionStopped`` where this program cannot read one."""
        try:
            for lead_id, data in zip(lead_ids, stored, strict=True):
                self._states[lead_id] = None if data is None else decode_state(data)
                if self._latest is not None:
                    self._latest.load(lead_id, None if data is None else decode_mark(data))
        except StateFormatError as error:
            raise PartitionStopped(
                f"log partition {self.number}: {error}: run the version that wrote it", StopCause.UNREADABLE
            ) from error

    def can_fold_by_lead(self, run: FrameRun) -> bool:
        """Whether the order of leads is no matter: not where every frame may change the latest scores."""
        return self._latest is None and run.is_plain(self._states)

    def fold_by_lead(self, run: FrameRun) -> list[list[Output]]:
        """Fold the next records of the log, all their leads in memory; what each of them puts out, as of ``fold``."""
        frames = run.frames
        opened = [self._open(frame, offset, log_time_ms) for offset, log_time_ms, frame in frames]
        outputs = run.fold(opened, self._states, self.erasures, self._touched)
        for (offset, _, frame), one, of_frame in zip(frames, opened, outputs, strict=True):
            self._count(len(frame.awards), len(frame.awards) - len(one.fresh), offset, one.context)
            if of_frame:
                self._outbox[offset] = encode_outputs(of_frame)
        self.offset, self.news = frames[-1].offset, []
        return outputs

    def fold(self, record: LogRecord, offset: int, log_time_ms: int) -> list[Output]:
        """Fold the next record of the log, all its leads in memory; what is to be published, in the order decided."""
        if isinstance(record, Frame):
            outputs = self._fold_frame(record, offset, log_time_ms)
        elif isinstance(record, Forwards):
            outputs = self._fold_forwards(record, offset, log_time_ms)
        else:
            outputs = self._fold_tick(record, log_time_ms)
        self.offset = offset
        self.news = [] if self._latest is None else self._news_of(self._latest, record, outputs, log_time_ms)
        if outputs or self.news:
            self._outbox[offset] = encode_outputs([*outputs, *self.news])
        return outputs

    def source(self, log_topic: str) -> Source:
        """What the shard is to the log partitions that it forwards to."""
        again = f"+{self._log_incarnation}" if self._log_incarnation else ""
        return Source(log_topic, self._topic_id + again, self.number)

    def has_published(self, published_below: int) -> bool:
        """Whether the stored outbox still holds what is published: leads that may be erased are named in it."""
        return any(offset < published_below for offset in self.outbox_offsets)

    def pending(self, published_below: int) -> ShardWrite:
        """Everything folded since the last write; outbox entries below the committed offset go."""
        leads, due = self._changed_leads()
        drop = [offset for offset in self.outbox_offsets if offset < published_below]
        fence = Fence(
            self._topic_id,
            self.offset,
            self.model_version,
            self._model_since_ms,
            self._sources,
            self._writer,
            log_incarnation=self._log_incarnation,
            log_leader_epoch=self.leader_epoch,
        )
        return ShardWrite(
            shard=self.number,
            expected=self.stored,
            fence=encode_fence(fence),
            leads=leads,
            outbox={offset: data for offset, data in self._outbox.items() if offset >= published_below},
            outbox_drop=drop,
            due=due,
            erased=self._erased,
        )

    def written(self, write: ShardWrite) -> None:
        """The write has happened: memory and store agree again."""
        self.stored = write.fence
        self.outbox_offsets -= set(write.outbox_drop)
        self.outbox_offsets |= set(write.outbox)
        self._touched, self._erased, self._outbox = {}, {}, {}

    def take_counts(self) -> FoldCounts:
        """What became of the awards since the last call."""
        counts, self.counts = self.counts, FoldCounts()
        return counts

    def trim(self, most_leads: int) -> int:
        """Forget the leads read longest ago beyond the number given; how many are left in memory."""
        excess = len(self._states) - most_leads
        if excess > 0:
            for lead_id in list(islice(self._states, excess)):
                del self._states[lead_id]
                if self._latest is not None:
                    self._latest.forget(lead_id)
        return len(self._states)

    def _fold_frame(self, frame: Frame, offset: int, log_time_ms: int) -> list[Output]:
        opened = self._open(frame, offset, log_time_ms)
        touched, states, erasures, context = self._touched, self._states, self.erasures, opened.context
        outputs: list[Output] = []
        for award in opened.fresh:
            topic = opened.topics[award.source]
            touched.setdefault(award.lead_id, False)
            if award.type == ERASE:
                outputs += self._erase(Forward(0, [], topic, award), context)
            elif decided := apply_award(states, erasures, award, topic, context):
                outputs += decided
        self._count(len(frame.awards), len(frame.awards) - len(opened.fresh), offset, context)
        return outputs

    def _open(self, frame: Frame, offset: int, log_time_ms: int) -> OpenFrame:
        """Leave out what is applied already, and note how far the sources will be applied with this frame."""
        self._follow(frame.model_version, log_time_ms)
        context = self._context(log_time_ms, offset)
        context.is_old = isinstance(frame, OldFrame)
        sources = frame.sources
        before = [
            seen_offset(self._sources.get(source_key(source), NOTHING_SEEN), source.leader_epoch) for source in sources
        ]
        seen = list(before)
        fresh: list[Award] = []
        for award in frame.awards:
            source = award.source
            # Of a record with several events all awards for a shard are in one frame: none is a replay, or all are.
            if award.offset < seen[source] or award.offset == before[source]:
                continue
            seen[source] = award.offset
            fresh.append(award)
        self._go_on(sources, before, seen)
        return OpenFrame(context, [source.topic for source in sources], fresh)

    def _go_on(self, sources: Sequence[Source], before: Sequence[int], seen: Sequence[int]) -> None:
        """Note how far the sources are applied now. Where one has several leaders, the later one comes later."""
        for source, offset_before, offset in zip(sources, before, seen, strict=True):
            if offset != offset_before:
                key = source_key(source)
                position = self._sources.get(key, NOTHING_SEEN)
                self._sources[key] = position_after(position, source.leader_epoch, offset)

    def _fold_forwards(self, record: Forwards, offset: int, log_time_ms: int) -> list[Output]:
        """Fold what a log partition has sent on: of its positions, those that are above the highest seen are new."""
        self._follow(record.model_version, log_time_ms)
        context = self._context(log_time_ms, offset)
        key = source_key(record.source)
        seen = self._sources.get(key, -1)
        outputs: list[Output] = []
        replayed = 0
        for forward in record.forwards:
            if forward.position <= seen:
                replayed += 1
                continue
            seen = forward.position
            self._touched.setdefault(forward.award.lead_id, False)
            if forward.award.type == ERASE:
                outputs += self._erase(forward, context)
            else:
                outputs += apply_forward(self._states, self.erasures, forward, context)
        self._sources[key] = seen
        self._count(len(record.forwards), replayed, offset, context)
        return outputs

    def _count(self, awards: int, replayed: int, offset: int, context: FoldContext) -> None:
        """What became of the awards or forwards of a record: they are applied, unless the context says otherwise."""
        counts = self.counts
        counts.replayed += replayed
        counts.applied += awards - replayed - context.duplicates - context.rejected - context.gone_on
        counts.duplicates += context.duplicates
        counts.rejected += context.rejected
        counts.forwarded += context.gone_on
        counts.merged += context.merged
        counts.circles += context.circles
        counts.outcomes += [OutcomeAt(offset, outcome) for outcome in context.outcomes]

    def _erase(self, forward: Forward, context: FoldContext) -> Sequence[Output]:
        """Apply an ``erase``, and store what it leaves of the erasures."""
        self._forget_erasures(context.log_time_ms)
        hashed = lead_hash(forward.award.lead_id)
        before = self.erasures.get(hashed)
        outputs = apply_forward(self._states, self.erasures, forward, context)
        erasure = self.erasures.get(hashed)
        if erasure is not None and erasure is not before:
            self._erased[hashed] = _erasure_encoder.encode(erasure)
        return outputs

    def _forget_erasures(self, log_time_ms: int) -> None:
        for hashed in [hashed for hashed, erasure in self.erasures.items() if erasure.expires_ms < log_time_ms]:
            del self.erasures[hashed]
            self._erased[hashed] = None

    def _fold_tick(self, tick: Tick, log_time_ms: int) -> list[Output]:
        context = self._context(log_time_ms, self.offset)
        crossings: list[Output] = []
        for lead_id in tick.lead_ids:
            self._states[lead_id], left = fold_tick(self._states.get(lead_id), lead_id, tick.time_ms, context)
            self._touched[lead_id] = True
            crossings += left
        return crossings

    def _news_of(
        self, latest: LatestScores, record: LogRecord, outputs: list[Output], log_time_ms: int
    ) -> list[ScoreNews]:
        time_ms = max(log_time_ms, record.time_ms) if isinstance(record, Tick) else log_time_ms
        erased = {output.lead_id for output in outputs if isinstance(output, ErasedLead)}
        model = self._model_of_version(self.model_version)
        revision = Revision(self.offset, log_time_ms, time_ms)
        news = latest.of_record(self._states, leads_of(record), erased, model, revision)
        for one in news:
            self._touched.setdefault(one.lead_id, False)
        return news

    def _follow(self, version: int, log_time_ms: int) -> None:
        """The version in force is the highest seen in the log."""
        if version > self.model_version:
            self._model_since_ms = log_time_ms if self.model_version else 0
            self.model_version = version

    def _context(self, log_time_ms: int, offset: int) -> FoldContext:
        model = self._model_of_version(self.model_version)
        since_ms = self._model_since_ms or None
        return FoldContext(model, since_ms, self._model_of_version, log_time_ms, self._settings, offset=offset)

    def _changed_leads(self) -> tuple[dict[str, LeadWrite], dict[str, int | None]]:
        leads: dict[str, LeadWrite] = {}
        due: dict[str, int | None] = {}
        model = self._model_of_version(self.model_version) if self._touched else None
        for lead_id, has_ticked in self._touched.items():
            state = self._states.get(lead_id)
            if state is None or model is None:
                leads[lead_id], due[lead_id] = LeadWrite(None, None), None
                continue
            mark = None if self._latest is None else self._latest.mark(lead_id)
            leads[lead_id] = LeadWrite(encode_state(state, mark), ttl_ms(state, model))
            # A lead that a tick was for has an entry, though its thresholds may have gone with a change of the
            # model: left there, it would be due for ever.
            if self._latest is not None:
                look_ms = self._latest.look_ms(lead_id, state, model, has_ticked=has_ticked)
                due[lead_id] = earlier_of(due_entry_ms(state), look_ms)
            elif state.thresholds or has_ticked:
                due[lead_id] = due_entry_ms(state)
        return leads, due
