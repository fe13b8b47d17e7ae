"""Retries, timeouts and circuit breakers for calls of function apps, as pure decisions.

One policy file in Dapr's `Resiliency` schema (`functions/resiliency.yaml`) applies to every runtime. Nothing here waits, calls or reads a
clock: time and randomness are passed in, and the caller keeps one breaker for each function.
"""

from __future__ import annotations

from bridge.resilience.breaker import (
    Allowed,
    Breaker,
    BreakerRules,
    BreakerState,
    CircuitOpen,
    allow,
    failure,
    record,
    shut_until,
    success,
    withdraw,
)
from bridge.resilience.deadline import TimeOfRun, counts, next_pause, time_limit, too_late
from bridge.resilience.file import load
from bridge.resilience.policy import Policies, Policy, Worst, worst_case
from bridge.resilience.retry import Again, Retry, Stop, after_failure
from bridge.resilience.trip import Counts, in_a_row

__all__ = [
    "Again",
    "Allowed",
    "Breaker",
    "BreakerRules",
    "BreakerState",
    "CircuitOpen",
    "Counts",
    "Policies",
    "Policy",
    "Retry",
    "Stop",
    "TimeOfRun",
    "Worst",
    "after_failure",
    "allow",
    "counts",
    "failure",
    "in_a_row",
    "load",
    "next_pause",
    "record",
    "shut_until",
    "success",
    "time_limit",
    "too_late",
    "withdraw",
    "worst_case",
]
