"""Named steps, which appear as log lines and as counters.

The names are an interface (docs/running.md has the table). A line has the sentence of its step, its name, and the ids that it concerns. A
test may end the process at each step (`bridge.crashpoints`). So the position of a step between two durable operations matters: the
operation before it has been done, and the one after it has not.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge import crashpoints, logs
from bridge.counts import LabelledCounter, LabelledGauge

REGISTRY = CollectorRegistry()

STEPS = LabelledCounter("bridge_steps_total", "Steps taken, by name and automation.", ["step", "automation"], REGISTRY)
RUNS_ENDED = LabelledCounter("bridge_runs_ended_total", "Runs ended, by automation and final status.", ["automation", "status"], REGISTRY)
#: Seconds. Each is at most three times the one before it: a percentile can be that far off. From 11 on they are a tenth longer than the
#: deadlines that people choose, because a run ends TimedOut just after its deadline and would count for the whole next bucket.
_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 11, 22, 33, 66, 132, 330, 660, 1980)
RUN_SECONDS = Histogram(
    "bridge_run_seconds",
    "Seconds from accepting a run to its end.",
    ["automation"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
CANARY = "canary"  #: the submitter whose runs are counted apart: `bridge canary` asks for them to see that all is well
CANARY_RUNS_ENDED = Counter(
    "bridge_canary_runs_ended_total",
    "Runs of the canary ended, by automation and final status.",
    ["automation", "status"],
    registry=REGISTRY,
)
CANARY_RUN_SECONDS = Histogram(
    "bridge_canary_run_seconds",
    "Seconds from accepting a run of the canary to its end.",
    ["automation"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
CANARY_LAST_SUCCESS = Gauge(
    "bridge_canary_last_success_timestamp_seconds",
    "When a run of the canary last succeeded here, in seconds since 1970, by automation.",
    ["automation"],
    registry=REGISTRY,
)
UNFINISHED_CALLS = LabelledGauge("bridge_calls_under_way", "Function calls under way, by app.", ["app"], REGISTRY)
DEAD_LETTERS = Counter("bridge_dead_letters_total", "Dead letters kept, by reason.", ["reason"], registry=REGISTRY)
#: Why the bridge keeps a dead letter (docs/running.md has the table).
REASONS = (
    *("Malformed", "InvalidCorrelationId", "CorrelationConflict", "GaveUp", "CrashedProcess"),
    *("ReplyUndeliverable", "Undeliverable", "InternalError"),
)

SENTENCES = {
    "run.requested": "published the request; its run is stored next",
    "run.accepted": "accepted the request",
    "run.repeated": "the same request came again; the run that exists answers",
    "run.scheduled": "set the deadline",
    "run.dispatching": "saved that the work is sent; it is published next",
    "run.dispatched": "sent the work to its topic",
    "run.ended": "the run ended",
    "run.replied": "published the reply",
    "run.canceling": "asked to cancel; nothing more starts",
    "run.refused": "refused the request",
    "attempt.started": "called the function",
    "attempt.answered": "the outcome of the attempt came; it is stored next",
    "attempt.ended": "the attempt ended",
    "work.terminated": "asked the function to end its work",
    "timer.came": "a deadline or a cancel came; what it means is stored next",
    "event.rescheduled": "rescheduled the event",
    "progress": "the function reported progress",
    "result.late": "a result came after the end; kept as lateResult",
    "deadletter.kept": "kept a dead letter",
    "deadletter.claimed": "claimed a dead letter; its event is published next",
    "deadletter.published": "published the event of a dead letter; that is stored next",
    "deadletter.replayed": "replayed a dead letter",
    "deadletter.discarded": "discarded a dead letter",
    "retry": "trouble with bus or store; the event will come again",
    "sweep": "the sweeper found a run past its deadline",
}
_SELDOM = ("run.refused", "event.rescheduled", "retry")
_SELDOM_OF_AUTOMATIONS = ("run.repeated", "result.late", "sweep")

RETRIES_EVERY = 1.0  #: seconds between two lines about the same queue or subscription
_retries: dict[str, tuple[float, int]] = {}  # by source: when the last line was written, and how many retries there were since

_LEVELS = {name: logging.getLevelNamesMapping()[name.upper()] for name in ("debug", "info", "warning", "error")}
_log: Any = structlog.get_logger()
_least = 0  #: the least severe level that is written; steps below it are only counted


def setup(*, level: str = "info", form: str = "console") -> None:
    """Send log lines to standard error: with `form` json one JSON object for each line, else text for people."""
    global _log, _least  # bound once here, because binding at every line would cost more than the line
    _log, _least = logs.setup(level=level, form=form), _LEVELS[level]


def step(name: str, *, automation: str = "", level: str = "info", **fields: Any) -> None:
    """Count the step and log it. `fields` are ids and figures, never inputs, outputs or tokens.

    If a test wants the process to end at this step, it ends here, after the line was written.
    """
    STEPS.add(name, automation)
    if _LEVELS[level] >= _least:
        write = getattr(_log, level)
        if automation:
            write(SENTENCES[name], step=name, automation=automation, **fields)
        else:
            write(SENTENCES[name], step=name, **fields)
    if crashpoints.armed is not None:
        crashpoints.passed(name)


def retry(source: str, run: str, reason: str) -> None:
    """Count a delivery that will be repeated, and log at most one a second for each source, because an outage repeats thousands.

    The line has the number of `others` since the previous line.
    """
    now, (last, others) = time.monotonic(), _retries.get(source, (-math.inf, 0))
    if now - last < RETRIES_EVERY:
        _retries[source] = (last, others + 1)
        STEPS.add("retry", "")
        return
    _retries[source] = (now, 0)
    fields: dict[str, Any] = {"others": others} if others else {}
    step("retry", level="warning", run=run, source=source, reason=reason, **fields)


def ended(automation: str, status: str, seconds: float, run: str, *, submitter: str = "") -> None:
    """Count and log the end of a run. Runs that CANARY requested are also counted separately."""
    RUNS_ENDED.add(automation, status)
    _seconds_of(automation)(seconds)
    if submitter == CANARY:
        CANARY_RUNS_ENDED.labels(automation, status).inc()
        CANARY_RUN_SECONDS.labels(automation).observe(seconds)
        if status == "Succeeded":
            CANARY_LAST_SUCCESS.labels(automation).set_to_current_time()
    step("run.ended", automation=automation, run=run, status=status, seconds=round(seconds, 3))


def start_counting(automations: Iterable[str], statuses: Iterable[str]) -> None:
    """Begin rare counters at zero: dead letters, problems, and the ends of runs of these automations in these final statuses.

    Prometheus does not see a rise in a counter that begins with 1, so the first failure after a start would be on no graph and in no
    alert (https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics).
    """
    ends = tuple(statuses)
    for reason in REASONS:
        DEAD_LETTERS.labels(reason)
    for name in _SELDOM:
        STEPS.show(name, "")
    for automation in automations:
        for name in _SELDOM_OF_AUTOMATIONS:
            STEPS.show(name, automation)
        for status in ends:
            RUNS_ENDED.show(automation, status)


@lru_cache(maxsize=4096)
def _seconds_of(automation: str) -> Callable[[float], None]:
    return RUN_SECONDS.labels(automation).observe
