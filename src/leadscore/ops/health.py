"""Liveness, readiness, the start and metrics over HTTP, on one port, from a thread of its own.

It answers while the loop is blocked, and from remembered facts alone: a request never reaches Redis or Kafka. Liveness
does not depend on other services, or an outage of Redis would restart every worker.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from threading import Lock, Thread, get_ident

from leadscore.errors import ConfigError
from leadscore.ops.http_port import Answer, HttpPort, text_answer
from leadscore.ops.metrics import Metrics
from leadscore.ops.ongoing import instant

_log = logging.getLogger(__name__)


START = "start"
"""The check that is in order once the worker has begun."""
ASSIGNED = "assigned"
"""How the names of those checks end that a group has given the worker its partitions; the start waits for the first."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was last found out about one thing that readiness needs, and since when it is in order, or is not."""

    ok: bool
    detail: str
    at_s: float
    since_s: float
    since: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: whether all is well, and the body that says why."""

    ok: bool
    body: dict[str, object]


class Health:
    """What the loop tells about itself; safe to ask from any thread.

    ``checks`` are what must have been found in order before the worker is ready, each with what it waits for at first.
    The loop is alive while its last beat is at most ``max_beat_age_s`` old; the thread that makes a ``Health`` is the
    one of the loop. ``is_ending`` says whether the worker was told to end. ``clock`` is for ages, ``unix_time`` for
    instants.
    """

    def __init__(
        self,
        checks: Mapping[str, str],
        max_beat_age_s: float,
        clock: Callable[[], float] = time.monotonic,
        unix_time: Callable[[], float] = time.time,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_ending = is_ending
        self._clock = clock
        self._unix_time = unix_time
        self._max_beat_age_s = max_beat_age_s
        self._lock = Lock()
        self._loop_thread = get_ident()
        self._beat_at_s = now_s = clock()
        self._told_hang = False
        self._telling: Thread | None = None
        self._fatal: str | None = None
        self._checks = {
            name: Check(ok=False, detail=waits_for, at_s=now_s, since_s=now_s, since=unix_time())
            for name, waits_for in checks.items()
        }
        self._been_ok: set[str] = set()

    def beat(self) -> None:
        """The loop has turned."""
        before_s, self._beat_at_s = self._beat_at_s, self._clock()
        if self._told_hang:
            self._told_hang = False
            _log.warning("loop_turns_again", extra={"hung_s": round(self._beat_at_s - before_s, 3)})

    def fail(self, reason: str) -> None:
        """The worker cannot go on; it is not alive from now on."""
        with self._lock:
            self._fatal = reason

    def set_check(self, name: str, ok: bool, detail: str) -> None:
        """What was found out just now; ``detail`` is for operators and holds nothing personal or secret.

        A check that is not in order says what is wrong: the service and its address, where it is one.
        """
        with self._lock:
            now_s, before = self._clock(), self._checks.get(name)
            if ok:
                self._been_ok.add(name)
            if before is not None and before.ok == ok:
                self._checks[name] = replace(before, detail=detail, at_s=now_s)
            else:
                self._checks[name] = Check(ok, detail, now_s, now_s, self._unix_time())

    def liveness(self) -> Verdict:
        """Whether the loop turns."""
        with self._lock:
            age_s, fatal = self._clock() - self._beat_at_s, self._fatal
            hangs = age_s > self._max_beat_age_s
            tell, self._told_hang = hangs and not self._told_hang, hangs or self._told_hang
        if tell:
            self._tell_hang(age_s)
        alive = fatal is None and not hangs
        return Verdict(alive, {"live": alive, "last_beat_age_s": round(age_s, 3), "fatal": fatal})

    def readiness(self) -> Verdict:
        """Whether the loop turns, goes on to do so, and every check was in order when last looked at."""
        alive, ending = self.liveness().ok, self._is_ending()
        with self._lock:
            now_s, checks = self._clock(), dict(self._checks)
        ready = alive and not ending and all(check.ok for check in checks.values())
        shown = {name: _shown(check, now_s) for name, check in checks.items()}
        return Verdict(ready, {"ready": ready, "live": alive, "ending": ending, "checks": shown})

    def start(self) -> Verdict:
        """Whether the worker has begun and had its first partitions: until then it is not to be judged.

        What was in order once counts from then on: whether it still is, is a matter of readiness.
        """
        with self._lock:
            now_s, fatal, been_ok = self._clock(), self._fatal, set(self._been_ok)
            checks = {name: check for name, check in self._checks.items() if _belongs_to_start(name)}
        waited_for = [name for name in checks if name not in been_ok]
        started = fatal is None and not waited_for
        shown = {name: _shown(check, now_s) | {"ok": name in been_ok} for name, check in checks.items()}
        detail = checks[waited_for[0]].detail if waited_for else "started"
        return Verdict(started, {"started": started, "fatal": fatal, "detail": detail, "checks": shown})

    def _tell_hang(self, age_s: float) -> None:
        """Where the loop hangs, once per hang. By a thread of its own: perhaps it is the log that cannot be written."""
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # the only way to another thread's stack
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        fields = {"last_beat_age_s": round(age_s, 3), "allowed_s": self._max_beat_age_s, "stack": stack}
        self._telling = Thread(target=_log.error, args=("loop_hangs",), kwargs={"extra": fields}, daemon=True)
        self._telling.start()


def _belongs_to_start(name: str) -> bool:
    return name == START or name.endswith(f"_{ASSIGNED}")


def _shown(check: Check, now_s: float) -> dict[str, object]:
    return {
        "ok": check.ok,
        "detail": check.detail,
        "since": instant(check.since),
        "since_s": round(now_s - check.since_s, 3),
        "age_s": round(now_s - check.at_s, 3),
    }


def serve(host: str, port: int, metrics: Metrics, health: Health) -> HttpPort:
    """Answer /metrics, /livez, /readyz and /startupz. Port 0 takes a free one.

    ``ConfigError`` where the address cannot be had.
    """
    try:
        return HttpPort(host, port, partial(_resource, metrics, health))
    except OSError as error:
        raise ConfigError(
            f"LEADSCORE_HTTP_HOST, LEADSCORE_HTTP_PORT: cannot listen on {host}:{port}: {error.strerror}: "
            "expected a free port of this machine"
        ) from error


def _resource(metrics: Metrics, health: Health, path: str, accept: str) -> Answer:
    if path == "/metrics":
        body, content_type = metrics.render(accept)
        return Answer(HTTPStatus.OK, content_type, body)
    if path == "/livez":
        return _as_json(health.liveness())
    if path == "/readyz":
        return _as_json(health.readiness())
    if path == "/startupz":
        return _as_json(health.start())
    return text_answer(HTTPStatus.NOT_FOUND, "only /metrics, /livez, /readyz and /startupz are here")


def _as_json(verdict: Verdict) -> Answer:
    status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, "application/json", json.dumps(verdict.body).encode() + b"\n")
