"""Seeds of the simulation of the whole worker (``make simulate-faults`` runs more of them), and that it can fail."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings

from leadscore.pipeline.score.shard import Shard
from leadscore.store.shard import ShardWrite
from tests.simulation.simulate import simulate
from tests.simulation.verdict import Violation

ROOT = Path(__file__).parents[2]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation.run", *words]
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONHASHSEED"}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)  # a minute on a busy machine
def test_no_seed_loses_or_doubles_anything() -> None:
    """As many as the profile has examples."""
    ended = run("--seeds", str(settings().max_examples))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_seed_does_the_same_again() -> None:
    one, again = (run("--seeds", "1", "--first", "3") for _ in range(2))
    assert one.stdout == again.stdout
    assert "no violation" in one.stdout


def test_a_worker_without_an_outbox_is_seen_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    pending: Any = Shard.pending

    def without_outbox(shard: Shard, published_below: int) -> ShardWrite:
        write: ShardWrite = pending(shard, published_below)
        return msgspec.structs.replace(write, outbox={})

    monkeypatch.setattr(Shard, "pending", without_outbox)
    with pytest.raises(Violation):
        live_through_seeds(200)


def live_through_seeds(number: int) -> None:
    for seed in range(number):
        simulate(seed)
