"""Random stories of one queue with restarts: the broker does at each step what a simple model does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.adapters.embedded.amqp.brokervalues import DEFERRED, Abandon, Complete, Defer, Disposition, Locked, Reject, Release
from bridge.adapters.embedded.broker import EmbeddedBroker
from tests.contracts.broker_kit import Client, body_of, embedded_broker, message

STEPS, MOST_DELIVERIES = 120, 3


@dataclass
class Known:
    """What the model knows of a message. `counted` are the deliveries that a restart does not forget."""

    body: str
    deferred: bool = False
    deliveries: int = 0
    counted: int = 0
    lock: Locked | None = None


class Story:
    """One queue, its model, and the steps that may come."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.messages: dict[int, Known] = {}
        self.dead: set[str] = set()
        self.sent = 0

    async def step(self, broker: EmbeddedBroker) -> None:
        locked = [number for number, known in self.messages.items() if known.lock]
        free = [number for number, known in self.messages.items() if not known.lock and not known.deferred]
        deferred = [number for number, known in self.messages.items() if not known.lock and known.deferred]
        choices = [self.send, *[self.settle] * 3 * bool(locked), *[self.receive] * 3 * bool(free), *[self.take] * bool(deferred)]
        await self.random.choice(choices)(broker)

    async def send(self, broker: EmbeddedBroker) -> None:
        bodies = [str(self.sent + number) for number in range(self.random.randint(1, 3))]
        self.sent += len(bodies)
        numbers = await broker.send("jobs", [message(body) for body in bodies])
        self.messages |= {number: Known(body) for number, body in zip(numbers, bodies, strict=True)}

    async def receive(self, broker: EmbeddedBroker) -> None:
        client = Client.of(broker, "jobs", credit=1)
        lock = await client.next()
        client.receiver.close()
        expected = min(number for number, known in self.messages.items() if not known.lock and not known.deferred)
        assert lock.stored.sequence_number == expected
        self.locked(lock)

    async def take(self, broker: EmbeddedBroker) -> None:
        number = self.random.choice([number for number, known in self.messages.items() if not known.lock and known.deferred])
        (lock,) = await broker.receive_deferred("jobs", [number], receive_and_delete=False, session_id=None)
        assert lock.stored.state == DEFERRED
        self.locked(lock)

    def locked(self, lock: Locked) -> None:
        known = self.messages[lock.stored.sequence_number]
        assert (body_of(lock), lock.stored.delivery_count) == (known.body, known.deliveries)
        known.lock, known.deliveries = lock, known.deliveries + 1

    async def settle(self, broker: EmbeddedBroker) -> None:
        number = self.random.choice([number for number, known in self.messages.items() if known.lock])
        known = self.messages[number]
        disposition: Disposition = self.random.choice([Complete(), Abandon(), Abandon(), Defer(), Reject(), Release(), Release()])
        assert known.lock is not None
        await broker.settle("jobs", known.lock.token, disposition)
        known.lock = None
        match disposition:
            case Complete():
                del self.messages[number]
            case Release():
                known.deliveries -= 1
            case Defer():
                known.deferred, known.counted = True, known.deliveries
            case Abandon() if known.deliveries < MOST_DELIVERIES:
                known.counted = known.deliveries
            case _:
                self.dead.add(self.messages.pop(number).body)

    def restarted(self) -> None:
        for known in self.messages.values():
            known.lock, known.deliveries = None, known.counted

    async def compare(self, broker: EmbeddedBroker) -> None:
        seen = await broker.peek("jobs", 0, 1_000, None)
        expected = sorted(self.messages.items())
        assert [(each.sequence_number, body_of(each), each.state == DEFERRED, each.delivery_count) for each in seen] == [
            (number, known.body, known.deferred, known.counted) for number, known in expected
        ]
        assert {body_of(each) for each in await broker.peek("jobs/$DeadLetterQueue", 0, 1_000, None)} == self.dead


@pytest.mark.parametrize("window", [2, 1_000])
@pytest.mark.parametrize("seed", range(6))
async def test_a_story_goes_as_its_model_does(tmp_path: Path, seed: int, window: int) -> None:
    story = Story(seed)
    for _ in range(4):
        async with embedded_broker(tmp_path, window=window) as (broker, _):
            story.restarted()
            await story.compare(broker)
            for _ in range(STEPS):
                await story.step(broker)
            await story.compare(broker)
    assert story.dead
