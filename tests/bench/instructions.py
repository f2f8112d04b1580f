"""``make bench-instructions``: machine instructions per event of the hot path, which a busy machine does not change.

Valgrind counts a small fixed stream twice, with and without the measured part; the difference, by the number of events,
is the part's. Counts say what the processor is asked to do, not how long it waits for memory: read them beside the CPU
times of ``make bench-in-process``. A part includes those before it, but for ``fastavro``.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench.clock import machine_facts, print_facts, print_table
from tests.bench.in_process import Bench
from tests.bench.streams import STREAMS, Size

WARM_UP_EVENTS = 500
NOTHING = "nothing"
COUNTED = re.compile(r"Collected : (\d+)")

PARTS: Mapping[str, Callable[[Bench], object]] = {
    NOTHING: lambda _: None,
    "fastavro": lambda bench: bench.decode_with_fastavro(bench.messages),
    "decode": lambda bench: bench.decode(bench.messages),
    "match": lambda bench: bench.match(bench.messages),
    "all": lambda bench: bench.run(),
}


def measure_here(part: str, workload: str, size: Size) -> None:
    """What valgrind runs: warm everything up with the first events, then do the part with all of them, or nothing."""
    stream = STREAMS[workload](size)
    Bench(stream._replace(messages=stream.messages[:WARM_UP_EVENTS])).run()
    PARTS[part](Bench(stream))


def count(part: str, workload: str, size: Size) -> int:
    """The instructions of a process that does the part."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m", __spec__.name]
    options = [f"--{name}={value}" for name, value in size._asdict().items()]
    environ = os.environ | {"PYTHONHASHSEED": "0"}  # else sets and dicts differ from process to process
    done = subprocess.run(
        [*command, workload, *options, "--here", part], env=environ, capture_output=True, text=True, check=False
    )
    counted = COUNTED.search(done.stderr)
    if done.returncode or counted is None:
        raise SystemExit(f"{' '.join(done.args)} ended with {done.returncode}:\n{done.stderr[-4_000:]}")
    return int(counted[1])


def per_event(workload: str, size: Size) -> dict[str, float]:
    """Instructions per event by part."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(PARTS, pool.map(lambda part: count(part, workload, size), PARTS), strict=True))
    return {part: (number - counts[NOTHING]) / size.events for part, number in counts.items() if part != NOTHING}


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "workloads", nargs="*", choices=[*STREAMS, []], metavar="WORKLOAD", help=f"of {', '.join(STREAMS)}"
    )
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--leads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", choices=PARTS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> int:
    """Count, print; nothing is asserted."""
    options = read_options()
    size = Size(options.events, options.leads, options.seed)
    workloads = options.workloads or ["peers", "base"]
    if options.here:
        measure_here(options.here, workloads[0], size)
        return 0
    if shutil.which("valgrind") is None:
        sys.stderr.write("bench-instructions needs valgrind, which is not installed here: apt-get install valgrind\n")
        return 2
    facts = machine_facts()
    print_facts("leadscore bench-instructions", facts | {name: str(value) for name, value in size._asdict().items()})
    counts = {name: per_event(name, size) for name in workloads}
    rows = [(name, *(f"{number:,.0f}" for number in parts.values())) for name, parts in counts.items()]
    print_table(("instructions per event", *(part for part in PARTS if part != NOTHING)), rows)
    sys.stdout.write(json.dumps({"bench": "instructions", **size._asdict(), "facts": facts, "counts": counts}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
