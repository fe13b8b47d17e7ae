"""What a circuit breaker does, in sentences, and how many failures open it: asked of the breaker itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from bridge.durations import show
from bridge.resilience.breaker import Breaker, BreakerRules, BreakerState, allow, failure

_MANY = 1000  #: failures in a row that no breaker waits for
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def opens_after(rules: BreakerRules) -> int | None:
    """How many failures in a row open the breaker; None if they never do."""
    breaker = Breaker(rules)
    for number in range(1, _MANY + 1):
        _, breaker = allow(breaker, _NOW)
        breaker = failure(breaker, breaker.generation, _NOW)
        if breaker.state is BreakerState.OPEN:
            return number
    return None


def sentences(rules: BreakerRules | None) -> Iterator[str]:
    """What the breaker does, in sentences."""
    if rules is None:
        yield "There is no circuit breaker: a function that is down is called for every request, as often as the retries allow."
        return
    number = opens_after(rules)
    opens = f"opens on the {_ordinal(number)} failure in a row" if number else f"does not open on {_MANY} failures in a row"
    yield f"The circuit breaker {opens}, whichever requests they belong to (trip: {rules.trip})."
    yield (
        "No answer, 408, 429 and 5xx count as failures; every other answer shows that the function works. "
        "Each function has its own breaker."
    )
    if rules.interval:
        yield f"While it is closed, the counts restart every {show(rules.interval)}."
    probes = "one call is let through" if rules.max_requests == 1 else f"{rules.max_requests} calls are let through"
    yield (
        f"While it is open, for {show(rules.timeout)}, work waits in the queue and spends no attempt; its deadline keeps running. "
        f"Then {probes}: success closes it, a failure opens it again."
    )


def _ordinal(number: int) -> str:
    teens = 10 <= number % 100 <= 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
