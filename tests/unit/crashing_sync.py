"""The CRM sync of examples/, on records in any order of partitions, with crashes and late repeats on the way."""

from pathlib import Path
from random import Random
from typing import Any

from crm_sync.__main__ import Sync
from subscriber import Answer
from tests.http_stand_in import Crm, Request

ROOT = Path(__file__).resolve().parents[2]
Record = dict[str, Any] | str
"""A crossing, or the id of an erased lead."""
Records = dict[str, list[Record]]
"""By lead, in the order decided."""


class Crash(Exception):
    """The program is killed."""


class CrashingApi:
    """Calls the stand-in without HTTP; ``crash_in`` requests from now the program dies, before or after the work."""

    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self.crash_in: int | None = None
        self.after_the_work = False

    def call(self, method: str, path: str, body: object = None, *, also: tuple[int, ...] = ()) -> Answer:
        if self.crash_in is not None:
            self.crash_in -= 1
        crashes = self.crash_in == 0
        if crashes and not self.after_the_work:
            raise Crash
        path, _, query = path.partition("?")
        pairs = dict(pair.split("=") for pair in query.split("&")) if query else {}
        answer = self._crm.do(Request(method, tuple(path.strip("/").split("/")), pairs, body))
        if crashes:
            raise Crash
        assert answer.status < 300 or answer.status in also, f"{method} {path}: {answer}"
        return Answer(answer.status, answer.body)


def run(partitions: Records, random: Random) -> Crm:
    """Read the partitions in any order, with crashes and with records that come again late."""
    crm = Crm()
    api = CrashingApi(crm)
    sync = Sync(api, None)  # type: ignore[arg-type]
    waiting = {lead: list(records) for lead, records in partitions.items()}
    while waiting:
        lead = random.choice(sorted(waiting))
        api.crash_in, api.after_the_work = random.choice([None, *range(1, 8)]), random.random() < 0.5
        try:
            work(sync, waiting[lead][0])
        except Crash:
            continue
        finally:
            api.crash_in = None
        done = waiting[lead].pop(0)
        if not waiting[lead]:
            del waiting[lead]
        if random.random() < 0.3 and not any(isinstance(record, str) for record in partitions[lead]):
            work(sync, random.choice(partitions[lead][: partitions[lead].index(done) + 1]))
    return crm


def work(sync: Sync, record: Record) -> None:
    if isinstance(record, str):
        sync.forget(record)
    else:
        sync.cross(record)


def tasks(crm: Crm, state: str = "open") -> dict[str, str]:
    """Contact by external id."""
    return {key: task["contact"] for key, task in crm.tasks.items() if task["state"] == state}
