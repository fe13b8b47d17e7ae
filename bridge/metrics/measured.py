"""Ports that count what passes them: messages that are sent and delivered, and calls of functions. Else they do as those behind."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter

from bridge.errors import BridgeError, CallFailed
from bridge.metrics.meters import ABANDONED, INTERRUPTED, Meters
from bridge.ports import Ack, Bus, Delivery, FunctionCall, FunctionResponse, Functions, Handler, Message, Outbox, Write


class MeasuredBus:
    """`ports.Bus`."""

    def __init__(self, bus: Bus, meters: Meters) -> None:
        self._bus, self._meters = bus, meters

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and count the messages of each topic."""
        begun, error = perf_counter(), ""
        try:
            await self._bus.publish(messages)
        except BaseException as fault:
            error = _kind(fault)
            raise
        finally:
            _sent(self._meters, messages, error, perf_counter() - begun)

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Subscribe the handler, and measure it."""
        await self._bus.subscribe(source, handling(handler, source, self._meters), concurrency=concurrency)


class MeasuredOutbox:
    """`ports.Outbox`. A transaction that sends messages is the operation that sends them."""

    def __init__(self, outbox: Outbox, meters: Meters) -> None:
        self._outbox, self._meters = outbox, meters

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        """Commit, and count the messages of each topic."""
        if not messages:
            return await self._outbox.commit(write, messages, obsolete)
        begun, error = perf_counter(), ""
        try:
            return await self._outbox.commit(write, messages, obsolete)
        except BaseException as fault:
            error = _kind(fault)
            raise
        finally:
            _sent(self._meters, messages, error, perf_counter() - begun)


class MeasuredFunctions:
    """`ports.Functions`."""

    def __init__(self, functions: Functions, meters: Meters) -> None:
        self._functions, self._meters = functions, meters

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Call, and measure from the call to the answer."""
        begun, status, error = perf_counter(), 0, ""
        try:
            answer = await self._functions.call(call)
            status = answer.status
        except BaseException as fault:
            error = _kind(fault)
            raise
        finally:
            self._meters.called(call.method, call.app, call.template, status, error, perf_counter() - begun)
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
        begun, error = perf_counter(), ""
        meters.consumed(source)
        try:
            answer = await handler(delivery)
            error = ABANDONED if answer is Ack.RETRY else ""
        except BaseException as fault:
            error = _kind(fault)
            raise
        finally:
            meters.processed(source, error, perf_counter() - begun)
        return answer

    return handle


def _kind(fault: BaseException) -> str:
    """What stands for the fault in `error.type`: one of few texts, and never a message."""
    if isinstance(fault, CallFailed):
        return fault.reason
    if isinstance(fault, BridgeError):
        return fault.code
    return INTERRUPTED if isinstance(fault, CancelledError) else type(fault).__name__


def _sent(meters: Meters, messages: Sequence[Message], error: str, seconds: float) -> None:
    counts: dict[str, int] = {}
    for each in messages:
        counts[each.topic] = counts.get(each.topic, 0) + 1
    for topic, count in counts.items():
        meters.sent(topic, count, error, seconds)
