"""Retry policies of Python functions: as the app has written them, for the host, and what a function is told of its retries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from .wire import Json

_STRATEGIES = {"fixed_delay": "fixedDelay", "exponential_backoff": "exponentialBackoff"}
_INTERVALS = {"delay_interval": "delayInterval", "minimum_interval": "minimumInterval", "maximum_interval": "maximumInterval"}


def written(policy: Mapping[str, Any]) -> Json:
    """The policy of `@app.retry` as a function.json has it."""
    strategy = str(policy.get("retry_strategy") or policy.get("strategy"))
    found: Json = {"strategy": _STRATEGIES.get(strategy, strategy), "maxRetryCount": int(policy["max_retry_count"])}
    return found | {name: _time(policy[field]) for field, name in _INTERVALS.items() if policy.get(field) is not None}


def _time(given: object) -> str:
    if not isinstance(given, timedelta):
        return str(given)
    minutes, seconds = divmod(int(given.total_seconds()), 60)
    return f"{min(minutes // 60, 99):02}:{minutes % 60:02}:{seconds:02}"


def context(retry: Json | None) -> SimpleNamespace:
    """Which try this is, and why the one before failed: as `exception` in the protocol, as `rpc_exception` for functions."""
    count, most = (retry["count"], retry["maximum"]) if retry is not None else (0, 0)
    failed = SimpleNamespace(source=retry["source"], stack_trace="", message=retry["message"]) if retry is not None and count else None
    return SimpleNamespace(retry_count=count, max_retry_count=most, exception=failed, rpc_exception=failed)
