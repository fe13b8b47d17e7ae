"""A bridge on ports in memory: a request goes in, deliveries are handed out, and everything that was written can be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bridge import catalog, resilience
from bridge.app import Bridge, Plans, Ports, assemble
from bridge.catalog import Catalog
from bridge.doors import Submitted
from bridge.entities import Entities
from bridge.envelope import decode
from bridge.events import Ask
from bridge.identity import LOCAL
from bridge.ports import Ack, Delivery, Message
from bridge.resilience import Policies
from bridge.run import Run, dump, load
from bridge.settings import Settings
from bridge.testing import FakeClock, MemoryBus, MemoryStore, ScriptedFunctions, json_answer

CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: one}
spec:
  deadline: 1m
  targets:
  - {name: only, http: {app: app, path: /api/one}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: two}
spec:
  deadline: 1m
  succeedsWhen: all
  targets:
  - {name: left, http: {app: app, path: /api/left}}
  - {name: right, http: {app: app, path: /api/right}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: work}
spec:
  deadline: 1m
  targets:
  - {name: worker, topic: {name: work, attempts: 2}}
"""
POLICY = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: test}
spec:
  policies:
    timeouts: {call: 10s}
    retries: {twice: {policy: constant, duration: 1s, maxRetries: 1}, late: {policy: constant, duration: 20s, maxRetries: 1}}
    circuitBreakers: {breaker: {trip: consecutiveFailures >= 2, timeout: 15s}}
  targets:
    apps:
      app: {timeout: call, retry: RETRY, circuitBreaker: breaker}
"""


@dataclass
class World:
    """A bridge and the world around it."""

    clock: FakeClock
    bus: MemoryBus
    store: MemoryStore
    functions: ScriptedFunctions
    plans: Plans
    settings: Settings
    bridge: Bridge = field(init=False)

    async def start(self) -> World:
        """A process: everything in memory is new, the bus and the store are what they were."""
        self.bridge = assemble(self.settings, self.plans, Ports(self.bus, self.store, self.functions, self.clock, b"k" * 32))
        for source, handler in self.bridge.pipeline.subscriptions().items():
            await self.bus.subscribe(source, handler, concurrency=1)
        return self

    async def ask(self, automation: str, value: Any = None, correlation_id: str = "id-1") -> Submitted:
        return await self.bridge.services.doors.ask(Ask(automation, value, correlation_id), LOCAL)

    async def run(self, correlation_id: str = "id-1") -> Run:
        return await self.bridge.services.doors.find(correlation_id, LOCAL)

    def sent(self, kind: str) -> list[str]:
        """The ids of all events of that type that were published."""
        return [event.id for event in (decode(message.body) for message in self.bus.published) if event.type == f"automation.{kind}"]

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        await self.bus.deliver()


async def world(folder: Path, retry: str = "twice") -> World:
    """A started bridge whose functions all answer with their name."""
    (folder / "catalogue.yaml").write_text(CATALOGUE)
    (folder / "policy.yaml").write_text(POLICY.replace("RETRY", retry))
    clock = FakeClock()
    functions = ScriptedFunctions({f"/api/{name}": [json_answer(name)] for name in ("one", "left", "right")})
    known: Catalog = catalog.load(folder / "catalogue.yaml")
    policies: Policies = resilience.load(folder / "policy.yaml")
    made = World(clock, MemoryBus(clock), MemoryStore(clock), functions, Plans(known, policies, Entities()), Settings())
    return await made.start()


def message(world: World, kind: str) -> Message:
    """The first message that carries an event of that type."""
    return next(each for each in world.bus.published if f'"automation.{kind}"'.encode() in each.body)


async def deliver_again(world: World, source: str, kind: str) -> Ack:
    return await world.bridge.pipeline.subscriptions()[source](Delivery(source, message(world, kind), attempt=2))


def beaten(world: World, change: Callable[[Run], Run]) -> None:
    """Let another process change the run right before the next save."""
    save = world.store.save

    async def second(key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        world.store.save = save  # type: ignore[method-assign]
        found = await world.store.get(key)
        assert found is not None
        await save(key, dump(change(load(found.value))), found.etag)
        return await save(key, value, etag, ttl)

    world.store.save = second  # type: ignore[method-assign]
