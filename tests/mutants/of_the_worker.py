"""Errors in how the worker delivers: what is wrong, where it is planted, and which experiment must catch it.

The texts are those of the source; ``tests/unit/test_mutants.py`` keeps them up to date. ``make worker-mutants`` plants
one after the other and writes into ``docs/mutants.md`` what caught which.
"""

from typing import NamedTuple

from tests.mutants.table import Mutant

STAGE = "pipeline/score/stage.py"
BATCH = "pipeline/score/batch.py"
SHARD = "pipeline/score/shard.py"
RECONCILE = "pipeline/score/reconcile.py"
REPLACED = "pipeline/score/replaced.py"
PUBLISHER = "pipeline/score/publisher.py"
CLEARING = "pipeline/score/clearing.py"
UNCOMMITTED = "pipeline/score/uncommitted.py"
ACCEPT_GAP = "cli/accept_gap.py"
MATCH = "pipeline/match/stage.py"
MATCH_BATCH = "pipeline/match/batch.py"
DEAD_LETTERS = "pipeline/match/dead_letters.py"
CLIENTS = "pipeline/kafka/clients.py"
COMMITS = "pipeline/kafka/commits.py"
RECORDS = "log/records.py"
CROSSING_IDS = "scoring/crossing_ids.py"
SIMULATION = "make simulate-faults"


class WorkerMutant(NamedTuple):
    """An error, and what must catch it: the simulation, or a test by its name."""

    mutant: Mutant
    caught_by: str = SIMULATION


def _simulated(wrong: str, file: str, old: str, new: str) -> WorkerMutant:
    return WorkerMutant(Mutant(wrong, file, old, new))


WORKER_MUTANTS = (
    # --- what is committed before what it stands for
    _simulated(
        "source offsets are committed before the frames are acknowledged",
        MATCH,
        "        self._limit.count(work.counted())\n",
        "        self.commits.stage(work.offsets)\n        self._limit.count(work.counted())\n",
    ),
    _simulated(
        "log offsets are committed before the crossings are acknowledged",
        STAGE,
        "        self._publisher.publish(decided, self._offsets(batch.offsets(written)))\n",
        "        self.commits.stage(self._offsets(batch.offsets(written)))\n"
        "        self._publisher.publish(decided, {})\n",
    ),
    _simulated(
        "log offsets are committed before the forwards are acknowledged",
        PUBLISHER,
        "                    deliveries.produce(batch, record, output, topic)\n",
        "                    is_forward = topic == self._topics.log_topic\n"
        "                    deliveries.produce(type(batch)({}) if is_forward else batch, record, output, topic)\n",
    ),
    _simulated(
        "log offsets are committed before the latest scores",
        STAGE,
        "        commits.together = self._uncommitted\n",
        "        commits.together = None\n",
    ),
    # --- the fence
    _simulated(
        "a write that found another fence goes on from that one",
        STAGE,
        "        self._lose_fences(writes.keys() - written)\n        return written\n",
        "        for number in writes.keys() - written:\n"
        "            self._shards.owned[number].shard.stored = stored[number]\n"
        "        return written\n",
    ),
    _simulated(
        "a new owner's fences are those of the old one",
        STAGE,
        'fence = replace(decode_fence(stored.fence or b""), writer=uuid4().hex)',
        'fence = decode_fence(stored.fence or b"")',
    ),
    WorkerMutant(
        Mutant(
            "Redis writes whatever fence is stored",
            "store/write_shard.lua",
            'if (stored_fence or "") ~= expected_fence then\n',
            "if false then\n",
        ),
        "tests/integration/test_store.py::test_the_real_store_keeps_the_contract",
    ),
    # --- positions
    _simulated(
        "source positions of frames are ignored",
        SHARD,
        "            if award.offset < seen[source] or award.offset == before[source]:\n",
        "            if False:\n",
    ),
    _simulated(
        "source positions of forwards are ignored",
        SHARD,
        "            if forward.position <= seen:\n",
        "            if False:\n",
    ),
    _simulated(
        "the leader epoch of an input is ignored",
        SHARD,
        "seen_offset(self._sources.get(source_key(source), NOTHING_SEEN), source.leader_epoch) for source in sources",
        "seen_offset(self._sources.get(source_key(source), NOTHING_SEEN), -1) for source in sources",
    ),
    _simulated(
        "the position of a forward is its cause's offset alone",
        RECORDS,
        "    return cause_offset * FORWARDS_PER_CAUSE + index\n",
        "    return cause_offset * FORWARDS_PER_CAUSE\n",
    ),
    _simulated(
        "a recreated topic is taken for the one before it",
        SHARD,
        '    return f"{source.topic}/{source.topic_id}/{source.partition}"\n',
        '    return f"{source.topic}/{source.partition}"\n',
    ),
    # --- crossings
    _simulated(
        "the id of a crossing is drawn",
        CROSSING_IDS,
        '    return _uuid5(_NAMESPACE, f"{model}\\x1f{lead_id}\\x1f{threshold}\\x1f{record_type}\\x1f{record_id}")\n',
        '    return __import__("uuid").uuid4().bytes\n',
    ),
    _simulated(
        "the outbox is not written",
        SHARD,
        "            outbox={offset: data for offset, data in self._outbox.items() if offset >= published_below},\n",
        "            outbox={},\n",
    ),
    _simulated(
        "what a replay after a loss causes is published again",
        BATCH,
        "if caused.offset >= publish_from]",
        "]",
    ),
    # --- answers that do not come
    _simulated(
        "the client's retries are trusted: no idempotent producer",
        CLIENTS,
        '    "enable.idempotence": True,\n',
        '    "enable.idempotence": False,\n',
    ),
    _simulated(
        "a failed commit is taken for confirmed",
        COMMITS,
        "            if error is not None or answer.error is not None:\n",
        "            if False:\n",
    ),
    _simulated(
        "a transaction that is not answered in time is taken for done: Kafka is not asked",
        UNCOMMITTED,
        "        return self._transactions.is_ready or not self.has_outputs\n",
        "        return True\n",
    ),
    _simulated(
        "a refused dead letter is taken for stored",
        DEAD_LETTERS,
        "            if error is None:\n                self._acknowledged",
        "            if True:\n                self._acknowledged",
    ),
    _simulated(
        "dead letters do not hold up the frames of their batch",
        MATCH,
        "        if work is None or not parts.dead_letters.settle(deadline, self._now_s):\n",
        "        if work is None:\n",
    ),
    # --- C, the committed offset of the log
    _simulated(
        "C off by one: what was caused at C is taken for published",
        RECONCILE,
        "        return Start(Found.CURRENT, fence.offset + 1, committed)\n",
        "        return Start(Found.CURRENT, fence.offset + 1, committed + 1)\n",
    ),
    _simulated(
        "C off by one: the last record of a batch is not committed",
        BATCH,
        "self.messages[number][-1].offset + 1 for number",
        "self.messages[number][-1].offset for number",
    ),
    _simulated(
        "C off by one: the outbox of C is dropped",
        STAGE,
        "self._shards.owned[number].publish_from)\n",
        "self._shards.owned[number].publish_from) + 1\n",
    ),
    _simulated(
        "C goes back while a shard replays",
        BATCH,
        " if end > self._owned[number].publish_from}",
        "}",
    ),
    # --- the fold and the log
    _simulated(
        "a clock in the fold",
        SHARD,
        "        since_ms = self._model_since_ms or None\n",
        "        since_ms = self._model_since_ms or None\n"
        '        log_time_ms = __import__("time").time_ns() // 1_000_000\n',
    ),
    _simulated(
        "a gap in the log is ignored",
        RECONCILE,
        "    if fence.offset + 1 < facts.low:\n",
        "    if fence.offset + 1 < facts.low:\n"
        "        return Start(Found.BEHIND, facts.low, committed)\n"
        "    if False:\n",
    ),
    _simulated(
        "another log is taken for the one of the states",
        RECONCILE,
        "    if fence.log_topic_id != facts.log_topic_id:\n",
        "    if False:\n",
    ),
    _simulated(
        "without a fence the log is replayed over the leads that are left",
        CLEARING,
        "    while ours and place is not None:\n",
        "    while False:\n",
    ),
    _simulated(
        "without a fence the shard begins anew, whatever was committed",
        RECONCILE,
        "    if committed == 0 and facts.low == 0:\n",
        "    if facts.low == 0:\n",
    ),
    # --- a log that has lost its end
    _simulated(
        "a log that was written on after it lost its end is gone on with",
        REPLACED,
        "                if partition not in epochs or epochs[partition] > record.leader_epoch:\n",
        "                if False:\n",
    ),
    _simulated(
        "the end of a transaction in the place of an applied record is no record, and says nothing",
        REPLACED,
        "                if partition not in epochs or epochs[partition] > record.leader_epoch:\n",
        "                if epochs.get(partition, -1) > record.leader_epoch:\n",
    ),
    _simulated(
        "a committed offset beyond the end of the log says nothing",
        RECONCILE,
        '        raise _stopped(facts, StopCause.AHEAD_OF_LOG, f"the committed',
        '        facts.committed and (facts, f"the committed',
    ),
    _simulated(
        "after an accepted gap forwards are numbered as those of before",
        ACCEPT_GAP,
        "fence.log_incarnation + 1 if goes_back else fence.log_incarnation,\n",
        "fence.log_incarnation,\n",
    ),
    # --- partitions that come and go
    _simulated(
        "offsets of a lost assignment are committed",
        STAGE,
        "        self._publisher.drop(partitions)\n        self.commits.drop(partitions)\n",
        "",
    ),
    _simulated(
        "what was read of a lost source partition is matched",
        MATCH,
        "            self._give_up_buffered(partition)\n            if self._work",
        "            if self._work",
    ),
)
