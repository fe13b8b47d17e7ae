"""Slots limit how many calls of an HTTP target run at a time in this process, and apply its circuit breaker."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from bridge import resilience
from bridge.catalog.target import HttpTarget
from bridge.outcome import Outcome
from bridge.ports import Clock
from bridge.resilience import Breaker, CircuitOpen, Policies

#: How many deliveries may wait for each call that a target allows. Further ones are rescheduled, so that a slow target blocks no other.
WAITING = 4
#: The shortest and the longest time for which a delivery that found no slot is rescheduled.
AWAY = (timedelta(milliseconds=500), timedelta(seconds=2))


class _Gate:
    """The concurrency limit of one target: a semaphore that can also be entered without waiting."""

    def __init__(self, limit: int) -> None:
        self.limit = self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def inside(self) -> int:
        """The number of calls in progress and of deliveries that wait for a call."""
        return self.limit - self._free + len(self._waiting)

    def enter_at_once(self) -> bool:
        """Enter if there is room and no other delivery waits. Returns whether it entered."""
        if self._free == 0 or self._waiting:
            return False
        self._free -= 1
        return True

    async def enter(self) -> None:
        """Wait for room, then enter. Deliveries enter in the order of their arrival."""
        if self.enter_at_once():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """Leave, and let the next one in."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
            # Cancelled, and its task has not run since: when the bridge stops, all that wait are cancelled at the same moment.
        self._free += 1


@dataclass(slots=True)
class Slot:
    """The permission for one call, from the limit of its target and its circuit breaker. `Slots.release` gives it back."""

    gate: _Gate
    breaker: str
    ticket: int | None
    reported: bool = False


class Slots:
    """Hands out slots. It keeps the limits of the targets and the circuit breakers, which outlive a single call."""

    def __init__(self, policies: Policies, clock: Clock) -> None:
        self._policies, self._clock = policies, clock
        self._gates: dict[tuple[str, str], _Gate] = {}
        self._breakers: dict[str, Breaker] = {}
        self._random = random.Random()  # noqa: S311 - spreads retries, protects nothing

    def busy_for(self, key: tuple[str, str], target: HttpTarget) -> timedelta | None:
        """How long to wait if too many deliveries wait for the target or its breaker is open; None if a call may be tried now.

        `key` names the automation and the target.
        """
        gate = self._gate(key, target)
        if gate.inside >= gate.limit * (1 + WAITING):
            return AWAY[0] + (AWAY[1] - AWAY[0]) * self._random.random()
        return self.shut_for(target)

    def shut_for(self, target: HttpTarget) -> timedelta | None:
        """How long the circuit breaker still blocks calls; None if it permits one now."""
        breaker, now = self._breaker(target), self._clock.steady()
        until = resilience.shut_until(breaker, now) if breaker else None
        return until - now if until is not None else None

    def is_full(self, key: tuple[str, str], target: HttpTarget) -> bool:
        """Whether the target has as many calls in progress as it allows."""
        gate = self._gate(key, target)
        return gate.inside >= gate.limit

    def is_free(self, key: tuple[str, str], target: HttpTarget) -> bool:
        """Whether a call could be made at once."""
        return not self.is_full(key, target) and self.busy_for(key, target) is None

    def take_at_once(self, key: tuple[str, str], target: HttpTarget) -> Slot | None:
        """A slot if one is free and no other delivery waits for it."""
        gate = self._gate(key, target)
        if not gate.enter_at_once():
            return None
        slot = self._admitted(gate, target)
        return slot if isinstance(slot, Slot) else None

    async def take(self, key: tuple[str, str], target: HttpTarget) -> Slot | CircuitOpen:
        """Wait for a slot. Returns CircuitOpen if the breaker opened meanwhile."""
        gate = self._gate(key, target)
        await gate.enter()
        return self._admitted(gate, target)

    def report(self, slot: Slot, outcome: Outcome) -> None:
        """Report the outcome of the call to the breaker."""
        if slot.ticket is not None:
            slot.reported = True
            self._breakers[slot.breaker] = resilience.record(self._breakers[slot.breaker], slot.ticket, outcome, self._clock.steady())

    def release(self, slot: Slot) -> None:
        """Release the slot. A call that was not reported does not count for the breaker."""
        if slot.ticket is not None and not slot.reported:
            self._breakers[slot.breaker] = resilience.withdraw(self._breakers[slot.breaker], slot.ticket, self._clock.steady())
        slot.gate.leave()

    def _admitted(self, gate: _Gate, target: HttpTarget) -> Slot | CircuitOpen:
        """The slot of a call that has entered the gate, if its breaker permits it."""
        breaker, name = self._breaker(target), _function(target)
        if breaker is None:
            return Slot(gate, name, None)
        decision, self._breakers[name] = resilience.allow(breaker, self._clock.steady())
        if isinstance(decision, CircuitOpen):
            gate.leave()
            return decision
        return Slot(gate, name, decision.ticket)

    def _breaker(self, target: HttpTarget) -> Breaker | None:
        """The circuit breaker of the function, with the rules of its app.

        Each function has its own, so one that fails does not block others.
        """
        rules = self._policies.for_app(target.app).breaker
        return self._breakers.setdefault(_function(target), Breaker(rules)) if rules else None

    def _gate(self, key: tuple[str, str], target: HttpTarget) -> _Gate:
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = _Gate(target.concurrency)
        return gate


def _function(target: HttpTarget) -> str:
    return f"{target.app} {target.method} {target.path}"
