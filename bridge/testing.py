"""The test kit: ports in memory, driven by a clock that the test moves. For tests of the bridge and of what is built on it.

clock = FakeClock()
bus, store = MemoryBus(clock), MemoryStore(clock)
await bus.subscribe("automation-requests/bridge", handler, concurrency=1)
await bus.publish([Message("automation-requests", body)])
await bus.deliver()
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json

from bridge.errors import CallFailed, Conflict, PortError, Undeliverable
from bridge.ports import Ack, Answer, Call, Delivery, Handler, Message, Stored

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  #: when a FakeClock starts unless told otherwise


class FakeClock:
    """Implements `ports.Clock`. Time stands still until somebody moves it; a sleep moves it and returns at once."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move the time on by `seconds`."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, span: timedelta) -> None:
        """Move the time on."""
        self._now += span


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
    """Implements `ports.Store` with etags, first writes and times to live. `calls` counts the verbs it was asked for."""

    def __init__(self, clock: FakeClock, *, shared: bool = False) -> None:
        self.shared = shared
        self.is_full = False  #: for the test to say; `create` stays as it is
        self.calls: dict[str, int] = {"create": 0, "save": 0, "get": 0}
        self.unreachable: PortError | None = None  #: what every verb raises, if anything
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._etags = itertools.count(1)
        self._faults: list[_Fault] = []

    def fail(self, error: PortError, *, key: str = "", written: bool = False, times: int = 1) -> None:
        """Let the next writes to keys that start with `key`, `times` of them, raise `error`; `written`: although they were stored."""
        self._faults += [_Fault(error, key, written)] * times

    def stored_keys(self) -> list[str]:
        """The keys whose time is not over, sorted."""
        return sorted(key for key in self._kept if self._alive(key) is not None)

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        """Store a new key. Raises Conflict if it exists."""
        self._count("create")
        if self._alive(key) is not None:
            raise Conflict(f"The key {key!r} exists already.")
        return self._write(key, value, ttl)

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        """Replace the version `etag`. Raises Conflict if another stands there or none."""
        self._count("save")
        kept = self._alive(key)
        if kept is None or kept.etag != etag:
            raise Conflict(f"The key {key!r} has changed since version {etag} or is gone.")
        return self._write(key, value, ttl)

    async def get(self, key: str) -> Stored | None:
        """The key's value, or None."""
        self._count("get")
        kept = self._alive(key)
        return Stored(kept.value, kept.etag) if kept else None

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        """The values in the order of `keys`."""
        return [await self.get(key) for key in keys]

    def _count(self, verb: str) -> None:
        if self.unreachable is not None:
            raise self.unreachable
        self.calls[verb] += 1

    def _alive(self, key: str) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and (kept.ends is None or kept.ends > self._clock.now()) else None

    def _write(self, key: str, value: bytes, ttl: timedelta | None) -> str:
        fault = next((each for each in self._faults if key.startswith(each.key)), None)
        if fault is not None:
            self._faults.remove(fault)
        etag = f"v{next(self._etags)}"
        if fault is None or fault.written:
            self._kept[key] = _Kept(value, etag, self._clock.now() + ttl if ttl is not None else None)
        if fault is not None:
            raise fault.error
        return etag


@dataclass(frozen=True, slots=True)
class _Waiting:
    delivery: Delivery
    due: datetime


class MemoryBus:
    """Implements `ports.Bus`. Messages wait until `deliver` hands them out; `published` keeps every one in its order.

    A topic's message goes to each subscription that was subscribed to ("topic/subscription"), a queue's to its handler.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.published: list[Message] = []
        self.unknown_topics: set[str] = set()  #: what is refused for good
        self._clock = clock
        self._handlers: dict[str, Handler] = {}
        self._waiting: list[_Waiting] = []
        self._faults: list[PortError] = []

    def fail(self, error: PortError) -> None:
        """Let the next publish raise `error` and store nothing."""
        self._faults.append(error)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Keep the messages. Raises Undeliverable for a topic among `unknown_topics`, and what `fail` was told."""
        if self._faults:
            raise self._faults.pop(0)
        for message in messages:
            if message.topic in self.unknown_topics:
                raise Undeliverable(f"There is no topic {message.topic!r}.")
        now = self._clock.now()
        self.published += messages
        self._waiting += [_Waiting(Delivery(each.topic, each, enqueued_at=now), each.deliver_at or now) for each in messages]

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:  # noqa: ARG002 - the port's signature
        """Hand what waits for `source` to `handler`, one at a time, whenever `deliver` is called."""
        self._handlers[source] = handler

    @property
    def waiting(self) -> list[Message]:
        """What has not been handed out, or has come back."""
        return [each.delivery.message for each in self._waiting]

    async def deliver(self) -> int:
        """Hand out what is due, and what the handlers publish meanwhile; how many deliveries that were.

        What a handler answers with RETRY or an exception comes back, as the next attempt, in the next call.
        """
        count, back = 0, []
        while (taken := self._take()) is not None:
            for delivery in self._each_source(taken.delivery):
                count += 1
                if await _handled(self._handlers[delivery.source], delivery) is not Ack.DONE:
                    back.append(_Waiting(replace(delivery, attempt=delivery.attempt + 1), self._clock.now()))
        self._waiting += back
        return count

    def _take(self) -> _Waiting | None:
        now = self._clock.now()
        for place, each in enumerate(self._waiting):
            if each.due <= now and any(self._each_source(each.delivery)):
                return self._waiting.pop(place)
        return None

    def _each_source(self, delivery: Delivery) -> Iterator[Delivery]:
        if delivery.source in self._handlers:
            yield delivery
            return
        yield from (replace(delivery, source=source) for source in self._handlers if source.startswith(f"{delivery.source}/"))


async def _handled(handler: Handler, delivery: Delivery) -> Ack:
    try:
        return await handler(delivery)
    except Exception:  # noqa: BLE001 - a bus takes any exception of a handler as RETRY
        return Ack.RETRY


Scripted = Answer | CallFailed | Callable[[Call], Awaitable[Answer]]
"""What a scripted function does: answer, give no answer, or whatever the callable does."""


@dataclass
class ScriptedFunctions:
    """Implements `ports.Functions`. Every call takes the next answer of its path; the last one stays. `calls` keeps every call."""

    answers: dict[str, list[Scripted]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    async def call(self, call: Call) -> Answer:
        """Answer as scripted. Raises CallFailed if that is scripted, or if nothing is."""
        self.calls.append(call)
        script = self.answers.get(call.path)
        if not script:
            raise CallFailed("UnknownApp", f"No answer is scripted for {call.path}.", may_have_run=False)
        scripted = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(scripted, CallFailed):
            raise scripted
        return scripted if isinstance(scripted, Answer) else await scripted(call)


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, {"content-type": "application/json"}, to_json(value))
