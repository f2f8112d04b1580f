"""The main job on real servers: events in, crossings out, states in Redis."""

import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from leadscore.events.event import Event
from leadscore.ops.allocator import MOST_ARENAS
from tests.deployment import Deployment, now_ms

MODEL = {
    "model": "e2e",
    "version": 1,
    "rules": {
        "pricing_page": {"event": "website.page_view", "where": {"path": {"matches": "^/pricing"}}, "points": 30},
        "mail_click": {"event": "email.click", "points": 10},
    },
    "thresholds": {"mql": {"enter": 55, "exit": 40}},
}


@pytest.mark.lasting_leads
def test_a_lead_crosses_the_threshold_and_the_crossing_is_published(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL)
    worker = deployment.start_worker()
    now = now_ms()
    deployment.send(
        [
            Event("website.page_view", "e1", "L1", now - 2000, {"path": "/pricing"}),
            Event("website.page_view", "e2", "L1", now - 1000, {"path": "/pricing/eu", "campaign": "spring"}),
            Event("website.page_view", "e3", "L2", now - 1000, {"path": "/blog"}),
        ]
    )
    deployment.wait_until_done()
    [crossing] = deployment.crossings()
    assert (crossing["lead_id"], crossing["threshold"], crossing["direction"]) == ("L1", "mql", "ENTER")
    assert crossing["trigger"]["campaign"] == "spring"
    assert crossing["score"] == pytest.approx(60, abs=0.01)
    states = deployment.stored(["L1", "L2"])
    assert states["L1"] is not None
    assert states["L2"] is None
    assert platform.libc_ver()[0] != "glibc" or heaps_of_threads(worker.process.pid) < MOST_ARENAS
    assert worker.terminate() == 0


HEAP_BYTES = 64 * 1024 * 1024


def heaps_of_threads(pid: int) -> int:
    """Those that glibc has made for arenas besides the main one: reserved whole, at a multiple of their size."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    starts = [
        int(start, 16) for start in re.findall(r"^([0-9a-f]+)-[0-9a-f]+ rw-p 00000000 00:00 0 *$", maps, re.MULTILINE)
    ]
    return sum(start % HEAP_BYTES == 0 for start in starts)
