"""The bridge's own decisions (`bridge.resilience`) for what Dapr was seen to do, with a clock that shows the moments that were measured.

Some moments are only known to lie between two others: a breaker was told of a failure after the function answered and before the next thing
was seen. Then both ends are tried, and every breaker the bridge could have by now is kept. None left: the two do not agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from bridge.errors import CallFailed
from bridge.outcome import Failed, Outcome, Succeeded
from bridge.outcome.httpanswer import classify
from bridge.ports import FunctionResponse
from bridge.resilience import Again, Allowed, Breaker, BreakerState, Policy, Stop, after_failure, allow, record
from bridge.resilience.retry import INITIAL_INTERVAL
from tests.dapr.drawn import Deed, Silence
from tests.dapr.scripted import Attempt, Ended, Request

LATE = 5.0  #: seconds by which an attempt may come later than its pause; more is no longer the machine
_LIMIT = 1000  #: bytes of an output
_START = datetime(2026, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """A moment that lies between two others, in seconds."""

    first: float
    last: float

    def ends(self) -> set[datetime]:
        return {_START + timedelta(seconds=moment) for moment in self}


class Grown(NamedTuple):
    """A pause that was waited, and the interval around which it was drawn, in seconds."""

    waited: float
    interval: float

    def share(self, late: float) -> float:
        """Of the interval, where attempts come `late` seconds later. Beyond one and a half no pause is drawn: the machine was busy."""
        return min((self.waited - late) / self.interval, 1.5)


class Next(NamedTuple):
    """What Dapr was seen to do after an attempt: try again (or be refused by its breaker), or end; and when that was known."""

    again: bool
    known: float


@dataclass(frozen=True)
class Possible:
    """A breaker the bridge could have by now, the ticket of the call under way, and what the breaker became so far."""

    breaker: Breaker
    ticket: int = 0
    states: tuple[BreakerState, ...] = ()

    def becomes(self, breaker: Breaker) -> Possible:
        states = self.states if breaker.state is self.breaker.state else (*self.states, breaker.state)
        return replace(self, breaker=breaker, states=states)


@dataclass
class Disagreement(Exception):
    """What the bridge would not have done, or done otherwise."""

    what: str


@dataclass
class Twin:
    """The bridge in Dapr's place, for one app."""

    policy: Policy
    possible: set[Possible] = field(default_factory=set)
    certain: bool = True  #: whether the moments left only one decision each time
    late: list[float] = field(default_factory=list)  #: by how much attempts came later than the shortest pause
    spread: list[float] = field(default_factory=list)  #: exponential pauses, as shares of their interval
    grown: list[Grown] = field(default_factory=list)  #: those of them that grew

    def __post_init__(self) -> None:
        if self.policy.breaker is not None:
            self.possible = {Possible(Breaker(self.policy.breaker))}

    def follow(self, requests: Sequence[Request], states: Sequence[BreakerState]) -> None:
        """Go through all that was seen. Raises Disagreement."""
        for number, request in enumerate(requests, 1):
            try:
                self._request(request)
            except Disagreement as fault:
                raise Disagreement(f"request {number}, {fault.what}") from None
        if self.policy.breaker is not None and tuple(states) not in {each.states for each in self.possible}:
            raise Disagreement(f"the breaker became {states}, in the bridge {[each.states for each in self.possible]}")

    def _request(self, request: Request) -> None:
        asked, attempts = request.sent, request.attempts
        for made, attempt in enumerate(attempts, 1):
            self._asks(Span(asked, attempt.arrived), through=True, where=f"attempt {made}")
            following = attempts[made] if made < len(attempts) else None
            refused = following is None and request.said is Ended.REFUSED
            then = Next(following is not None or refused, following.arrived if following else request.ended)
            asked = self._attempt(request, made, Span(asked, then.known), then)
        if request.said is Ended.REFUSED:
            self._asks(Span(asked, request.ended), through=False, where=f"attempt {len(attempts) + 1}")
        elif not attempts:
            raise Disagreement(f"nothing was tried, and it ended with {request.said}")

    def _asks(self, span: Span, *, through: bool, where: str) -> None:
        """Ask the breaker for leave, as Dapr must have done within the span."""
        if self.policy.breaker is None:
            if not through:
                raise Disagreement(f"{where}: refused without a breaker")
            return
        decisions = [(each, *allow(each.breaker, now)) for each in self.possible for now in span.ends()]
        agreeing = {
            replace(each.becomes(after), ticket=decision.ticket if isinstance(decision, Allowed) else 0)
            for each, decision, after in decisions
            if isinstance(decision, Allowed) is through
        }
        self.certain &= len(decisions) == sum(isinstance(decision, Allowed) is through for _, decision, _ in decisions)
        if not agreeing:
            raise Disagreement(f"{where}: {'let through' if through else 'refused'}, in the bridge not: {self.possible}")
        self.possible = agreeing

    def _attempt(self, request: Request, made: int, span: Span, then: Next) -> float:
        """Decide what follows an attempt that took place within the span; the earliest moment at which the next one may be asked for."""
        attempt, elapsed = request.attempts[made - 1], timedelta(seconds=span.last - request.sent)
        agreeing = [
            (outcome, pauses)
            for outcome in self._outcomes(attempt, span)
            for pauses in [self._pauses(made, outcome, elapsed)]
            if (pauses is not None) is then.again and (then.again or _shown(outcome) == request.said)
        ]
        if not agreeing:
            did = "tried again" if then.again else f"ended with {request.said}"
            raise Disagreement(f"attempt {made} ({attempt.deed}): Dapr {did}, the bridge would not: {list(self._outcomes(attempt, span))}")
        outcome, pauses = agreeing[0]
        answered = attempt.answered if not _timed_out(outcome) else span.first + self.policy.timeout.total_seconds()
        if pauses is None:
            self._told(Span(answered, span.last), outcome)
            return span.last
        self._waited(pauses, then.known - answered, made)
        self._told(Span(answered, max(answered, span.last - pauses.first)), outcome)
        return answered + pauses.first

    def _outcomes(self, attempt: Attempt, span: Span) -> Iterator[Outcome]:
        """What the attempt may have come to: what the function did, or its time limit if it may have passed."""
        limit = self.policy.timeout.total_seconds()
        if attempt.deed is not Silence.IS_SLOW:
            yield came_to(attempt.deed)
        if span.last - span.first >= limit:
            yield came_to(Silence.IS_SLOW)

    def _pauses(self, made: int, outcome: Outcome, elapsed: timedelta) -> Span | None:
        """The shortest and the longest pause before the next attempt; None if there is none."""
        if not isinstance(outcome, Failed):
            return None
        decisions = [after_failure(self.policy.retry, made, outcome, elapsed, _Edge(edge)) for edge in (-1, 1)]
        pauses = [decision.after.total_seconds() for decision in decisions if isinstance(decision, Again)]
        if any(isinstance(decision, Stop) for decision in decisions):
            return None
        return Span(pauses[0], pauses[1])

    def _waited(self, pauses: Span, waited: float, made: int) -> None:
        """Compare the spacing: never less than the shortest pause, never much more than the longest."""
        if not pauses.first <= waited <= pauses.last + LATE:
            raise Disagreement(f"{waited:.4f} s passed after attempt {made}, for a pause of {pauses.first:.4f} to {pauses.last:.4f} s")
        if pauses.first == pauses.last:
            self.late.append(waited - pauses.last)
        else:
            self.spread.append(2 * waited / sum(pauses))
            if sum(pauses) > 2 * INITIAL_INTERVAL.total_seconds():
                self.grown.append(Grown(waited, sum(pauses) / 2))

    def _told(self, span: Span, outcome: Outcome) -> None:
        moments = span.ends()
        self.possible = {each.becomes(record(each.breaker, each.ticket, outcome, now)) for each in self.possible for now in moments}


class _Edge(Random):
    """Draws the lowest or the highest number each time."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self._edge = edge

    def uniform(self, a: float, b: float) -> float:
        return a if self._edge < 0 else b


def came_to(deed: Deed, headers: Mapping[str, str] | None = None) -> Outcome:
    """What the bridge makes of a call at which the function did that."""
    if isinstance(deed, Silence):
        reason = "Timeout" if deed is Silence.IS_SLOW else "ConnectionLost"
        return classify(CallFailed(reason, deed.value, may_have_run=True), _LIMIT)
    return classify(FunctionResponse(deed, {"content-type": "application/json", **(headers or {})}, b'{"by": "function"}'), _LIMIT)


def _timed_out(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.code == "Timeout"


def _shown(outcome: Outcome) -> int | Ended:
    """What a caller of Dapr sees of such an outcome."""
    if isinstance(outcome, Failed):
        return outcome.status or Ended.NO_ANSWER
    assert isinstance(outcome, Succeeded)
    return 200
