"""Runs with short deadlines in a world where everything takes its time: nothing may start late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random

from bridge import events
from bridge.cloudevents import Event
from bridge.errors import CallFailed
from bridge.ports import FunctionCall, FunctionResponse
from tests.contracts.harsh import Weather
from tests.harsh_kit import AUTOMATIONS, HarshWorld, succeed
from tests.promises import hold

#: The clock moves in every tenth verb, and far: between any look at it and what follows.
SLOW = Weather(twice=0.4, early=0.3, conflicts=True, unsaid=0.05, refused=0.02, partial=0.05, crash=0.001, slow=0.1, longest=6.0)
#: Nearly all deliveries are in two hands at once, and done when one of them is; processes end in between.
IN_TWO_HANDS = Weather(twice=0.9, lapses=0.8, early=0.3, unsaid=0.02, refused=0.03, partial=0.05, crash=0.006, slow=0.05, longest=6.0)
RUNS = 20  #: of one world


def fuzzed(seed: int) -> int:
    """Let one world go by; how many runs it had. Fails if any promise broke."""
    asyncio.run(_world(seed))
    return RUNS


async def _world(seed: int) -> None:
    world = HarshWorld(seed, SLOW if seed % 4 else IN_TWO_HANDS, outbox=bool(seed % 2))
    world.answers, world.work = _answers(world.random), _worker(world)
    await world.open()
    for number in range(RUNS):
        deadline = events.iso(world.clock.now() + timedelta(seconds=world.random.choice([1, 5, 15, 30, 60, 120])))
        await world.ask(world.random.choice(AUTOMATIONS), {"n": number}, f"run-{number}", deadline=deadline)
        await world.bus.deliver(world.random.choice([0, 10, 50]))
    await world.settle()
    hold(world.journal)


def _answers(random: Random) -> Callable[[FunctionCall], FunctionResponse | CallFailed]:
    def answer(call: FunctionCall) -> FunctionResponse | CallFailed:
        kind = random.randrange(8)
        if kind == 0:
            return FunctionResponse(429, {"retry-after": str(random.choice([1, 5, 20, 100]))}, b"")
        if kind == 1:
            return FunctionResponse(503, {}, b"")
        if kind == 2:
            return CallFailed("ConnectionLost", "It went away.", may_have_run=True)
        return succeed(call)

    return answer


def _worker(world: HarshWorld) -> Callable[[Event], list[Event]]:
    def work(event: Event) -> list[Event]:
        if world.random.random() < 0.5:
            return [world.result(event.attributes, {"status": "failed", "error": {"code": "Busy", "retriable": True}})]
        return [world.result(event.attributes, {"status": "succeeded", "output": "worked"})]

    return work
