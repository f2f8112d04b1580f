"""``leadscore list``: the leads of a threshold, a band or an outcome, best first: the daily view."""

import argparse
import heapq
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple, TextIO

import msgspec

from leadscore.cli.columns import aligned, chosen, fitting, length_of_time, minute, output_columns
from leadscore.cli.options import number_from_1
from leadscore.cli.outcome_words import outcome_object, outcome_text
from leadscore.cli.stored_leads import LeadAt, ModelVersions, StoredLeads, add_model_option, model_versions
from leadscore.errors import ConfigError
from leadscore.model.compiled import CompiledModel, CompiledScore
from leadscore.model.phrases import noun_for
from leadscore.ops.config import load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.stores import make_store
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.crossing import Reason, iso_instant
from leadscore.scoring.disqualification import disqualified, is_suspended
from leadscore.scoring.outcomes import Outcome, latest_outcome
from leadscore.scoring.ranking import whole_steps
from leadscore.scoring.reasons import top_reasons
from leadscore.scoring.recycling import recycled_until_ms
from leadscore.scoring.score import Score, score_at
from leadscore.scoring.standing import standings_in
from leadscore.scoring.state import LeadState
from leadscore.store.shard import ScanPlace, Store

DEFAULT_LIMIT = 50
DEFAULT_SCAN_LIMIT = 100_000

_EXPENDABLE = (4, 3, 8, 5, 7)
"""What a narrow terminal does without: grade, band, latest, thresholds, entered; after the columns of other scores."""


class Page(NamedTuple):
    """Lead ids by shard, and about how many keys it took to find them."""

    lead_ids: dict[int, list[str]]
    keys_seen: int


class Choice(NamedTuple):
    """Which leads are asked for: of one threshold, band or outcome, or (nothing said) of any threshold."""

    threshold: str | None
    band: str | None
    outcome: str | None = None


class ListedLead(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list; instants are UTC ms.

    ``entered_ms`` is when it entered the threshold asked for; without one, when it last entered any that it is in.
    """

    lead_id: str
    score: float
    scores: dict[str, float] = {}
    """By name, the scores beside the main one."""
    band: str
    grade: str
    thresholds: list[str]
    disqualified: str | None
    suspended: bool
    outcome: Outcome | None = None
    """What sales said last."""
    recycled_until_ms: int | None = None
    """Until when it does not enter again one threshold at least, because sales gave it back."""
    reason: Reason | None
    entered_ms: int | None
    latest_record_ms: int
    at_ms: int


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "list",
        help="list the leads of a threshold, a band or an outcome, best first",
        description="List leads from Redis, best first; without an option those in any threshold. The cost: thresholds "
        "read the leads that are in one (an index has them); a band or an outcome walks over the keys of all leads, in "
        "pages that block Redis for about a millisecond. Either way one state in memory per lead looked at, and two "
        "round trips per thousand.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--threshold", metavar="NAME", help="leads that are in this threshold")
    which.add_argument("--band", choices=("cold", "warm", "hot"), help="leads whose score is in this band")
    which.add_argument("--outcome", metavar="NAME", help="leads of which sales said this last, such as rejected")
    parser.add_argument(
        "--limit",
        type=number_from_1,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"at most this many leads (default: {DEFAULT_LIMIT})",
    )
    parser.add_argument(
        "--scan-limit",
        type=number_from_1,
        default=DEFAULT_SCAN_LIMIT,
        metavar="N",
        help=f"look at about this many keys at most (default: {DEFAULT_SCAN_LIMIT})",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object per lead, one a line")
    add_model_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list, and on standard error how much was looked at."""
    config = load_config(os.environ, required=[] if args.model else [BOOTSTRAP_SERVERS])
    versions = model_versions(config, args.model)
    choice = Choice(args.threshold, args.band, args.outcome)
    _check(choice, versions)
    with closing(make_store(config)) as store:
        is_indexed = choice.band is None and choice.outcome is None
        pages = in_thresholds(store, config.log_partitions) if is_indexed else _scanned(store)
        search = Search(StoredLeads(store, config, versions), choice, time.time_ns() // 1_000_000)
        listed = search.best(pages, args.limit, args.scan_limit)
    search.report(args.scan_limit, sys.stderr)
    for line in _lines(listed) if not args.json else (json.dumps(lead_object(lead)) for lead in listed):
        print(line)
    return 0


class Search:
    """One look for the best leads; counts what it looked at."""

    def __init__(self, leads: StoredLeads, choice: Choice, at_ms: int) -> None:
        self._leads = leads
        self._choice = choice
        self._at_ms = at_ms
        self._keys_seen = 0
        self._seen: set[str] = set()
        self._stopped = False

    def best(self, pages: Iterator[Page], limit: int, scan_limit: int) -> list[ListedLead]:
        """The ``limit`` best of the leads in the pages, of which no more are read after ``scan_limit`` keys.

        Best by the score of the threshold that is asked for, else by the main one.

        Of those that have reached the ceiling, the one that has more points beyond it comes first. Points that are
        equal to 1e-9 are equal: then the ids decide.
        """
        ranked = (
            (-whole_steps(score.value), -whole_steps(score.unclamped), lead.lead_id, lead)
            for lead in self._all(pages, scan_limit)
            if (score := self._score_if_chosen(lead)) is not None
        )
        best = heapq.nsmallest(limit, ranked, key=lambda rank: rank[:3])
        return [_listed(lead, lead.state, self._choice) for *_, lead in best if lead.state is not None]

    def report(self, scan_limit: int, notes: TextIO) -> None:
        """Say what was looked at, and whether that was all."""
        end = f"; stopped there, there is more: --scan-limit {scan_limit}" if self._stopped else ""
        notes.write(f"looked at {len(self._seen):,} {noun_for(len(self._seen), 'lead')}{end}\n")

    def _all(self, pages: Iterator[Page], scan_limit: int) -> Iterator[LeadAt]:
        for page in pages:
            if self._keys_seen >= scan_limit:
                self._stopped = True
                return
            self._keys_seen += page.keys_seen
            fresh = {
                shard: [lead_id for lead_id in ids if lead_id not in self._seen] for shard, ids in page.lead_ids.items()
            }
            fresh = {shard: list(dict.fromkeys(ids)) for shard, ids in fresh.items() if ids}
            self._seen.update(lead_id for ids in fresh.values() for lead_id in ids)
            if fresh:
                yield from (self._leads.brought_to(stored, self._at_ms) for stored in self._leads.read(fresh))

    def _score_if_chosen(self, lead: LeadAt) -> Score | None:
        state, model = lead.state, lead.context.model
        if state is None or state.alias is not None:
            return None
        if self._choice.outcome is not None:
            said = latest_outcome(state, model)
            is_chosen = said is not None and said.name == self._choice.outcome
            return _ranking_score(lead, state, self._choice) if is_chosen else None
        if self._choice.band is None:
            names = _thresholds_of(lead)
            is_chosen = self._choice.threshold in names if self._choice.threshold is not None else bool(names)
            return _ranking_score(lead, state, self._choice) if is_chosen else None
        score = _ranking_score(lead, state, self._choice)
        return score if model.band_of(score.value) == self._choice.band else None


def lead_object(lead: ListedLead) -> dict[str, object]:
    """A row as plain JSON values; ``scores`` are those beside the main one, if the model has any."""
    row: dict[str, object] = {
        "lead_id": lead.lead_id,
        "score": lead.score,
        "band": lead.band,
        "grade": lead.grade,
        "thresholds": lead.thresholds,
        "disqualified": lead.disqualified,
        "suspended": lead.suspended,
        "outcome": outcome_object(lead.outcome),
        "recycled_until": None if lead.recycled_until_ms is None else iso_instant(lead.recycled_until_ms),
        "reason": None if lead.reason is None else {"name": lead.reason.name, "points": lead.reason.points},
        "entered_at": None if lead.entered_ms is None else iso_instant(lead.entered_ms),
        "latest_record_at": iso_instant(lead.latest_record_ms),
        "as_of": iso_instant(lead.at_ms),
    }
    return row | ({"scores": lead.scores} if lead.scores else {})


def _check(choice: Choice, versions: ModelVersions) -> None:
    model = versions.of_version(versions.newest)
    thresholds = [threshold.name for threshold in model.thresholds]
    outcomes = [rule.outcome for rule in model.rules.values() if rule.outcome is not None]
    for option, name, names in (
        ("--threshold", choice.threshold, thresholds),
        ("--outcome", choice.outcome, list(dict.fromkeys(outcomes))),
    ):
        if name is not None and name not in names:
            raise ConfigError(f"{option}: {name!r}: expected one of the model's: {', '.join(names) or 'none'}")


def in_thresholds(store: Store, shards: int) -> Iterator[Page]:
    """Every lead that is in a threshold is in its shard's index of due leads, were it due at the end of time."""
    for shard in range(shards):
        cursor: int | None = 0
        while cursor is not None:
            page = store.due_all(shard, cursor)
            cursor = page.next_cursor
            yield Page({shard: page.lead_ids}, len(page.lead_ids))


def _scanned(store: Store) -> Iterator[Page]:
    place: ScanPlace | None = ScanPlace()
    while place is not None:
        page = store.scan_leads(place)
        place = page.next_place
        yield Page(page.lead_ids, page.keys_seen)


def _thresholds_of(lead: LeadAt) -> list[str]:
    """The thresholds the lead is in, in the model's order."""
    if lead.state is None:
        return []
    return [standing.threshold.name for standing in standings_in(lead.state, lead.context.model.thresholds)]


def _ranked_by(choice: Choice, model: CompiledModel) -> CompiledScore:
    """The score of the threshold asked for, else the main one."""
    return next((threshold.score for threshold in model.thresholds if threshold.name == choice.threshold), model.main)


def _ranking_score(lead: LeadAt, state: LeadState, choice: Choice) -> Score:
    model = lead.context.model
    return score_at(Outlook(state, model), _ranked_by(choice, model), lead.at_ms)


def _listed(lead: LeadAt, state: LeadState, choice: Choice) -> ListedLead:
    model = lead.context.model
    outlook = Outlook(state, model)
    score, *others = [score_at(outlook, one, lead.at_ms) for one in model.scores]
    reasons = top_reasons(outlook, _ranked_by(choice, model), lead.at_ms)
    return ListedLead(
        lead_id=lead.lead_id,
        score=score.value,
        scores={one.name: other.value for one, other in zip(model.scores[1:], others, strict=True)},
        band=model.band_of(score.value),
        grade=model.grade_of(score.fit),
        thresholds=_thresholds_of(lead),
        disqualified=disqualified(outlook, lead.at_ms),
        suspended=is_suspended(state),
        outcome=latest_outcome(state, model),
        recycled_until_ms=_recycled_until_ms(state, model, lead.at_ms),
        reason=reasons[0] if reasons else None,
        entered_ms=_entered_ms(lead, state, choice),
        latest_record_ms=state.latest_record_ms,
        at_ms=lead.at_ms,
    )


def _recycled_until_ms(state: LeadState, model: CompiledModel, at_ms: int) -> int | None:
    ends = (recycled_until_ms(state, model, threshold) for threshold in model.thresholds)
    return max((until_ms for until_ms in ends if until_ms is not None and at_ms < until_ms), default=None)


def _entered_ms(lead: LeadAt, state: LeadState, choice: Choice) -> int | None:
    standings = standings_in(state, lead.context.model.thresholds)
    chosen_ones = (one.state for one in standings if choice.threshold in (None, one.threshold.name))
    return max((entry.entered_ms for entry in chosen_ones), default=None)


def _lines(leads: list[ListedLead]) -> list[str]:
    if not leads:
        return ["no such leads"]
    others = list(dict.fromkeys(name for lead in leads for name in lead.scores))
    rows: list[tuple[str, ...]] = [
        ("", "lead", "score", *others, "band", "grade", "in", "top reason", "entered", "latest", "")
    ]
    rows += [_row(number, lead, others) for number, lead in enumerate(leads, start=1)]
    kept = fitting(rows, output_columns(), [place + len(others) for place in _EXPENDABLE])
    return aligned(chosen(rows, kept), right=(0, *(kept.index(2 + place) for place in range(1 + len(others)))))


def _row(number: int, lead: ListedLead, others: list[str]) -> tuple[str, ...]:
    notes = [f"disqualified: {lead.disqualified}"] if lead.disqualified is not None else []
    notes += ["suspended"] if lead.suspended else []
    notes += [outcome_text(lead.outcome, lead.at_ms)] if lead.outcome is not None else []
    notes += [f"given back until {minute(lead.recycled_until_ms)}"] if lead.recycled_until_ms is not None else []
    return (
        str(number),
        lead.lead_id,
        f"{lead.score:.1f}",
        *(f"{lead.scores[name]:.1f}" if name in lead.scores else "" for name in others),
        lead.band,
        lead.grade,
        ", ".join(lead.thresholds),
        "" if lead.reason is None else f"{lead.reason.name} {lead.reason.points:+.1f}",
        "" if lead.entered_ms is None else f"{length_of_time(lead.at_ms - lead.entered_ms)} ago",
        f"{length_of_time(lead.at_ms - lead.latest_record_ms)} ago",
        ", ".join(notes),
    )
