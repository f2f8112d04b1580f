"""``leadscore run`` that looks again after two seconds where others do after thirty; for tests that wait for it.

What it does then is the same: at a stopped shard, and at the settings of Redis.
"""

import sys

from leadscore.cli.main import program
from leadscore.pipeline.score import shards, store_watch

MODULE = "tests.impatient_worker"
AGAIN_S = 2.0

if __name__ == "__main__":
    shards.STOPPED_AGAIN_S = store_watch.LOOK_EVERY_S = AGAIN_S
    sys.argv[1:] = ["run"]
    program()
