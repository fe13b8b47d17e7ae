"""A bridge on ports in memory: a request goes in, deliveries are handed out, and everything that was written can be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bridge import catalog, events, resilience
from bridge.app import Bridge, assemble
from bridge.auth import LOCAL
from bridge.catalog import Catalog
from bridge.cloudevents import Event, decode
from bridge.entities import Entities
from bridge.events import Submission
from bridge.intake import Acceptance
from bridge.plans import Plans
from bridge.ports import Ack, Delivery, Message
from bridge.resilience import Policies
from bridge.run import Run, dump, load
from bridge.settings import Settings
from bridge.testing import FakeClock, MemoryBus, MemoryOutbox, MemoryRuntime, MemoryStore, ScriptedFunctions, json_answer
from bridge.tracing import Tracer

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
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: followed}
spec:
  deadline: 1m
  targets:
  - {name: only, http: {app: app, path: /api/one, follow: location}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: published}
spec:
  deadline: 1m
  targets:
  - {name: worker, queue: {name: parcels, body: input, completes: published}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: settled}
spec:
  deadline: 1m
  targets:
  - {name: worker, topic: {name: work, completes: settled}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: strict}
spec:
  deadline: 1m
  targets:
  - {name: only, http: {app: app, path: /api/one, errors: fail}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: strict.work}
spec:
  deadline: 1m
  targets:
  - {name: worker, topic: {name: work, attempts: 2, errors: fail}}
---
apiVersion: bridge/v1
kind: Automation
metadata: {name: mixed}
spec:
  deadline: 1m
  targets:
  - {name: only, http: {app: app, path: /api/one}}
  - {name: worker, topic: {name: work}}
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
    outbox: bool = False
    tracer: Tracer | None = None
    bridge: Bridge = field(init=False)

    async def start(self) -> World:
        """A process: everything in memory is new, the bus and the store are what they were."""
        outbox = MemoryOutbox(self.bus, self.store) if self.outbox else None
        runtime = MemoryRuntime(self.bus, self.store, self.functions, outbox)
        self.bridge = assemble(self.settings, self.plans, runtime, self.clock, tracer=self.tracer)
        for source, handler in self.bridge.pipeline.subscriptions().items():
            await self.bus.subscribe(source, handler, concurrency=1)
        return self

    async def ask(self, automation: str, value: Any = None, correlation_id: str = "id-1") -> Acceptance:
        return await self.bridge.services.bridge.submit(Submission(automation, value, correlation_id), LOCAL)

    async def run(self, correlation_id: str = "id-1") -> Run:
        return await self.bridge.services.bridge.find(correlation_id, LOCAL)

    async def request(self, automation: str, correlation_id: str = "id-1") -> None:
        """Publish an `automation.requested`, as a requester on the bus does."""
        attributes = {"specversion": "1.0", "id": correlation_id, "source": "/test", "type": "automation.requested", "subject": automation}
        await self.bus.publish([events.requested(Event(attributes))])

    def sent(self, kind: str) -> list[str]:
        """The ids of all events of that type that were published."""
        return [event.id for event in (decode(message.body) for message in self.bus.published) if event.type == f"automation.{kind}"]

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        await self.bus.deliver()


async def world(folder: Path, retry: str = "twice", *, outbox: bool = False, tracer: Tracer | None = None) -> World:
    """A started bridge whose functions all answer with their name."""
    (folder / "catalogue.yaml").write_text(CATALOGUE)
    (folder / "policy.yaml").write_text(POLICY.replace("RETRY", retry))
    clock = FakeClock()
    functions = ScriptedFunctions({f"/api/{name}": [json_answer(name)] for name in ("one", "left", "right")})
    known: Catalog = catalog.load(folder / "catalogue.yaml")
    policies: Policies = resilience.load(folder / "policy.yaml")
    made = World(clock, MemoryBus(clock), MemoryStore(clock), functions, Plans(known, policies, Entities()), Settings(), outbox, tracer)
    return await made.start()


def message(world: World, kind: str) -> Message:
    """The first message that carries an event of that type."""
    return next(each for each in world.bus.published if f'"automation.{kind}"'.encode() in each.body)


async def deliver_again(world: World, source: str, kind: str) -> Ack:
    return await world.bridge.pipeline.subscriptions()[source](Delivery(source, message(world, kind), attempt=2))


async def deliver_work_again(world: World) -> Ack:
    """Deliver again what makes the only call of a run: its work with an outbox, its request without one."""
    source, kind = ("automation-invocations/bridge", "invoked") if world.outbox else ("automation-requests/bridge", "requested")
    return await deliver_again(world, source, kind)


def beaten(world: World, change: Callable[[Run], Run]) -> None:
    """Let another process change the run right before the next save."""
    world.store.shared = True
    save = world.store.save

    async def second(key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        world.store.save = save  # type: ignore[method-assign]
        found = await world.store.get(key)
        assert found is not None
        await save(key, dump(change(load(found.value))), found.etag)
        return await save(key, value, etag, ttl)

    world.store.save = second  # type: ignore[method-assign]
