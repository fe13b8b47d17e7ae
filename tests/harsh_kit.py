"""Several replicas of the bridge on one harsh bus and store, with functions and topic workers around them, and somebody who asks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
from pydantic_core import from_json

from bridge import catalog, events, resilience
from bridge.app import Bridge, assemble
from bridge.auth import LOCAL, Caller
from bridge.cloudevents import Event, decode
from bridge.entities import Entities
from bridge.errors import BridgeError, CallFailed, PortError
from bridge.events import Submission
from bridge.plans import Plans
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Handler, Message
from bridge.run import Run
from bridge.settings import Settings, TopicIdentity
from bridge.testing import MemoryRuntime, json_answer
from tests.contracts.harsh import Crash, Fate, HarshBus, HarshClock, HarshFunctions, HarshOutbox, HarshStore, Life, Mortal, Weather
from tests.observed import Journal

SOURCES = [
    *("automation-requests/bridge", "automation-invocations/bridge", "automation-results/bridge", "automation-timers/bridge"),
    *("automation-deadletters", "work/worker"),
]
SETTINGS = Settings(topics={"automation-requests": TopicIdentity(submitter="bus", roles=())})
_HTTP = "{{name: {0}, http: {{app: {1}, path: /api/{0}}}}}"
_TOPIC = "{name: worker, topic: {name: work, attempts: 3}}"
_TARGETS = {
    "one": ("all", [_HTTP.format("only", "app")]),
    "plain": ("all", [_HTTP.format("plain", "bare")]),
    "two": ("all", [_HTTP.format("left", "app"), _HTTP.format("right", "bare")]),
    "any": ("any", [_HTTP.format("left", "app"), _HTTP.format("right", "bare")]),
    "quorum": ("quorum:2", [_HTTP.format("left", "app"), _HTTP.format("right", "bare"), _HTTP.format("third", "bare")]),
    "best": ("best-effort", [_HTTP.format("left", "app"), _HTTP.format("right", "bare")]),
    "work": ("all", [_TOPIC]),
    "both": ("all", [_HTTP.format("left", "app"), _TOPIC]),
    "either": ("any", [_HTTP.format("left", "app"), _TOPIC]),
}
AUTOMATIONS = tuple(_TARGETS)
_AUTOMATION = """
apiVersion: bridge/v1
kind: Automation
metadata: {{name: {name}}}
spec:
  deadline: 5m
  input: {{type: object, properties: {{n: {{type: integer}}}}}}
  succeedsWhen: {rule}
  targets: [{targets}]
"""
_POLICY = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: harsh}
spec:
  policies:
    timeouts: {call: 10s}
    retries: {short: {policy: constant, duration: 1s, maxRetries: 2}, long: {policy: constant, duration: 12s, maxRetries: 2}}
    circuitBreakers: {breaker: {trip: consecutiveFailures >= 3, timeout: 15s}}
  targets:
    apps:
      app: {timeout: call, retry: short, circuitBreaker: breaker}
      bare: {timeout: call, retry: long}
"""


@cache
def plans() -> Plans:
    """What the configuration files of the harsh world say."""
    with TemporaryDirectory() as folder:
        catalogue, policy = Path(folder, "catalogue.yaml"), Path(folder, "policy.yaml")
        documents = (_AUTOMATION.format(name=name, rule=rule, targets=", ".join(targets)) for name, (rule, targets) in _TARGETS.items())
        catalogue.write_text("---".join(documents))
        policy.write_text(_POLICY)
        return Plans(catalog.load(catalogue), resilience.load(policy), Entities())


@contextmanager
def quiet() -> Iterator[None]:
    """Log errors only: a storm has a story to tell at every step."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


def succeed(call: FunctionCall) -> FunctionResponse:
    """What a function answers that never fails: who it is, and the input."""
    return json_answer({"path": call.path, "input": from_json(call.body)})


@dataclass
class _Replica:
    name: str
    life: Life
    bridge: Bridge
    handlers: list[Handler]


@dataclass
class HarshWorld:
    """Everything around the bridge is drawn from `seed`; what a function answers, and what a topic worker does, is for the test to say."""

    seed: int
    weather: Weather
    replicas: int = 2
    outbox: bool = False  #: bus and store share transactions, as in the embedded runtime, where there is one process
    answers: Callable[[FunctionCall], FunctionResponse | CallFailed] = succeed
    work: Callable[[Event], list[Event]] = field(default=lambda _: [])
    running: list[_Replica] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = HarshClock()
        self.fate = Fate(self.seed, self.clock, self.weather)
        self.random, self.journal = self.fate.random, Journal(self.clock.now)
        self.bus = HarshBus(self.fate, self.journal, SOURCES)
        self.store = HarshStore(self.fate, self.journal, shared=not self.outbox)
        self.replicas = 1 if self.outbox else self.replicas
        self.functions = HarshFunctions(self.fate, self.journal, self._answered)
        self._ids = itertools.count(1)

    async def open(self) -> HarshWorld:
        await self.bus.subscribe("work/worker", self._worked, concurrency=1)
        await self.revive()
        return self

    async def revive(self) -> None:
        """Start again what has ended: everything in memory is new, the bus and the store are what they were."""
        self.running = [each for each in self.running if each.life.alive]
        for name in (f"replica-{number}" for number in range(self.replicas)):
            if name not in {each.name for each in self.running}:
                await self._start(name)

    async def _start(self, name: str) -> None:
        life = Life(self.fate, self.journal)
        bus, store, functions = (Mortal(port, life) for port in (self.bus, self.store, self.functions))
        outbox = Mortal(HarshOutbox(self.fate, self.store, self.bus), life) if self.outbox else None
        bridge = assemble(SETTINGS, plans(), MemoryRuntime(bus, store, functions, outbox=outbox, replica=name), self.clock)
        replica = _Replica(name, life, bridge, [])
        life.at_end = lambda: self.bus.leave(replica.handlers)
        for source, handler in bridge.pipeline.subscriptions().items():
            living = self._living(life, handler)
            replica.handlers.append(living)
            await self.bus.subscribe(source, living, concurrency=256)
        self.running.append(replica)

    def _living(self, life: Life, handler: Handler) -> Handler:
        async def handle(delivery: Delivery) -> Ack:
            life.goes_on()
            ack: Ack = await life.do(handler(delivery))
            return ack

        return handle

    def crash(self, place: int = 0) -> None:
        """One process ends between two verbs."""
        self.running[place % len(self.running)].life.end()

    def _answered(self, call: FunctionCall) -> FunctionResponse | CallFailed:
        return self.answers(call)

    async def _worked(self, delivery: Delivery) -> Ack:
        for event in self.work(decode(delivery.message.body)):
            await self.send("automation-results", event)
        return Ack.DONE

    async def call(self, ask: Callable[[Bridge], Awaitable[Any]]) -> Any:
        """Do something at one of the replicas: its answer, the error it gives, or None if it died meanwhile."""
        await self.revive()
        replica = self.random.choice(self.running)
        try:
            return await replica.life.do(ask(replica.bridge))
        except Crash:
            return None
        except BridgeError as fault:
            return fault

    async def ask(self, automation: str, value: Any = None, correlation_id: str = "", *, deadline: str = "", caller: Caller = LOCAL) -> Any:
        """Ask at a door, as `call`."""
        submission = Submission(automation, {} if value is None else value, correlation_id or f"run-{next(self._ids)}", deadline)
        answer = await self.call(lambda bridge: bridge.services.bridge.submit(submission, caller))
        if answer is not None and not isinstance(answer, BridgeError):
            self.journal.admitted(answer.run.correlation_id)
        return answer

    async def insist(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask until the answer is yes or no, as a client does that gets no answer or 503."""
        while (answer := await ask()) is None or isinstance(answer, PortError):
            pass
        return answer

    async def send(self, topic: str, event: Event | bytes, **properties: Any) -> None:
        """Publish as somebody else on the bus does: again and again until the bus says yes."""
        body = event if isinstance(event, bytes) else event.encode()
        named = {} if isinstance(event, bytes) else {"message_id": event.id, "correlation_id": event.correlation_id, "label": event.subject}
        await self.again(Message(topic, body, **named, **properties))

    async def again(self, message: Message) -> None:
        """Publish once more what was published, until the bus says yes."""
        while True:
            try:
                return await self.bus.publish([message])
            except PortError:
                continue

    def event(self, kind: str, data: Any = None, **attributes: str) -> Event:
        """A new event of that type."""
        named = {"specversion": "1.0", "id": f"event-{next(self._ids)}", "source": "/tests", "type": kind, "subject": "one"}
        return Event({**named, **attributes}, data)

    def result(self, work: Mapping[str, str], data: Mapping[str, Any], **attributes: str) -> Event:
        """What a function says of its work: `work` has the attributes of the `automation.invoked` event."""
        echoed = {"correlationid": work["correlationid"], "causationid": work["id"], "invocationtoken": work["invocationtoken"]}
        return self.event(events.RESULT, dict(data), **{**echoed, **attributes})

    async def settle(self, most: int = 3000) -> None:
        """Let time pass until nothing waits any more."""
        for _ in range(most):
            await self.revive()
            await self.bus.deliver()
            due = self.bus.next_due
            if due is None and all(each.life.alive for each in self.running):
                return
            self.clock.advance(max(due - self.clock.now(), timedelta(0)) if due else timedelta(0))
        raise AssertionError(f"promise 6: {len(self.bus.waiting)} messages go round for ever: {self.bus.waiting[0].body[:300]!r}")

    async def cancel(self, correlation_id: str, caller: Caller = LOCAL) -> Any:
        """Cancel at a door, as `call`."""
        return await self.call(lambda bridge: bridge.services.bridge.cancel(correlation_id, caller))

    async def sweep(self) -> None:
        """One of the replicas looks for runs past their deadline."""
        await self.call(lambda bridge: bridge.sweeper.sweep())

    async def end_all(self) -> None:
        """Let all deadlines pass, and sweep until nothing is left to find."""
        self.clock.advance(timedelta(minutes=10))
        await self.insist(lambda: self.call(lambda bridge: bridge.sweeper.sweep()))
        await self.settle()

    def correlation_ids(self) -> list[str]:
        """Of all runs in the store."""
        return [key.removeprefix("run/") for key in self.store.stored_keys() if key.startswith("run/")]

    async def run(self, correlation_id: str) -> Run:
        """The run, looked up until an answer comes."""
        run: Run = await self.insist(lambda: self.call(lambda bridge: bridge.services.bridge.find(correlation_id, LOCAL)))
        return run
