"""Wrappers of ports that count messages and calls of functions, and otherwise behave like the ports that they wrap."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter

from bridge.errors import BridgeError, CallFailed
from bridge.metrics.meters import ABANDONED, INTERRUPTED, Meters
from bridge.ports import Ack, Bus, Delivery, FunctionCall, FunctionResponse, Functions, Handler, Message, Outbox, Write


class MeasuredBus:
    """Wraps a `ports.Bus`."""

    def __init__(self, bus: Bus, meters: Meters) -> None:
        self._bus, self._meters = bus, meters

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and count the messages of each topic."""
        begun = perf_counter()
        try:
            await self._bus.publish(messages)
        except BaseException as fault:
            self._meters.sent([each.topic for each in messages], _kind(fault), perf_counter() - begun)
            raise
        self._meters.sent([each.topic for each in messages], "", perf_counter() - begun)

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Subscribe the handler, and measure it."""
        await self._bus.subscribe(source, handling(handler, source, self._meters), concurrency=concurrency)


class MeasuredOutbox:
    """Wraps a `ports.Outbox`. A transaction with messages is the operation that sends them."""

    def __init__(self, outbox: Outbox, meters: Meters) -> None:
        self._outbox, self._meters = outbox, meters

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        """Commit, and count the messages of each topic."""
        if not messages:
            return await self._outbox.commit(write, messages, obsolete)
        begun = perf_counter()
        try:
            etag = await self._outbox.commit(write, messages, obsolete)
        except BaseException as fault:
            self._meters.sent([each.topic for each in messages], _kind(fault), perf_counter() - begun)
            raise
        self._meters.sent([each.topic for each in messages], "", perf_counter() - begun)
        return etag


class MeasuredFunctions:
    """Wraps a `ports.Functions`."""

    def __init__(self, functions: Functions, meters: Meters) -> None:
        self._functions, self._meters = functions, meters

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Call, and measure from the call to the answer."""
        begun = perf_counter()
        try:
            answer = await self._functions.call(call)
        except BaseException as fault:
            self._meters.called(call.method, call.app, call.template, 0, _kind(fault), perf_counter() - begun)
            raise
        self._meters.called(call.method, call.app, call.template, answer.status, "", perf_counter() - begun)
        return answer

    def starting(self, app: str, /) -> bool:
        """As `ports.Functions`."""
        return self._functions.starting(app)

    def unserved(self, app: str, method: str, path: str, /) -> str:
        """As `ports.Functions`."""
        return self._functions.unserved(app, method, path)


def handling(handler: Handler, source: str, meters: Meters) -> Handler:
    """The handler of the deliveries of `source`, measured."""

    async def handle(delivery: Delivery) -> Ack:
        begun = perf_counter()
        meters.consumed(source)
        try:
            answer = await handler(delivery)
        except BaseException as fault:
            meters.processed(source, _kind(fault), perf_counter() - begun)
            raise
        meters.processed(source, ABANDONED if answer is Ack.RETRY else "", perf_counter() - begun)
        return answer

    return handle


def _kind(fault: BaseException) -> str:
    """The value of `error.type` for the fault: one of a few texts, and never a message."""
    if isinstance(fault, CallFailed):
        return fault.reason
    if isinstance(fault, BridgeError):
        return fault.code
    return INTERRUPTED if isinstance(fault, CancelledError) else type(fault).__name__
