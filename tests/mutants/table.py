"""The planted errors: what is wrong, in which file, the text there, and the text in its place."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One error; ``old`` stands exactly once in the file."""

    wrong: str
    file: str
    old: str
    new: str


BEFORE = "scoring/before.py"
BY_ID = "scoring/by_id.py"
COMPILED = "model/compiled.py"
COMPILE = "model/compile.py"
CONDITIONS = "scoring/conditions.py"
COURSE = "scoring/course.py"
CROSSING_IDS = "scoring/crossing_ids.py"
DISQUALIFICATION = "scoring/disqualification.py"
ERASURES = "scoring/erasures.py"
FLAGS = "scoring/flags.py"
FOLD = "scoring/fold.py"
LEADS = "scoring/leads.py"
MATCHING = "model/matching.py"
MERGING = "scoring/merging.py"
ABSORBING = "scoring/absorbing.py"
UNION = "scoring/union.py"
SHARD = "pipeline/score/shard.py"
RECORDS = "log/records.py"
OUTCOMES = "scoring/outcomes.py"
PER_EVENT = "model/per_event.py"
RECENT = "scoring/recent.py"
RECYCLING = "scoring/recycling.py"
SCORE = "scoring/score.py"
THRESHOLDS = "scoring/thresholds.py"
TIMELINE = "scoring/timeline.py"
TOTALS = "scoring/totals.py"
SELECTION = "scoring/selection.py"
SURE_STAY = "scoring/sure_stay.py"

MUTANTS = (
    # --- the seven of the issue
    Mutant(
        "wrong weight at a step's edge",
        COMPILED,
        "return self.weights[age_days] if age_days < len(self.weights) else 0.0",
        "return self.weights[max(0, age_days - 1)] if age_days <= len(self.weights) else 0.0",
    ),
    Mutant(
        "clamp on write",
        TOTALS,
        "    state.rows = inserted(state.rows, at, number)\n",
        "    state.rows = inserted(state.rows, at, number)\n"
        "    for index, total in enumerate(state.totals):\n"
        "        rule = model.rules.get(state.rules[index])\n"
        "        if rule is not None and not isinstance(total, dict):\n"
        "            state.totals[index] = max(-rule.maximum, min(rule.maximum, total))\n",
    ),
    Mutant(
        "limit by arrival",
        TOTALS,
        "            selective.append(index)\n",
        "            same = [row for row in live_rows(state, index)"
        " if bucket_of(rule.selection, time_of(row)) == bucket_of(rule.selection, time_of(at))]\n"
        "            if rule.selection.limit_times and len(same) >= rule.selection.limit_times:\n"
        "                return\n"
        "            selective.append(index)\n",
    ),
    Mutant("newcomer punished", CONDITIONS, "since = [self._since_ms, ", "since = [-NEVER, "),
    Mutant(
        "id from a counter",
        THRESHOLDS,
        "    entered = _enter_id(award, threshold, context)\n",
        "    entered = enter_id(context.model.name, award.lead_id, threshold.name, award.type, str(len(state.rows)))\n",
    ),
    Mutant(
        "cooldown from the leave",
        THRESHOLDS,
        "is_in=False, held=False, sequence=sequence))",
        "is_in=False, held=False, sequence=sequence, entered_ms=decision.at_ms))",
    ),
    Mutant(
        "a leave takes no number",
        THRESHOLDS,
        "sequence = entry.sequence + 1",
        "sequence = entry.sequence",
    ),
    Mutant(
        "every enter is the first",
        THRESHOLDS,
        "sequence = 1 if before is None else before.sequence + 1",
        "sequence = 1",
    ),
    Mutant(
        "time entering: what time raised lets any record enter",
        THRESHOLDS,
        "return decision.after.of(score).unclamped > decision.before.of(score).unclamped + EPSILON",
        "return True",
    ),
    Mutant(
        "time entering: what time raised is taken for the record's",
        FOLD,
        "return before_event(state, model, tau_ms)",
        "return before_event(state, model, latest_ms(state))",
    ),
    # --- events
    Mutant("deduplication off", FOLD, "if find(state.rows, hashed) >= 0 or (", "if ("),
    Mutant(
        "late event dropped",
        FOLD,
        "    at = at_of(occurred_ms, hashed)\n",
        "    at = at_of(occurred_ms, hashed)\n    if occurred_ms < state.latest_record_ms:\n"
        "        return state, NO_CROSSINGS\n",
    ),
    Mutant(
        "late event moves the latest time back",
        FOLD,
        "tau_ms = max(latest_ms(state), occurred_ms)",
        "tau_ms = max(state.latest_record_ms, occurred_ms)",
    ),
    Mutant(
        "equal times decided by arrival",
        RECENT,
        "if rows[-ROW:-1] < at:",
        "if rows[-ROW:-9] <= at[:6]:",
    ),
    # --- rules
    Mutant(
        "half-life the wrong way round",
        SCORE,
        "return total * 2.0 ** (-age_ms / rule.decay.half_life_ms)",
        "return total * 2.0 ** (age_ms / rule.decay.half_life_ms)",
    ),
    Mutant(
        "a late event's points have not decayed",
        TOTALS,
        "totals[index] += points * 2.0 ** ((time_ms - latest_ms) / decay.half_life_ms)",
        "totals[index] += points",
    ),
    Mutant(
        "burst's interval open",
        SELECTION,
        "times[first] <= within_ms:",
        "times[first] < within_ms:",
    ),
    Mutant(
        "limit before once_per",
        SELECTION,
        "        rows = _first_per_value(state, rule, rows, set(settled.values or ()))\n",
        "        if selection.limit_times:\n"
        "            rows = _within_limit(rows, selection, dict(settled.buckets or {}))\n"
        "        rows = _first_per_value(state, rule, rows, set(settled.values or ()))\n",
    ),
    Mutant("week from Thursday", SELECTION, "(day + 3) // 7", "day // 7"),
    Mutant(
        "once_per by the latest",
        SELECTION,
        "        rows = _first_per_value(state, rule, rows, set(settled.values or ()))\n",
        "        rows = _first_per_value(state, rule, rows[::-1], set(settled.values or ()))[::-1]\n",
    ),
    Mutant(
        "what does not count qualifies",
        THRESHOLDS,
        "rows = counted_rows(state, rule, live_rows(state, state.rules.index(rule.rule_id)))",
        "rows = live_rows(state, state.rules.index(rule.rule_id))",
    ),
    Mutant(
        "recycled by the earliest event",
        RECYCLING,
        "(at, rule.recycles.for_ms) > (latest_at, longest_ms)",
        "(latest_at or at, longest_ms) >= (at, rule.recycles.for_ms)",
    ),
    Mutant("recycled a moment too long", RECYCLING, "at_ms < until_ms", "at_ms <= until_ms"),
    Mutant(
        "a reset does not lift what recycles",
        SELECTION,
        "(flags.reset_ms is not None and settled_ms <= flags.reset_ms)",
        "False",
    ),
    Mutant(
        "what is no longer recent does not recycle",
        TOTALS,
        "if rule.recycles is not None or rule.outcome is not None:",
        "if False:",
    ),
    Mutant(
        "a rule recycles its first threshold only",
        COMPILE,
        "Recycling(_ids(recycles.thresholds), ",
        "Recycling(_ids(recycles.thresholds[:1]), ",
    ),
    Mutant(
        "recycling comes after the score",
        THRESHOLDS,
        """        elif threshold.threshold_id in recycled:
            crossings.append(_leave(state, lead_id, standing, decision.caused(Cause.RECYCLED), context))
        elif entry.held and""",
        """        elif threshold.threshold_id in recycled and score >= threshold.exit:
            crossings.append(_leave(state, lead_id, standing, decision.caused(Cause.RECYCLED), context))
        elif entry.held and""",
    ),
    Mutant(
        "an outcome is counted again and again", OUTCOMES, " and not _was_said(state, model, name, at, entered_ms)", ""
    ),
    Mutant(
        "an outcome of what was before the enter",
        OUTCOMES,
        "if award.occurred_at_ms >= entered_ms and",
        "if",
    ),
    Mutant("an outcome is spared", COMPILE, " or rule.outcome is not None,", ","),
    Mutant(
        "an outcome of the enter that it brings about",
        FOLD,
        """    if model.outcomes and award.rules:  # before step 4: about the enters so far
        context.outcomes += outcomes_of(state, award, model)
    outlook = Outlook(state, model)
    # steps 3 and 4
    trigger = trigger_of(topic, award)
    cause = Cause.EVENT if is_event else Cause.COMMAND
    decision = Decision(cause, trigger, before, ScoresAt(outlook, tau_ms))
    crossed = cross(state, award, decision, context)
""",
        """    outlook = Outlook(state, model)
    # steps 3 and 4
    trigger = trigger_of(topic, award)
    cause = Cause.EVENT if is_event else Cause.COMMAND
    decision = Decision(cause, trigger, before, ScoresAt(outlook, tau_ms))
    crossed = cross(state, award, decision, context)
    if model.outcomes and award.rules:
        context.outcomes += outcomes_of(state, award, model)
""",
    ),
    Mutant(
        "a record that recycles is spared",
        COMPILE,
        " and rule.recycles is None",
        "",
    ),
    Mutant(
        "requalify lifts what has its own time",
        DISQUALIFICATION,
        "requalified_ms > time_of(latest_at)",
        "requalified_ms >= time_of(latest_at)",
    ),
    Mutant(
        "reason by order of arrival",
        DISQUALIFICATION,
        "(at, latest.name) > (latest_at, rule.name)",
        "at > latest_at",
    ),
    Mutant(
        "1.0 another value than 1",
        PER_EVENT,
        "if isinstance(value, float) and value.is_integer():",
        "if False:",
    ),
    Mutant(
        "what a burst sets free enters nothing",
        FOLD,
        "if state.rows and award.occurred_at_ms <= state.latest_record_ms:\n        return True",
        "pass",
    ),
    # --- conditions
    Mutant(
        "count's window closed at its start",
        CONDITIONS,
        "return at_ms < self._turn(test)",
        "return at_ms <= self._turn(test)",
    ),
    Mutant("quiet a moment too early", CONDITIONS, "test.within_ms + 1", "test.within_ms"),
    Mutant(
        "adjustment is a first event",
        CONDITIONS,
        "if ADJUST_RULE_ID in state.rules:",
        "if False:",
    ),
    Mutant(
        "disqualified by time named TIME",
        TIMELINE,
        "return Leave(start_ms, Cause.DISQUALIFIED)",
        "return Leave(start_ms, Cause.TIME)",
    ),
    Mutant(
        "a condition that is required does not matter",
        THRESHOLDS,
        "if not outlook.holds(condition.test, at_ms):",
        "if False:",
    ),
    # --- fit
    Mutant("attribute's first value wins", FLAGS, "present.at < value.at", "present.at > value.at"),
    Mutant("a grade asks for the last bit", COMPILED, "if fit >= smallest - EPSILON:", "if fit >= smallest:"),
    # --- thresholds
    Mutant(
        "leave's id drawn",
        CROSSING_IDS,
        'return _uuid5(entered, "leave")',
        'return __import__("uuid").uuid4().bytes',
    ),
    Mutant(
        "held forgotten",
        THRESHOLDS,
        "held = decision.cause is Cause.INSTANT and score.value <= threshold.exit + EPSILON",
        "held = False",
    ),
    Mutant(
        "hold never ends by a record",
        THRESHOLDS,
        "if decision.after.of(threshold.score).value > threshold.exit + EPSILON:",
        "if False:",
    ),
    Mutant(
        "gates ignored: engagement and fit",
        THRESHOLDS,
        "if score.engagement < threshold.require_engagement - EPSILON or score.fit < threshold.require_fit - EPSILON:",
        "if False:",
    ),
    Mutant(
        "gates ignored: grade",
        THRESHOLDS,
        "return grade is None or ",
        "return True or ",
    ),
    Mutant(
        "cooldown not over at its end",
        THRESHOLDS,
        "at_ms < entry.entered_ms + threshold.cooldown_ms",
        "at_ms <= entry.entered_ms + threshold.cooldown_ms",
    ),
    Mutant(
        "leaves at exit, not below it",
        THRESHOLDS,
        "elif decision.after.of(threshold.score).value < threshold.exit - EPSILON:",
        "elif decision.after.of(threshold.score).value <= threshold.exit:",
    ),
    Mutant(
        "enters above enter, not at it",
        THRESHOLDS,
        "if score.value < threshold.enter - EPSILON:",
        "if score.value <= threshold.enter:",
    ),
    Mutant(
        "leave by time dated when noticed",
        THRESHOLDS,
        "scores = ScoresAt(outlook, due.leave.at_ms)",
        "scores = ScoresAt(outlook, until_ms)",
    ),
    Mutant(
        "leave by time does not move the latest time",
        THRESHOLDS,
        "flags_of(state).left_ms = due_leaves[-1].leave.at_ms",
        "pass",
    ),
    Mutant(
        "lowest threshold left first",
        COMPILED,
        "key=lambda threshold: (-threshold.exit, threshold.name)",
        "key=lambda threshold: (threshold.exit, threshold.name)",
    ),
    Mutant(
        "disqualified may enter",
        THRESHOLDS,
        "if reason is not None or is_suspended(state):",
        "if is_suspended(state):",
    ),
    # --- commands
    Mutant(
        "suspended enters",
        THRESHOLDS,
        "if reason is not None or is_suspended(state):",
        "if reason is not None:",
    ),
    Mutant(
        "suspension by arrival",
        FOLD,
        "if flags.suspension is None or flags.suspension.at < at:",
        "if True:",
    ),
    Mutant(
        "reset spares what is at its instant",
        SELECTION,
        'first_live = at_of(reset_ms + 1, b"")',
        'first_live = at_of(reset_ms, b"")',
    ),
    Mutant(
        "what comes after a reset for its instant counts",
        TOTALS,
        "is_live = flags is None or ",
        "is_live = flags is None or flags.reset_ms == time_ms or ",
    ),
    Mutant(
        "reset lifts a disqualification",
        DISQUALIFICATION,
        "flags = state.flags\n",
        "flags = state.flags\n    if flags is not None and flags.reset_ms is not None:\n        return None\n",
    ),
    Mutant(
        "a rule is active at the instant of until",
        PER_EVENT,
        "<= occurred_ms < self._until_ms",
        "<= occurred_ms <= self._until_ms",
    ),
    Mutant(
        "a missing number gives the least points",
        PER_EVENT,
        "        return 0\n",
        "        value = 0\n",
    ),
    Mutant(
        "a month of one year is that of another",
        SELECTION,
        "return month.year * 12 + month.month",
        "return month.month",
    ),
    Mutant(
        "one id of two types is one event",
        MATCHING,
        'f"{event_type}\\x1f{event_id}"',
        "event_id",
    ),
    Mutant(
        "a retraction without a type finds what no rule names when it comes later",
        FOLD,
        "award.type in model.event_types and ",
        "",
    ),
    Mutant(
        "an event of an old state is not recognised",
        BY_ID,
        "    return start >= 0 and _may_be_of(",
        "    return start < 0 and _may_be_of(",
    ),
    Mutant(
        "an event of an old state is recognised in one of another type",
        BY_ID,
        "    return not types or any(event_type in of_rule for of_rule in types)",
        "    return True",
    ),
    Mutant(
        "a retraction of an old state is forgotten",
        FOLD,
        "    return flags.by_id is not None and is_retracted(flags.by_id, award, model)",
        "    return False",
    ),
    Mutant(
        "retraction not remembered",
        FOLD,
        "remember_retraction(flags, award.target, award.target_type, occurred_ms, context.settings.recent_events)",
        "pass",
    ),
    Mutant(
        "erased lead comes back by what has the erase's time",
        ERASURES,
        "award.occurred_at_ms <= erasure.erased_ms",
        "award.occurred_at_ms < erasure.erased_ms",
    ),
    # --- state
    Mutant(
        "never forgotten",
        FOLD,
        "> model.forget_after_ms and _is_worthless(state, context):",
        "> model.forget_after_ms and False:",
    ),
    Mutant(
        "forgotten by age alone",
        FOLD,
        "> model.forget_after_ms and _is_worthless(state, context):",
        "> model.forget_after_ms:",
    ),
    Mutant(
        "forgotten while in a threshold",
        FOLD,
        "if any(entry.is_in for entry in state.thresholds) or is_suspended(state):\n        return False",
        "if is_suspended(state):\n        return False",
    ),
    Mutant(
        "a new version's bands stand for points earned before",
        FOLD,
        "if has_values or has_attributes(state.flags):",
        "if False:",
    ),
    Mutant(
        "what fell out stays young under a version with days",
        TOTALS,
        "residue = {state.latest_record_ms // DAY_MS: residue}",
        "pass",
    ),
    # --- several scores
    Mutant(
        "a group that is not in main counts for the main score",
        "model/definition.py",
        "in_main = [name for name, group in self.groups.items() if group.in_main]",
        "in_main = list(self.groups)",
    ),
    Mutant(
        "what has no group counts for every score",
        SCORE,
        "engagement = sums[-1] if score.counts[-1] else 0.0",
        "engagement = sums[-1]",
    ),
    Mutant(
        "every score counts the fit",
        SCORE,
        "total = engagement + fit if score.counts_fit else engagement",
        "total = engagement + fit",
    ),
    Mutant(
        "a threshold is of the main score whatever it says",
        COMPILE,
        "_threshold(name, threshold, by_name[threshold.of], gates)",
        "_threshold(name, threshold, scores[0], gates)",
    ),
    Mutant(
        "a record that raises the main score raises every score",
        THRESHOLDS,
        "    score = threshold.score\n    return decision.after.of(score)",
        "    score = decision.outlook.model.main\n    return decision.after.of(score)",
    ),
    Mutant(
        "the reasons are those of the main score",
        THRESHOLDS,
        "reasons=top_reasons(decision.outlook, threshold.score, at_ms)",
        "reasons=top_reasons(decision.outlook, model.main, at_ms)",
    ),
    Mutant(
        "the name of the score is left out",
        THRESHOLDS,
        "score_name=None if threshold.score.is_main else threshold.score.name",
        "score_name=None",
    ),
    Mutant(
        "a leave by time is looked for on every rule",
        COURSE,
        "if rule is not None and total and score.counts[rule.group]:",
        "if rule is not None and total:",
    ),
    Mutant(
        "a sure stay counts what is of another score",
        SURE_STAY,
        "if rule is None or not total or not score.counts[rule.group]:",
        "if rule is None or not total:",
    ),
    Mutant(
        "a sure stay counts the fit whichever the score",
        SURE_STAY,
        "total = fit_at(outlook) if score.counts_fit else 0.0",
        "total = fit_at(outlook)",
    ),
    Mutant(
        "a stay is held to the floor of the main score",
        SURE_STAY,
        "if threshold.score.floor < threshold.exit:",
        "if model.main.floor < threshold.exit:",
    ),
    Mutant(
        "only the main score can be reached",
        FOLD,
        "for score in model.crossed:",
        "for score in model.crossed[:1]:",
    ),
    # --- what is spared
    Mutant(
        "what a lead can reach is bounded without what the record gives",
        SCORE,
        "sums[rule.group] += points",
        "sums[rule.group] += 0",
    ),
    Mutant(
        "what a lead can reach is bounded without the conditions that the record may make true",
        SCORE,
        "            for award in more.rules:\n                if award.rule_id in needed:",
        "            for award in more.rules[:0]:\n                if award.rule_id in needed:",
    ),
    Mutant(
        "what a lead can reach is bounded without the conditions that count events",
        SCORE,
        "if not _may_be_earned(earned, self._state, self._more):\n                    self._sums",
        "if earned:\n                    self._sums",
    ),
    Mutant(
        "what a lead can reach is bounded without the conditions that count no events",
        SCORE,
        "sums, totals = list(model.condition_upper_bounds), ",
        "sums, totals = [0.0] * len(model.condition_upper_bounds), ",
    ),
    Mutant(
        "the score before an event is that after it",
        BEFORE,
        "Outlook(copied(state), model)",
        "Outlook(state, model)",
    ),
    Mutant(
        "the latest event counts beyond its limit",
        SELECTION,
        "return used < limit\n",
        "return used <= limit\n",
    ),
    Mutant(
        "a limit forgets what counted earlier in the month",
        SELECTION,
        '"month": 31 * DAY_MS',
        '"month": 7 * DAY_MS',
    ),
    Mutant(
        "the latest event counts a second time for its value",
        SELECTION,
        "if value in (settled_of(state, rule.rule_id).values or ()):\n        return False",
        "pass",
    ),
    Mutant(
        "a penalty that decays is taken for one that does not",
        COURSE,
        "speed += value / half_life_ms * _weight(at_ms - self._latest_ms, half_life_ms)",
        "speed += max(value, 0.0) / half_life_ms * _weight(at_ms - self._latest_ms, half_life_ms)",
    ),
    Mutant(
        "what a lead can reach is bounded by penalties that decay until then",
        SCORE,
        "is_at_latest = at_ms == state.latest_record_ms",
        "is_at_latest = True",
    ),
    Mutant(
        "a leave is searched for from an instant that may be after it",
        TIMELINE,
        "first_leave(outlook, standing, sure_ms - 1, FAR_MS)",
        "first_leave(outlook, standing, sure_ms + 1, FAR_MS)",
    ),
    Mutant(
        "a score that stays at the level for a time is taken for one that never falls below",
        TIMELINE,
        "if end >= level and course.lower_bound(start_ms, end_ms) >= level:",
        "if end >= level:",
    ),
    Mutant(
        "looked at again too late",
        TIMELINE,
        "if course.lower_bound(start_ms, stop_ms) < level:\n            return start_ms",
        "if course.lower_bound(start_ms, stop_ms) < level:\n            return stop_ms",
    ),
    Mutant(
        "a leave by time is not looked for before a record",
        FOLD,
        "if state.due_ms is not None and state.due_ms < tau_ms:",
        "if False:",
    ),
    Mutant(
        "a leave by time comes before the record of its instant",
        FOLD,
        "leave_by_time(state, award.lead_id, tau_ms - 1, context)",
        "leave_by_time(state, award.lead_id, tau_ms, context)",
    ),
    Mutant(
        "limit forgets what fell out of the recent events",
        TOTALS,
        "buckets[oldest] = buckets.get(oldest, 0) + 1",
        "pass",
    ),
    Mutant(
        "first event to arrive falls out, not the earliest",
        TOTALS,
        "    flags, row = flags_of(state), state.rows[:ROW]\n",
        "    state.rows = state.rows[-ROW:] + state.rows[:-ROW]\n    flags, row = flags_of(state), state.rows[:ROW]\n",
    ),
    # --- one person, several ids
    Mutant(
        "forwards that come twice count twice",
        SHARD,
        "if forward.position <= seen:",
        "if forward.position < 0:",
    ),
    Mutant(
        "of what one record puts out only the first counts",
        RECORDS,
        "return cause_offset * FORWARDS_PER_CAUSE + index",
        "return cause_offset * FORWARDS_PER_CAUSE",
    ),
    Mutant(
        "a circle is told by its ids alone",
        MERGING,
        "    here = Hop(lead_id, alias.edge)\n    if here not in hops:\n",
        "    hops = [Hop(hop.alias, 0) for hop in hops]\n    here = Hop(lead_id, 0)\n    if here not in hops:\n",
    ),
    Mutant(
        "whichever alias notices a circle becomes a lead",
        MERGING,
        "return min(hop.alias for hop in hops[hops.index(here) :]) == lead_id",
        "return True",
    ),
    Mutant(
        "a lead that is one person with the other already is merged again",
        MERGING,
        "return min(circle) == lead_id",
        "return False",
    ),
    Mutant(
        "the alias is not among the hops",
        MERGING,
        "hops = [*forward.hops, Hop(award.lead_id, alias.edge)]",
        "hops = forward.hops",
    ),
    Mutant(
        "a merge of an alias goes nowhere",
        MERGING,
        "if is_merge and award.into in (award.lead_id, alias.into):",
        "if is_merge:",
    ),
    Mutant(
        "an erasure does not reach the aliases",
        MERGING,
        "for alias, edge in sorted(edges.items()):",
        "for alias, edge in ():",
    ),
    Mutant(
        "an erased alias is deleted and not remembered",
        MERGING,
        "        return NO_OUTPUTS\n    remember_erasure(erasures, award, context)\n    states[award.lead_id] = None\n",
        "        return NO_OUTPUTS\n    states[award.lead_id] = None\n",
    ),
    Mutant(
        "an alias is never forgotten",
        MERGING,
        "return context.log_time_ms - latest_record_ms > context.model.forget_after_ms",
        "return False",
    ),
    Mutant(
        "a lead out of a circle begins to count its crossings anew",
        MERGING,
        "states[lead_id] = LeadState(context.model.version, award.occurred_at_ms, thresholds=state.thresholds)",
        "states[lead_id] = LeadState(context.model.version, award.occurred_at_ms)",
    ),
    Mutant(
        "an event under two ids counts twice",
        UNION,
        "        if find(state.rows, row[HASH_START:AT]) >= 0:\n",
        "        if False:\n",
    ),
    Mutant(
        "retractions under the other id are not applied",
        UNION,
        "    for hashed in flags.retracted:\n        retract(state, model, hashed)\n",
        "",
    ),
    Mutant(
        "retractions without a type are not applied to the other id's events",
        UNION,
        "            retract(state, model, event_hash(event_type, target))\n",
        "            pass\n",
    ),
    Mutant(
        "a reset under one id is none under the other",
        UNION,
        "        reset(state, model, flags.reset_ms)\n",
        "        pass\n",
    ),
    Mutant(
        "rules with a selection do not see the other id's events",
        UNION,
        "            recount(state, model, index, settled_total(state, index))\n",
        "            pass\n",
    ),
    Mutant(
        "values of once_per stay with their lead",
        UNION,
        "            if value is not None:",
        "            if False:",
    ),
    Mutant(
        "the lead's suspension wins, not the latest",
        UNION,
        "flags.suspension is None or flags.suspension.at < other.suspension.at",
        "flags.suspension is None",
    ),
    Mutant(
        "cooldown counts from the lead's own enter",
        UNION,
        "entered_ms = max(entry.entered_ms, other.entered_ms)",
        "entered_ms = entry.entered_ms",
    ),
    Mutant(
        "what is absorbed brings back what was erased",
        ABSORBING,
        "        forget_until(other, model, erased_ms)\n",
        "        pass\n",
    ),
    Mutant(
        "a merge is evaluated at its own time",
        ABSORBING,
        "tau_ms = max(latest_ms(state), latest_ms(other), award.occurred_at_ms)",
        "tau_ms = max(latest_ms(state), award.occurred_at_ms)",
    ),
    Mutant(
        "what the alias was in is not taken over",
        ABSORBING,
        "frozenset(entry.threshold_id for entry in other.thresholds if entry.is_in)",
        "frozenset[int]()",
    ),
)
