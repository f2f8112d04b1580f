"""Counts the leads by band and threshold, and looks at their scores: a walk over Redis in small steps, again and again.

The worker that owns log partition 0 walks for all of them, while it is not behind. The walk reads only. A step is a
page of keys, or ``STEP_LEADS`` leads of that page, every ``STEP_EVERY_S``: 80 leads a second. Where there are more than
``MOST_COUNTED``, only ``PAGE_SAMPLE`` leads of a page are looked at and stand for all of it; a page is as good as drawn
by lot. The counts of a walk are told when it is complete; a lead that is new, gone or changed meanwhile may be counted
as it was. Versions of the model that are not at hand are not asked for, which would take the loop's time: the walk
waits until the fold has read the one in force, and leaves out a lead that needs another.
"""

from collections.abc import Mapping
from contextlib import suppress

from leadscore.errors import LeadscoreError, Unavailable
from leadscore.model.compiled import CompiledModel
from leadscore.ops.stage_metrics import LeadMetrics
from leadscore.pipeline.score.shard import ModelOfVersion, Shard
from leadscore.pipeline.score.shards import OwnedShard
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.fold import fold_tick, remembered
from leadscore.scoring.score import ScoresAt
from leadscore.scoring.standing import standings_in
from leadscore.scoring.state import LeadState, StateFormatError, decode_state
from leadscore.store.shard import ScanPlace, Store

STEP_LEADS = 20
STEP_EVERY_S = 0.25
WALK_EVERY_S = 30.0
MOST_COUNTED = 20_000
PAGE_SAMPLE = 100
COUNTING_SHARD = 0


class LeadCount:
    """The walk of one worker. ``owned`` are its shards; the model is the one in force of the shard that counts."""

    def __init__(
        self,
        store: Store,
        owned: Mapping[int, OwnedShard],
        model_at_hand: ModelOfVersion,
        settings: FoldSettings,
        metrics: LeadMetrics,
    ) -> None:
        self._store = store
        self._owned = owned
        self._model_at_hand = model_at_hand
        self._settings = settings
        self._metrics = metrics
        self._not_before_s = 0.0
        self._place: ScanPlace | None = ScanPlace()
        self._page: list[tuple[int, str]] = []
        self._weight = 1.0
        self._is_sampled = False
        self._bands: dict[str, float] = {}
        self._thresholds: dict[str, float] = {}

    def step(self, now_s: float) -> None:
        """Go on with the walk, if it is time and this worker's to do."""
        counting = self._owned.get(COUNTING_SHARD)
        if counting is None or not counting.shard.model_version:
            self._begin_again(now_s)
            self._metrics.forget()
        elif now_s >= self._not_before_s:
            self._not_before_s = now_s + STEP_EVERY_S
            try:
                self._go_on(now_s, counting)
            except LeadscoreError:  # of Redis or Kafka: the score stage finds that out as well, and says so
                self._begin_again(now_s + WALK_EVERY_S)

    def _begin_again(self, not_before_s: float) -> None:
        self._not_before_s = not_before_s
        self._place, self._page = ScanPlace(), []
        self._bands, self._thresholds = {}, {}

    def _go_on(self, now_s: float, counting: OwnedShard) -> None:
        if not self._page and self._place is not None:
            page = self._store.scan_leads(self._place)
            leads = [(shard, lead_id) for shard, lead_ids in page.lead_ids.items() for lead_id in lead_ids]
            self._page = leads[:PAGE_SAMPLE] if self._is_sampled else leads
            self._weight = len(leads) / max(1, len(self._page))
            self._place = page.next_place
        else:
            step, self._page = self._page[:STEP_LEADS], self._page[STEP_LEADS:]
            self._look_at(step, self._context(counting.shard, int(now_s * 1000)))
        if not self._page and self._place is None:
            self._tell(self._model_at_hand(counting.shard.model_version), now_s)
            self._begin_again(now_s + WALK_EVERY_S)

    def _tell(self, model: CompiledModel, now_s: float) -> None:
        bands = {name: round(self._bands.get(name, 0)) for _, name in model.bands}
        thresholds = {one.name: round(self._thresholds.get(one.name, 0)) for one in model.thresholds}
        self._metrics.tell(bands, thresholds, now_s)
        self._is_sampled = sum(bands.values()) > MOST_COUNTED

    def _context(self, shard: Shard, now_ms: int) -> FoldContext:
        model, since_ms = self._model_at_hand(shard.model_version), shard.model_since_ms or None
        return FoldContext(model, since_ms, self._model_at_hand, now_ms, self._settings)

    def _look_at(self, leads: list[tuple[int, str]], context: FoldContext) -> None:
        by_shard: dict[int, list[str]] = {}
        for shard, lead_id in leads:
            by_shard.setdefault(shard, []).append(lead_id)
        states = self._store.read_leads(by_shard)
        for shard, lead_ids in by_shard.items():
            for lead_id, data in zip(lead_ids, states[shard], strict=True):
                if data is not None:
                    # Of a newer format, whose worker owns that shard; or of a version that is not at hand.
                    with suppress(StateFormatError, Unavailable):
                        self._count(decode_state(data), lead_id, context)

    def _count(self, stored: LeadState, lead_id: str, context: FoldContext) -> None:
        state = None if stored.alias is not None else lead_at(stored, lead_id, context)
        if state is None:
            return
        model = context.model
        scores = ScoresAt(Outlook(state, model), max(context.log_time_ms, latest_ms(state)))
        band = model.band_of(scores.of(model.main).value)
        self._bands[band] = self._bands.get(band, 0) + self._weight
        for standing in standings_in(state, model.thresholds):
            name = standing.threshold.name
            self._thresholds[name] = self._thresholds.get(name, 0) + self._weight
        for score in model.scores:
            self._metrics.observe(score.name, model.version, scores.of(score).value)


def lead_at(stored: LeadState, lead_id: str, context: FoldContext) -> LeadState | None:
    """The lead at the log's time of the context, out of what time takes it out of; ``None`` if it is forgotten."""
    if stored.model_version > context.model.version:  # its shard has seen a newer version than the one that counts
        return None
    state = remembered(stored, context)
    if state is not None and state.due_ms is not None and state.due_ms <= context.log_time_ms:
        state, _ = fold_tick(state, lead_id, context.log_time_ms, context)
    return state
