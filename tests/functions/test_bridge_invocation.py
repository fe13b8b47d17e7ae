from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bridge_invocation
import pytest
from bridge_invocation import Invocation, Stopped

from tests.functions.conftest import FakeBridge

PATH = "/v1/invocations/order-1/summarize"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def invocation(bridge: FakeBridge, clock: Clock) -> Invocation:
    return Invocation(bridge.url, "secret", clock=clock)


def test_the_bridge_is_asked_with_the_token(bridge: FakeBridge, invocation: Invocation) -> None:
    assert not invocation.canceled()
    assert bridge.heard == [("GET", PATH, "secret", None)]


def test_the_bridge_is_asked_once_a_second_at_most(bridge: FakeBridge, invocation: Invocation, clock: Clock) -> None:
    for passed in (0, 0.5, 0.4, 0.2, 0.9, 0.1):
        clock.now += passed
        invocation.canceled()
    assert len(bridge.heard) == 3


def test_a_canceled_invocation_stays_canceled_without_further_questions(bridge: FakeBridge, invocation: Invocation, clock: Clock) -> None:
    bridge.answer = {"canceled": True}
    assert invocation.canceled()
    clock.now += 60
    assert invocation.canceled()
    assert len(bridge.heard) == 1


def test_a_cancel_is_noticed_within_two_seconds_of_work_that_looks_often(bridge: FakeBridge, invocation: Invocation, clock: Clock) -> None:
    assert not invocation.canceled()
    bridge.answer, canceled_at = {"canceled": True}, clock.now
    while not invocation.canceled():
        clock.now += 0.1
    assert clock.now - canceled_at < 2


def test_progress_is_the_data_of_a_running_result(bridge: FakeBridge, invocation: Invocation) -> None:
    invocation.report(12.5, "250 rows")
    said = {"status": "running", "progress": {"percent": 12.5, "message": "250 rows"}}
    assert bridge.heard == [("POST", PATH, "secret", said)]


def test_progress_is_told_every_half_second_at_most(bridge: FakeBridge, invocation: Invocation, clock: Clock) -> None:
    for percent in (1, 2, 3, 4):
        invocation.report(percent)
        clock.now += 0.3
    assert [heard[3]["progress"]["percent"] for heard in bridge.heard] == [1, 3]


def test_progress_stays_between_0_and_100(bridge: FakeBridge, invocation: Invocation, clock: Clock) -> None:
    invocation.report(-3)
    clock.now += 1
    invocation.report(100.1)
    assert [heard[3]["progress"]["percent"] for heard in bridge.heard] == [0, 100]


def test_the_answer_to_progress_cancels_too(bridge: FakeBridge, invocation: Invocation) -> None:
    bridge.status, bridge.answer = 202, {"canceled": True}
    invocation.report(1)
    assert invocation.canceled()


def test_a_bridge_that_is_gone_never_fails_the_work_and_is_left_alone_for_a_while(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1/invocations/a/b"
    invocation = Invocation(url, "secret", clock=clock)
    for _ in range(5):
        invocation.checkpoint()
        invocation.report(1)
        clock.now += 1
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


@pytest.mark.parametrize("answer", [[], "no", {}, {"canceled": "maybe"}])
def test_an_answer_that_makes_no_sense_cancels_nothing(bridge: FakeBridge, invocation: Invocation, answer: object) -> None:
    bridge.answer = answer
    assert not invocation.canceled()


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_an_answer_that_is_none_cancels_nothing_and_the_token_follows_no_redirect(
    bridge: FakeBridge, invocation: Invocation, status: int
) -> None:
    bridge.status, bridge.answer = status, {"canceled": True}
    assert not invocation.canceled()
    assert len(bridge.heard) == 1


@pytest.mark.parametrize("url", ["ftp://host/x", "http:///x", "http://host:port/x", "nonsense", "http://[::1/x"])
def test_an_address_that_cannot_be_used_never_fails_the_work(url: str) -> None:
    assert not Invocation(url, "secret").canceled()


def test_after_the_bridge_came_back_it_is_asked_again(bridge: FakeBridge, invocation: Invocation, clock: Clock) -> None:
    bridge.status = 503
    assert not invocation.canceled()
    bridge.status, bridge.answer = 200, {"canceled": True}
    clock.now += 10
    assert invocation.canceled()


def test_work_without_an_address_goes_on_alone() -> None:
    invocation = Invocation()
    invocation.checkpoint()
    invocation.report(5)
    assert invocation.seconds_left is None


def test_the_trace_context_is_that_of_the_event_or_the_headers_and_empty_without_one() -> None:
    given = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=1"}
    assert Invocation.of_event(given).trace_context == Invocation.of_headers(given).trace_context == given
    assert Invocation.of_event({}).trace_context == Invocation().trace_context == {}


def test_a_checkpoint_stops_canceled_work(bridge: FakeBridge, invocation: Invocation) -> None:
    bridge.answer = {"canceled": True}
    with pytest.raises(Stopped, match="its run was canceled") as caught:
        invocation.checkpoint()
    assert caught.value.code == "Canceled"


def test_a_checkpoint_stops_work_past_its_deadline_without_asking(bridge: FakeBridge) -> None:
    invocation = Invocation(bridge.url, "secret", datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(Stopped, match="has passed") as caught:
        invocation.checkpoint()
    assert caught.value.code == "DeadlinePassed"
    assert bridge.heard == []


@pytest.mark.parametrize("written", ["2026-03-01T12:05:00Z", "2026-03-01T13:05:00+01:00"])
def test_the_deadline_is_read_from_the_event_and_from_the_headers(written: str) -> None:
    expected = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
    assert Invocation.of_event({"expirytime": written}).deadline == expected
    assert Invocation.of_headers({"x-deadline": written}).deadline == expected


@pytest.mark.parametrize("written", ["", "tomorrow", "2026-03-01T12:05:00"])
def test_a_deadline_that_cannot_be_read_is_none(written: str) -> None:
    assert Invocation.of_event({"expirytime": written}).deadline is None


def test_an_http_function_finds_its_invocation_in_the_headers(bridge: FakeBridge) -> None:
    Invocation.of_headers({"x-invocation-url": bridge.url, "x-invocation-token": "secret"}).report(50)
    assert bridge.heard[0][:3] == ("POST", PATH, "secret")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    lines = Path(bridge_invocation.__file__).read_text().splitlines()
    roots = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert roots <= sys.stdlib_module_names
