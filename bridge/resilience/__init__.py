"""How calls of function apps are tried again, cut off and held back: facts in, decisions out.

One policy file in Dapr's `Resiliency` schema (`functions/resiliency.yaml`) says it for every runtime. Nothing here waits, calls or reads a
clock: time and randomness are passed in, and the caller keeps one breaker for each app.
"""

from __future__ import annotations

from bridge.resilience.breaker import Allowed, Breaker, BreakerRules, Refused, State, allow, failure, record, shut_until, success, withdraw
from bridge.resilience.file import load
from bridge.resilience.policy import Policies, Policy, Worst, worst_case
from bridge.resilience.retry import Again, Retry, Stop, after_failure
from bridge.resilience.trip import Counts, in_a_row

__all__ = [
    "Again",
    "Allowed",
    "Breaker",
    "BreakerRules",
    "Counts",
    "Policies",
    "Policy",
    "Refused",
    "Retry",
    "State",
    "Stop",
    "Worst",
    "after_failure",
    "allow",
    "failure",
    "in_a_row",
    "load",
    "record",
    "shut_until",
    "success",
    "withdraw",
    "worst_case",
]
