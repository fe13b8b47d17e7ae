"""What the bridge tells of itself: named steps as log lines and counters.

The names are an interface (docs/running.md has the table): a line is the sentence of its step, its name, and the ids it concerns.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

STEPS = Counter("bridge_steps_total", "Steps taken, by name and automation.", ["step", "automation"], registry=REGISTRY)
RUNS_ENDED = Counter("bridge_runs_ended_total", "Runs ended, by automation and final status.", ["automation", "status"], registry=REGISTRY)
RUN_SECONDS = Histogram(
    "bridge_run_seconds",
    "Seconds from accepting a run to its end.",
    ["automation"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800),
    registry=REGISTRY,
)
UNFINISHED_CALLS = Gauge("bridge_calls_under_way", "Function calls under way, by app.", ["app"], registry=REGISTRY)
DEAD_LETTERS = Counter("bridge_dead_letters_total", "Dead letters kept, by reason.", ["reason"], registry=REGISTRY)

SENTENCES = {
    "run.accepted": "accepted the request",
    "run.repeated": "the same request came again; the run that exists answers",
    "run.scheduled": "set the deadline",
    "run.dispatched": "sent the work to its topic",
    "run.ended": "the run ended",
    "run.replied": "published the reply",
    "run.canceling": "asked to cancel; nothing more starts",
    "run.refused": "refused the request",
    "attempt.started": "called the function",
    "attempt.ended": "the attempt ended",
    "event.put_off": "put the event off",
    "progress": "the function reported progress",
    "result.late": "a result came after the end; kept as lateResult",
    "deadletter.kept": "kept a dead letter",
    "deadletter.replayed": "replayed a dead letter",
    "retry": "trouble with bus or store; the event will come again",
    "sweep": "the sweeper found a run past its deadline",
}

RETRIES_EVERY = 1.0  #: seconds between two lines of one source
_retries: dict[str, tuple[float, int]] = {}  # by source: when the last line was written, and how many others there were since

_log: Any = structlog.get_logger()


def setup(*, level: str = "info", form: str = "console") -> None:
    """Send log lines to standard error, as text for people or one JSON object a line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=number, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr)
    renderer = structlog.processors.JSONRenderer() if form == "json" else _line
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    global _log  # noqa: PLW0603 - bound once here; binding at every line would cost more than the line
    _log = structlog.get_logger().bind()


def step(name: str, *, automation: str = "", level: str = "info", **fields: Any) -> None:
    """Count the step and log it. `fields` are ids and figures, never inputs, outputs or tokens."""
    _counted(name, automation).inc()
    shown = {"automation": automation, **fields} if automation else fields
    getattr(_log, level)(SENTENCES[name], step=name, **shown)


def retry(source: str, run: str, reason: str) -> None:
    """Count a delivery that will come again, and log one a second for each source: in an outage they come again by the thousand.

    The line says how many `others` there were since the one before.
    """
    now, (last, others) = time.monotonic(), _retries.get(source, (-math.inf, 0))
    if now - last < RETRIES_EVERY:
        _retries[source] = (last, others + 1)
        _counted("retry", "").inc()
        return
    _retries[source] = (now, 0)
    fields: dict[str, Any] = {"others": others} if others else {}
    step("retry", level="warning", run=run, source=source, reason=reason, **fields)


def under_way(app: str) -> AbstractContextManager[object]:
    """Count a call of the app as long as it lasts."""
    return UNFINISHED_CALLS.labels(app).track_inprogress()


@lru_cache(maxsize=4096)
def _counted(name: str, automation: str) -> Counter:
    return STEPS.labels(name, automation)


def ended(automation: str, status: str, seconds: float, run: str) -> None:
    """Count and log the end of a run."""
    RUNS_ENDED.labels(automation, status).inc()
    RUN_SECONDS.labels(automation).observe(seconds)
    step("run.ended", automation=automation, run=run, status=status, seconds=round(seconds, 3))


def _line(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> str:
    """`2026-01-31T12:00:00Z info  order-4711  called the function (attempt.started) target=inspect attempt=1`."""
    time, level, name = entry.pop("timestamp"), entry.pop("level"), entry.pop("step", "")
    sentence, run = entry.pop("event"), entry.pop("run", "-")
    rest = " ".join(f"{key}={_inline(value)}" for key, value in entry.items())
    return f"{time} {level:<7} {_inline(run)}  {sentence}{f' ({name})' if name else ''} {rest}".rstrip()


def _inline(value: Any) -> str:
    """A value that cannot begin a line of its own, nor command a terminal: ids of messages may hold anything."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
