"""A test kit with ports in memory and a clock that the test moves, for tests of the bridge and of programs that build on it.

clock = FakeClock()
bus, store = MemoryBus(clock), MemoryStore(clock)
await bus.subscribe("automation-requests/bridge", handler, concurrency=1)
await bus.publish([Message("automation-requests", body)])
await bus.deliver()
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json

from bridge.errors import CallFailed, Conflict, PortError, Undeliverable
from bridge.ports import (
    Ack,
    Bus,
    DeadLetterQueues,
    Delivery,
    FunctionCall,
    FunctionResponse,
    Functions,
    Handler,
    Keep,
    Message,
    Outbox,
    Store,
    Stored,
    Write,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  #: the time at which a FakeClock starts by default


class FakeClock:
    """Implements `ports.Clock`. Time stands still until the test moves it. A sleep moves it and returns at once."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now, self._ahead = start, timedelta(0)

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return self._now + self._ahead

    def steady(self) -> datetime:
        """The time without what `set_forward` did, in UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move the time forward by `seconds`, without waiting."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, span: timedelta) -> None:
        """Let time pass."""
        self._now += span

    def set_forward(self, span: timedelta) -> None:
        """Set the wall clock forward, or back by a negative span, although no time passes."""
        self._ahead += span


@dataclass
class _Fault:
    error: PortError
    key: str
    written: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    value: bytes
    etag: str
    ends: datetime | None


class MemoryStore:
    """Implements `ports.Store` with etags and times to live. `calls` counts the calls of each method."""

    def __init__(self, clock: FakeClock, *, shared: bool = False) -> None:
        self.shared = shared
        self.is_full = False  #: set by the test; `create` works all the same
        self.calls: dict[str, int] = {"create": 0, "save": 0, "get": 0}
        self.unreachable: PortError | None = None  #: if set, every method raises it
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._etags = itertools.count(1)
        self._faults: list[_Fault] = []

    def fail(self, error: PortError, *, key: str = "", written: bool = False, times: int = 1) -> None:
        """Let the next `times` writes to keys that start with `key` raise `error`. With `written` they are stored all the same."""
        self._faults += [_Fault(error, key, written)] * times

    def stored_keys(self) -> list[str]:
        """The keys whose time to live is not over, sorted."""
        return sorted(key for key in self._kept if self._alive(key) is not None)

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key. Raises Conflict if it exists."""
        self._count("create")
        if self._alive(key) is not None:
            raise Conflict(f"The key {key!r} exists already.")
        return self._write(key, value, ttl)

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag`. Raises Conflict if the key has another version or does not exist."""
        self._count("save")
        stored = self._alive(key)
        if stored is None or stored.etag != etag:
            raise Conflict(f"The key {key!r} has changed since version {etag} or is gone.")
        return self._write(key, value, ttl)

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None."""
        self._count("get")
        stored = self._alive(key)
        return Stored(stored.value, stored.etag) if stored else None

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`."""
        return [await self.get(key) for key in keys]

    def _count(self, verb: str) -> None:
        if self.unreachable is not None:
            raise self.unreachable
        self.calls[verb] += 1

    def _alive(self, key: str) -> _Kept | None:
        stored = self._kept.get(key)
        return stored if stored is not None and (stored.ends is None or stored.ends > self._clock.steady()) else None

    def _write(self, key: str, value: bytes, ttl: timedelta | None) -> str:
        fault = next((each for each in self._faults if key.startswith(each.key)), None)
        if fault is not None:
            self._faults.remove(fault)
        etag = f"v{next(self._etags)}"
        if fault is None or fault.written:
            self._kept[key] = _Kept(value, etag, self._clock.steady() + ttl if ttl is not None else None)
        if fault is not None:
            raise fault.error
        return etag


@dataclass(frozen=True, slots=True)
class _Waiting:
    delivery: Delivery
    due: datetime


class MemoryBus:
    """Implements `ports.Bus`. Messages wait until `deliver` is called. `published` has all messages in their order.

    Each handler that subscribed to "topic/subscription" gets its own copy of the topic's messages. Messages to a queue go to its handler.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.published: list[Message] = []
        self.unknown_topics: set[str] = set()  #: topics that `publish` refuses for good
        self.largest: int | None = None  #: bytes of a body; `publish` refuses more for good
        self._clock = clock
        self._handlers: dict[str, Handler] = {}
        self._waiting: list[_Waiting] = []
        self._faults: list[PortError] = []

    def fail(self, error: PortError) -> None:
        """Let the next publish raise `error` and store nothing."""
        self._faults.append(error)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store the messages. Raises Undeliverable for a topic among `unknown_topics` and over `largest`, and the error given to `fail`."""
        self.check(messages)
        now, steady = self._clock.now(), self._clock.steady()
        self.published += messages
        waits = [each.deliver_at - now if each.deliver_at else timedelta(0) for each in messages]
        delivered = [Delivery(each.topic, each, enqueued_at=now) for each in messages]
        self._waiting += [_Waiting(delivery, steady + wait) for delivery, wait in zip(delivered, waits, strict=True)]

    def check(self, messages: Sequence[Message]) -> None:
        """Raise the error that `publish` would raise for these messages, if any."""
        if self._faults and messages:
            raise self._faults.pop(0)
        for message in messages:
            if message.topic in self.unknown_topics:
                raise Undeliverable(f"There is no topic {message.topic!r}.")
            if self.largest is not None and len(message.body) > self.largest:
                raise Undeliverable(f"A message of {len(message.body)} bytes is too large.")

    def forget(self, scheduled: Sequence[tuple[str, str]]) -> None:
        """Cancel scheduled messages, each named by topic and message id."""
        named = set(scheduled)
        self._waiting = [each for each in self._waiting if (each.delivery.message.topic, each.delivery.message.message_id) not in named]

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:  # noqa: ARG002 - the port's signature
        """Let `deliver` pass the messages of `source` to `handler`, one at a time."""
        self._handlers[source] = handler

    @property
    def waiting(self) -> list[Message]:
        """The messages that have not been delivered, or will be delivered again."""
        return [each.delivery.message for each in self._waiting]

    async def deliver(self) -> int:
        """Deliver all messages that are due, also those that the handlers publish meanwhile. Returns the number of deliveries.

        A message for which the handler answers RETRY or raises is delivered again by the next call, as the next attempt.
        """
        count, back = 0, []
        while (taken := self._take()) is not None:
            for delivery in self._each_source(taken.delivery):
                count += 1
                if await _handled(self._handlers[delivery.source], delivery) is not Ack.DONE:
                    back.append(_Waiting(replace(delivery, attempt=delivery.attempt + 1), self._clock.steady()))
        self._waiting += back
        return count

    def _take(self) -> _Waiting | None:
        now = self._clock.steady()
        for place, each in enumerate(self._waiting):
            if each.due <= now and any(self._each_source(each.delivery)):
                return self._waiting.pop(place)
        return None

    def _each_source(self, delivery: Delivery) -> Iterator[Delivery]:
        if delivery.source in self._handlers:
            yield delivery
            return
        yield from (replace(delivery, source=source) for source in self._handlers if source.startswith(f"{delivery.source}/"))


class MemoryRuntime:
    """Implements `ports.Runtime` with the ports that it is given. With an `outbox`, bus and store share transactions."""

    signing_key = b"k" * 32
    dead_letter_queues: DeadLetterQueues | None = None

    def __init__(self, bus: Bus, store: Store, functions: Functions, outbox: Outbox | None = None, replica: str = "memory") -> None:
        self.bus, self.store, self.functions, self.outbox, self.replica = bus, store, functions, outbox, replica

    def trouble(self) -> Mapping[str, str]:
        """This runtime never has trouble."""
        return {}

    def dead_letter_to(self, keep: Keep) -> None:
        """Not needed: the bus refuses no message after it has accepted it."""

    async def start(self, handlers: Mapping[str, Handler], concurrency: int, _waiting: Callable[[str], None]) -> None:
        """Subscribe the handlers."""
        for source, handler in handlers.items():
            await self.bus.subscribe(source, handler, concurrency=concurrency)

    async def close(self, patience: float) -> None:
        """There is nothing to close."""


class MemoryOutbox:
    """Implements `ports.Outbox` on a memory store and bus: it stores the write and the messages, or nothing."""

    def __init__(self, bus: MemoryBus, store: MemoryStore) -> None:
        self._bus, self._store = bus, store

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        """Make the write and publish the messages. Raises the error that the test has set on store or bus; nothing is published then."""
        self._bus.check(messages)
        etag = await (
            self._store.save(write.key, write.value, write.etag, write.ttl)
            if write.etag
            else self._store.create(write.key, write.value, write.ttl)
        )
        await self._bus.publish(messages)
        self._bus.forget(obsolete)
        return etag


async def _handled(handler: Handler, delivery: Delivery) -> Ack:
    try:
        return await handler(delivery)
    except Exception:  # noqa: BLE001 - a bus takes any exception of a handler as RETRY
        return Ack.RETRY


Scripted = FunctionResponse | CallFailed | Callable[[FunctionCall], Awaitable[FunctionResponse]]
"""The script of one call: return a response, raise the error, or do what the callable does."""


@dataclass
class ScriptedFunctions:
    """Implements `ports.Functions`. Each call gets the next answer of its path, and the last one for ever. `calls` has all calls."""

    answers: dict[str, list[Scripted]] = field(default_factory=dict)
    calls: list[FunctionCall] = field(default_factory=list)
    loading: set[str] = field(default_factory=set)  #: apps that are being started
    nobody_at: dict[tuple[str, str, str], str] = field(default_factory=dict)  #: why nobody answers, by app, method and path

    def starting(self, app: str) -> bool:
        """Whether `loading` names the app."""
        return app in self.loading

    def unserved(self, app: str, method: str, path: str) -> str:
        """What `nobody_at` has for the path."""
        return self.nobody_at.get((app, method, path), "")

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Return the next answer of the path. Raises CallFailed if that is scripted, or if the path has no answers."""
        self.calls.append(call)
        script = self.answers.get(call.path)
        if not script:
            raise CallFailed("UnknownApp", f"No answer is scripted for {call.path}.", may_have_run=False)
        scripted = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(scripted, CallFailed):
            raise scripted
        return scripted if isinstance(scripted, FunctionResponse) else await scripted(call)


def json_answer(value: Any, status: int = 200) -> FunctionResponse:
    """A response with a JSON body."""
    return FunctionResponse(status, {"content-type": "application/json"}, to_json(value))
