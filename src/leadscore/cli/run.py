"""``leadscore run``: the worker, configured by the environment."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial

from leadscore import __version__
from leadscore.build_kind import build_kind
from leadscore.cli.ending import CLOSING_S, Ending, Exit
from leadscore.errors import LeadscoreError, StoppedEarly
from leadscore.ops.allocator import keep_few_arenas
from leadscore.ops.config import Config, config_sha256, describe_config, load_config
from leadscore.ops.health import START, Health, serve
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.ops.logs import configure_logging
from leadscore.ops.metrics import Metrics
from leadscore.ops.tracing import make_spans
from leadscore.pipeline.build import build_worker, look_for_garbage_seldom
from leadscore.pipeline.checks import checks_of
from leadscore.pipeline.steps import NoSteps, Steps
from leadscore.pipeline.worker import tell_failure

_log = logging.getLogger(__name__)

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


def run(args: argparse.Namespace) -> int:
    """Run until told to stop; 0 after a clean end, 1 if the worker cannot go on, 4 if its work was not finished."""
    ending: Ending = args.ending if "ending" in args else Ending()
    keep_few_arenas()
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS], for_worker=True)
    metrics = Metrics(__version__, config.input_topics)
    configure_logging(config.log_level, config.log_format, sys.stdout, metrics.process.count_log_line)
    ending.started_logging(partial(_log.info, "stopped"), partial(_say_given_up, config.drain_timeout_ms / 1000))
    metrics.process.set_config(config_sha256(config))
    _log.info("starting", extra={"version": __version__, "build": build_kind(), "config": describe_config(config)})
    stopping = ending.stopping
    health = Health(checks_of(config), config.liveness_timeout_ms / 1000, is_ending=lambda: stopping.is_asked_for)
    server = serve(config.http_host, config.http_port, metrics, health)
    _log.info("listening", extra={"port": server.port})
    try:
        return _work(config, metrics, health, ending)
    finally:
        server.close()
        ending.over()


def _work(config: Config, metrics: Metrics, health: Health, ending: Ending) -> Exit:
    spans = make_spans(os.environ, __version__)
    try:
        worker = build_worker(config, metrics, health, crash_steps(os.environ), stopping=ending.stopping, spans=spans)
    except StoppedEarly:
        _log.info("stopped")
        return Exit.DONE
    except LeadscoreError as error:
        tell_failure(error, health)
        raise
    except Exception as bug:  # noqa: BLE001  # told as one line of the log, stack included
        tell_failure(bug, health)
        return Exit.FAILED
    look_for_garbage_seldom()
    health.set_check(START, ok=True, detail="started")
    ending.started(config.drain_timeout_ms / 1000)
    try:
        worker.run()
    except LeadscoreError:
        raise
    except Exception:  # noqa: BLE001  # the worker has told of it
        return Exit.FAILED
    finally:
        spans.close()
    return Exit.DONE


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


def _say_given_up(budget_s: float) -> None:
    _log.warning("drain_given_up", extra={"budget_s": budget_s, "closing_s": CLOSING_S})
