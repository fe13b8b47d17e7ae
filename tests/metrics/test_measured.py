"""Ports that count: they do what those behind them do, and count it once, whatever comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from bridge.errors import CallFailed, Conflict, Unavailable
from bridge.metrics.measured import MeasuredBus, MeasuredFunctions, MeasuredOutbox, handling
from bridge.metrics.meters import Meters
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Message, Write
from tests.metrics.test_meters import series

CALL = FunctionCall("reports", "POST", "/api/report/7", b"{}", {}, timedelta(seconds=1), template="/api/report/{id}")
BOTH = [Message("timers", b""), Message("invocations", b""), Message("invocations", b"")]
SENT, LASTED = "messaging_client_sent_messages", "messaging_client_operation_duration"


class Behind:
    """A bus, an outbox and functions that do what the test says."""

    def __init__(self, fault: BaseException | None = None, status: int = 200) -> None:
        self.fault, self.status = fault, status
        self.published: list[Message] = []
        self.committed: list[tuple[Write, Sequence[tuple[str, str]]]] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        self._stumble()
        self.published += messages

    async def subscribe(self, source: str, handler: object, *, concurrency: int) -> None:
        pass

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        self._stumble()
        self.published += messages
        self.committed.append((write, obsolete))
        return "etag-2"

    async def call(self, _call: FunctionCall, /) -> FunctionResponse:
        self._stumble()
        return FunctionResponse(self.status, {}, b"")

    def starting(self, app: str, /) -> bool:
        return app == "reports"

    def unserved(self, app: str, method: str, path: str, /) -> str:
        return f"nobody serves {app} {method} {path}"

    def _stumble(self) -> None:
        if self.fault is not None:
            raise self.fault


async def test_messages_of_one_publishing_are_counted_by_topic() -> None:
    meters, behind = Meters("dapr"), Behind()
    await MeasuredBus(behind, meters).publish(BOTH)
    assert behind.published == BOTH
    assert series(meters, SENT) == {("dapr", "send", "timers"): 1, ("dapr", "send", "invocations"): 2}
    assert series(meters, LASTED) == {("dapr", "send", "timers", "send"): 1, ("dapr", "send", "invocations", "send"): 1}


async def test_a_transaction_is_a_sending_if_it_has_messages() -> None:
    meters, behind = Meters("embedded"), Behind()
    outbox, write, obsolete = MeasuredOutbox(behind, meters), Write("key", b"", "etag-1", None), [("timers", "id-1")]
    assert await outbox.commit(write, (), obsolete) == "etag-2"
    assert series(meters, SENT) == {}
    assert await outbox.commit(write, BOTH[:1], obsolete) == "etag-2"
    assert series(meters, SENT) == {("embedded", "send", "timers"): 1}
    assert behind.committed == [(write, obsolete)] * 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Conflict("key"), Conflict.code), (Unavailable("away"), Unavailable.code), (asyncio.CancelledError(), "Interrupted")],
)
async def test_what_could_not_be_sent_is_counted_with_its_error_and_raised(fault: BaseException, error: str) -> None:
    meters, behind = Meters("embedded"), Behind(fault)
    with pytest.raises(type(fault)):
        await MeasuredBus(behind, meters).publish(BOTH[:1])
    with pytest.raises(type(fault)):
        await MeasuredOutbox(behind, meters).commit(Write("key", b"", "", None), BOTH[:1])
    assert series(meters, SENT) == {("embedded", "send", "timers", error): 2}


async def test_a_call_is_counted_by_the_path_of_the_catalogue_and_not_by_what_the_input_made_of_it() -> None:
    meters = Meters("embedded")
    functions = MeasuredFunctions(Behind(status=422), meters)
    assert (await functions.call(CALL)).status == 422
    assert (functions.starting("reports"), functions.unserved("a", "GET", "/b")) == (True, "nobody serves a GET /b")
    assert series(meters, "http_client_request_duration") == {("POST", "422", "422", "reports", "/api/report/{id}"): 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [(CallFailed("ConnectionLost", "gone", may_have_run=True), "ConnectionLost"), (asyncio.CancelledError(), "Interrupted")],
)
async def test_a_call_without_an_answer_is_counted_with_the_reason(fault: BaseException, error: str) -> None:
    meters = Meters("embedded")
    with pytest.raises(type(fault)):
        await MeasuredFunctions(Behind(fault), meters).call(CALL)
    assert series(meters, "http_client_request_duration") == {("POST", error, "reports", "/api/report/{id}"): 1}


@pytest.mark.parametrize(("answer", "error"), [(Ack.DONE, ()), (Ack.RETRY, ("abandoned",))])
async def test_a_delivery_that_will_come_again_is_one_that_failed(answer: Ack, error: tuple[str, ...]) -> None:
    meters = Meters("dapr")

    async def handler(_delivery: Delivery) -> Ack:
        return answer

    delivery = Delivery("results/bridge", Message("results", b""))
    assert await handling(handler, "results/bridge", meters)(delivery) is answer
    assert series(meters, "messaging_process_duration") == {("dapr", "process", "results", "bridge", *error): 1}
    assert series(meters, "messaging_client_consumed_messages") == {("dapr", "process", "results", "bridge"): 1}


async def test_a_delivery_that_is_cut_off_is_counted_too() -> None:
    meters = Meters("dapr")

    async def handler(_delivery: Delivery) -> Ack:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await handling(handler, "results/bridge", meters)(Delivery("results/bridge", Message("results", b"")))
    assert series(meters, "messaging_process_duration") == {("dapr", "process", "results", "bridge", "Interrupted"): 1}
