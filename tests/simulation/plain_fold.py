"""What the log alone makes of everything: folded once, from its first record to its last, without store or crash."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from leadscore.log.records import Forward, LogRecord, decode
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.publishing import json_encoding, output_record
from leadscore.pipeline.score.score_records import json_score_encoding, score_record
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.outputs import Output
from leadscore.store.fence import Fence
from tests.simulation.site import LOG, Site


class Logged(NamedTuple):
    """A record of the log, where it stands and when it came."""

    number: int
    offset: int
    time_ms: int
    record: LogRecord


class PlainFold(NamedTuple):
    """States by shard and lead; crossings and erasures in the order decided; the last that is news of each lead."""

    states: dict[int, dict[str, bytes]]
    published: list[OutputRecord]
    latest: dict[bytes | None, OutputRecord]


def logged(site: Site) -> list[Logged]:
    """Every record that the log ever had."""
    return [
        Logged(number, offset, record.time_ms, decode(record.value or b""))
        for number, log in enumerate(site.kafka.topics[LOG].partitions)
        for offset, record in log.committed_records()
    ]


def plain_fold(site: Site, log: Sequence[Logged]) -> PlainFold:
    """Fold each partition from its beginning to its end."""
    states: dict[int, dict[str, bytes]] = {}
    published: list[OutputRecord] = []
    latest: dict[bytes | None, OutputRecord] = {}
    encoding = json_score_encoding()
    for number in range(site.config.log_partitions):
        shard = _fresh_shard(site, number)
        for one in log:
            if one.number == number:
                published += _records_of(_folded(shard, one))
                latest |= {record.key: record for record in (score_record(news, encoding) for news in shard.news)}
        leads = shard.pending(0).leads
        states[number] = {lead_id: lead.state for lead_id, lead in leads.items() if lead.state is not None}
    return PlainFold(states, published, latest)


def _fresh_shard(site: Site, number: int) -> Shard:
    latest = LatestScores(site.config.scores_step) if site.config.scores_topic else None
    fence = Fence("", -1, 0, 0, {})
    return Shard(number, None, fence, site.model_of_version, site.versions[1].settings, latest)


def _folded(shard: Shard, logged_record: Logged) -> list[Output]:
    unknown = shard.unknown_leads(leads_of(logged_record.record))
    shard.load(unknown, [None] * len(unknown))
    return shard.fold(logged_record.record, logged_record.offset, logged_record.time_ms)


def _records_of(outputs: Iterable[Output]) -> Iterator[OutputRecord]:
    encoding = json_encoding()
    return (output_record(output, encoding) for output in outputs if not isinstance(output, Forward))
