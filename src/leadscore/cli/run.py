"""``leadscore run``: the worker, configured by the environment."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Mapping
from threading import Thread, Timer

from leadscore import __version__
from leadscore.errors import LeadscoreError, StoppedEarly
from leadscore.ops.config import config_sha256, describe_config, load_config
from leadscore.ops.health import START, Health, serve
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.ops.logs import configure_logging
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.build import build_worker, look_for_garbage_seldom
from leadscore.pipeline.checks import checks_of
from leadscore.pipeline.steps import NoSteps, Steps
from leadscore.pipeline.stopping import Stopping

_log = logging.getLogger(__name__)

CLOSING_S = 5.0
"""Beyond the budget of the drain, to leave the groups. Closing a Kafka client has no timeout of its own."""
CRASH_VARIABLE = "LEADSCORE_TEST_CRASH_AFTER"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "run",
        help="run the worker",
        description="Run the worker until SIGTERM or Ctrl-C. It is configured by LEADSCORE_... variables alone: "
        "docs/configuration.md lists them.",
    )
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Run until told to stop; 0 after a clean end, 1 if the worker cannot go on."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS], for_worker=True)
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopper(stopping, config.drain_timeout_ms / 1000))
    metrics = Metrics(__version__, config.input_topics)
    configure_logging(config.log_level, config.log_format, sys.stdout, metrics.process.count_log_line)
    metrics.process.set_config(config_sha256(config))
    _log.info("starting", extra={"version": __version__, "config": describe_config(config)})
    health = Health(checks_of(config), config.liveness_timeout_ms / 1000)
    server = serve(config.http_host, config.http_port, metrics, health)
    _log.info("listening", extra={"port": server.port})
    try:
        worker = build_worker(config, metrics, health, crash_steps(os.environ), stopping=stopping)
        look_for_garbage_seldom()
        health.set_check(START, ok=True, detail="started")
        worker.run()
    except StoppedEarly:
        _log.info("stopped")
    except LeadscoreError as error:
        health.fail(str(error))
        _log.critical("worker_stopped", extra={"error": type(error).__name__, "detail": str(error)})
        raise
    finally:
        server.close()
    return 0


def crash_steps(environ: Mapping[str, str]) -> Steps:
    """Nothing, or what ends the process at a named step: crash tests set ``step:times`` and nobody else does."""
    asked = environ.get(CRASH_VARIABLE)
    if not asked:
        return NoSteps()
    step, _, times = asked.partition(":")
    return _CrashAfter(step, int(times or "1"))


class _CrashAfter:
    def __init__(self, step: str, times: int) -> None:
        self._step = step
        self._left = times

    def passed(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _stopper(stopping: Stopping, budget_s: float) -> "signal._HANDLER":
    def stop(_number: int, _frame: object) -> None:
        if stopping.is_asked_for:
            os._exit(3)  # asked twice: now
        stopping.ask()
        last_resort = Timer(budget_s + CLOSING_S, _leave, [budget_s])
        last_resort.daemon = True
        last_resort.start()

    return stop


def _leave(budget_s: float) -> None:
    """End the process although something is still waited for; what is not committed is done again by the next owner."""

    def tell() -> None:
        _log.warning("drain_given_up", extra={"budget_s": budget_s, "closing_s": CLOSING_S})

    telling = Thread(target=tell, daemon=True)  # whoever reads the log may have stopped reading
    telling.start()
    telling.join(1)
    os._exit(0)
