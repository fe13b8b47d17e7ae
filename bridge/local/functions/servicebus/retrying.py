"""When something is tried again that the broker refused or that broke off."""

from __future__ import annotations

from dataclasses import dataclass

BUSY = "com.microsoft:server-busy"
#: Conditions that a repeat cannot change.
_FINAL = frozenset(
    {
        "amqp:not-found",
        "amqp:not-allowed",
        "amqp:not-implemented",
        "amqp:unauthorized-access",
        "amqp:link:message-size-exceeded",
        "amqp:decode-error",
        "amqp:invalid-field",
        "com.microsoft:entity-disabled",
        "com.microsoft:argument-error",
    }
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`clientRetryOptions` of host.json, in seconds; `busy` is the pause that a throttled client makes at least, as the Azure SDKs do."""

    delay: float = 0.8
    max_delay: float = 60.0
    max_retries: int = 3
    exponential: bool = True
    try_timeout: float = 60.0
    busy: float = 10.0

    def pause(self, attempt: int, condition: str) -> float | None:
        """Seconds to wait after the failed attempt number `attempt`, from 1 on; None to give up."""
        if attempt > self.max_retries or condition in _FINAL:
            return None
        pause = min(self.delay * 2 ** min(attempt - 1, 20), self.max_delay) if self.exponential else self.delay
        return max(pause, self.busy) if condition == BUSY else pause


class Backoff:
    """Pauses between attempts at something that must be tried for ever: they double up to the longest."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def succeeded(self) -> None:
        """The next pause is the first again."""
        self._next = self._first

    def pause(self, at_least: float = 0.0) -> float:
        """Seconds to wait before the next attempt."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return max(pause, at_least)
