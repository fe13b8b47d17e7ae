"""Work of the bridge in the host and its worker, both real: never started after its deadline, and failures that explain themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.local.functions import bridgework

from .conftest import Host, StartHost
from .namespace import Namespace

TOKEN = "t0k3n"


class ReportedTo:
    """A bridge that takes reports, and answers each with `status`. It says of every invocation whether it is `canceled`."""

    def __init__(self) -> None:
        self.status = 202
        self.canceled = False
        self.reports: list[tuple[str, str, Any]] = []
        self.url = ""

    async def __aenter__(self) -> ReportedTo:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        app.router.add_get("/{path:.*}", self._say)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.reports.append((request.path, request.headers["x-invocation-token"], await request.json()))
        return web.json_response({"canceled": self.canceled}, status=self.status)

    async def _say(self, request: web.Request) -> web.Response:
        assert request.headers["x-invocation-token"] == TOKEN
        return web.json_response({"canceled": self.canceled})


@pytest.fixture
async def bridge() -> AsyncIterator[ReportedTo]:
    async with ReportedTo() as bridge:
        yield bridge


def moment(seconds: float) -> str:
    """So many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def call_headers(host: Host, bridge: ReportedTo, seconds: float = 60, **other: str) -> dict[str, str]:
    """Those of the bridge's own calls, with some changed, or left out if they are empty."""
    headers = {
        **host.headers,
        "x-invocation-id": "run-1/call",
        "x-invocation-url": f"{bridge.url}/v1/invocations/run-1/call",
        "x-invocation-token": TOKEN,
        "x-deadline": moment(seconds),
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    return {name: value for name, value in headers.items() if value}


def invoked(bridge: ReportedTo, seconds: float, **data: Any) -> dict[str, Any]:
    """An `automation.invoked` event in structured mode, whose order is at its top level, where the sample app reads it."""
    return {
        **data,
        "specversion": "1.0",
        "type": "automation.invoked",
        "id": "run-1/work",
        "expirytime": moment(seconds),
        "invocationurl": f"{bridge.url}/v1/invocations/run-1/work",
        "invocationtoken": TOKEN,
    }


async def answered(http: aiohttp.ClientSession, host: Host, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    async with http.post(host.url(path), headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else ""


async def test_the_bridge_is_told_what_a_function_raised(start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo) -> None:
    host = start_host("--public-url", bridge.url)
    status, error = await answered(http, host, "fail", call_headers(host, bridge))
    assert (status, error["code"], error["message"], "retriable" in error) == (500, "ValueError", "the secret reason", False)
    await asyncio.to_thread(host.wait_for_log, "the secret reason")
    invocation = error["hint"].rpartition(" ")[2].strip(".")
    assert any("fail took" in line and f"invocation {invocation}" in line for line in host.log.splitlines())


async def test_an_exception_that_is_not_retriable_says_so_and_its_text_is_bounded(
    start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo
) -> None:
    host = start_host("--public-url", bridge.url)
    status, error = await answered(http, host, "refuse", call_headers(host, bridge))
    assert (status, error["code"], error["retriable"], len(error["message"])) == (500, "Final", False, 2_000)


@pytest.mark.parametrize(("how", "code"), [("exit", "SystemExit"), ("cancel", "CancelledError"), ("interrupt", "KeyboardInterrupt")])
async def test_what_is_no_ordinary_exception_ends_the_call_and_not_the_worker(
    start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo, how: str, code: str
) -> None:
    host = start_host("--public-url", bridge.url)
    for _ in range(2):
        async with asyncio.timeout(10):
            status, error = await answered(http, host, f"leave?how={how}", call_headers(host, bridge))
        assert (status, error["code"], error["message"]) == (500, code, "told to leave")
    assert "a worker is running again" not in host.log


async def test_the_bridge_is_told_that_a_worker_ended(start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo) -> None:
    host = start_host("--public-url", bridge.url)
    status, error = await answered(http, host, "die", call_headers(host, bridge))
    assert (status, error["code"]) == (500, "WorkerEnded")


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("trip", {"x_functions_key": ""}),
        ("trip", {"x_functions_key": "wrong"}),
        ("fail", {"x_invocation_id": ""}),
        ("fail", {"x_invocation_token": ""}),
        ("fail", {"x_invocation_url": ""}),
        ("fail", {"x_invocation_url": "http://127.0.0.1:1/v1/invocations/run-1/call"}),
    ],
)
async def test_everybody_else_gets_azures_answer(
    start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo, path: str, other: dict[str, str]
) -> None:
    host = start_host("--public-url", bridge.url)
    assert await answered(http, host, path, call_headers(host, bridge, -60, **other)) == (500, "")


async def test_a_host_that_no_bridge_has_started_gives_azures_answers(
    start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo
) -> None:
    host = start_host()
    assert await answered(http, host, "fail", call_headers(host, bridge, -60)) == (500, "")


async def test_a_call_that_comes_after_its_deadline_is_410(start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo) -> None:
    host = start_host("--public-url", bridge.url)
    for path in ("nap?name=late", "block?name=late"):
        status, error = await answered(http, host, path, call_headers(host, bridge, -1))
        assert (status, error["code"]) == (410, "DeadlinePassed")
    assert await answered(http, host, "nap?name=timely", call_headers(host, bridge)) == (204, "")
    await asyncio.to_thread(host.wait_for_log, "naps timely")
    assert "late |" not in host.log
    assert "naps late" not in host.log
    assert "blocks late" not in host.log


@pytest.mark.parametrize("path", ["nap", "block"])
async def test_a_call_that_waits_in_the_worker_until_its_deadline_is_410(
    start_host: StartHost, http: aiohttp.ClientSession, bridge: ReportedTo, path: str
) -> None:
    host = start_host("--public-url", bridge.url, PYTHON_THREADPOOL_THREAD_COUNT="1")
    first = asyncio.create_task(answered(http, host, f"{path}?name=first&seconds=3", call_headers(host, bridge)))
    await asyncio.to_thread(host.wait_for_log, "first")
    waiting = [answered(http, host, f"{path}?name=late", call_headers(host, bridge, 0.5)) for _ in range(3)]
    timely = answered(http, host, f"{path}?name=timely", call_headers(host, bridge))
    *late, last = await asyncio.gather(*waiting, timely)
    assert ((await first)[0], last[0]) == (204, 204)
    assert [(status, error["code"]) for status, error in late] == [(410, "DeadlinePassed")] * 3
    assert f"{path}s late" not in host.log


async def test_a_message_that_waits_for_a_worker_until_its_deadline_is_reported_and_completed_uncalled(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo, tmp_path: Path
) -> None:
    host = start_host("--public-url", bridge.url, START_MARK=str(tmp_path / "mark"))
    (tmp_path / "mark").touch()
    await namespace.put({"die": True})
    await asyncio.to_thread(host.wait_for_log, "the worker did not start")
    await namespace.put(invoked(bridge, 0.5, sleep=0.1))
    await namespace.until(1, "complete")
    path, token, report = bridge.reports[0]
    assert (path, token) == ("/v1/invocations/run-1/work", TOKEN)
    assert (report["status"], report["error"]["code"]) == ("running", "DeadlinePassed")
    (tmp_path / "mark").unlink()
    await asyncio.to_thread(host.wait_for_log, "a worker is running again")
    assert "sleeps" not in host.log
    assert namespace.sent == []


async def test_a_late_message_that_the_bridge_does_not_know_of_is_left_to_the_broker_uncalled(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo
) -> None:
    bridge.status = 503
    host = start_host("--public-url", bridge.url)
    await namespace.put(invoked(bridge, -1, sleep=0.1))
    await namespace.until(1, "abandon")
    bridge.status = 202
    await namespace.until(1, "complete")
    assert "sleeps" not in host.log
    assert [report["error"]["code"] for _, _, report in bridge.reports] == ["DeadlinePassed"] * 2


async def test_a_message_that_waits_for_a_thread_until_its_deadline_is_completed_uncalled(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo
) -> None:
    host = start_host("--public-url", bridge.url, PYTHON_THREADPOOL_THREAD_COUNT="1")
    await namespace.put({"sleep": 2})
    await asyncio.to_thread(host.wait_for_log, "sleeps")
    await namespace.put(invoked(bridge, 0.3, answer="late"))
    await namespace.until(2, "complete")
    assert [report["error"]["code"] for _, _, report in bridge.reports] == ["DeadlinePassed"]
    assert "late" not in namespace.bodies()


async def test_the_bridge_is_told_why_a_message_is_abandoned(start_host: StartHost, namespace: Namespace, bridge: ReportedTo) -> None:
    start_host("--public-url", bridge.url)
    await namespace.put(invoked(bridge, 60, fail=True))
    await namespace.until(3, "abandon")
    errors = [report["error"] for _, _, report in bridge.reports]
    assert [(error["code"], error["message"]) for error in errors] == [("RuntimeError", "told to fail")] * 3


async def test_an_exception_that_is_not_retriable_ends_the_work_of_a_message(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo
) -> None:
    start_host("--public-url", bridge.url)
    await namespace.put(invoked(bridge, 60, refuse=True))
    await namespace.until(1, "complete")
    assert "abandon" not in namespace.steps
    assert [(report["status"], report["error"]["code"], report["error"]["retriable"]) for _, _, report in bridge.reports] == [
        ("failed", "Final", False)
    ]


async def test_a_function_that_fails_once_its_run_is_canceled_is_not_delivered_again(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo
) -> None:
    bridge.canceled = True
    start_host("--public-url", bridge.url)
    await namespace.put(invoked(bridge, 60, fail=True))
    await namespace.until(1, "complete")
    assert "abandon" not in namespace.steps
    assert [(report["status"], report["error"]["message"]) for _, _, report in bridge.reports] == [("failed", "told to fail")]


@pytest.mark.parametrize(("answer", "told"), [({"silent": True}, ["Canceled"]), ({"answer": "done"}, [])])
async def test_a_function_that_returns_nothing_once_its_run_is_canceled_has_ended_it(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo, answer: dict[str, Any], told: list[str]
) -> None:
    bridge.canceled = True
    start_host("--public-url", bridge.url)
    await namespace.put(invoked(bridge, 60, sleep=1.5, **answer))
    await namespace.until(1, "complete")
    assert [report["error"]["code"] for _, _, report in bridge.reports] == told


async def test_work_is_known_by_application_properties_too(start_host: StartHost, namespace: Namespace, bridge: ReportedTo) -> None:
    start_host("--public-url", bridge.url)
    event = invoked(bridge, -1)
    named = {name: event[name] for name in ("invocationurl", "invocationtoken")}
    await namespace.put({"sleep": 0.1}, applicationProperties={**named, "invocationid": "run-1/work", "deadline": event["expirytime"]})
    await namespace.until(1, "complete")
    assert [report["error"]["code"] for _, _, report in bridge.reports] == ["DeadlinePassed"]


async def test_where_the_settlement_ends_the_work_the_bridge_hears_of_it_before_the_message_is_completed(
    start_host: StartHost, namespace: Namespace, bridge: ReportedTo
) -> None:
    bridge.status = 503
    start_host("--public-url", bridge.url)
    event = invoked(bridge, 60)
    named = {name: event[name] for name in ("invocationurl", "invocationtoken")}
    await namespace.put(
        {}, applicationProperties={**named, "invocationid": "run-1/work", "deadline": event["expirytime"], "completes": "settled"}
    )
    await namespace.until(1, "abandon")
    bridge.status = 202
    await namespace.until(1, "complete")
    assert [step for step in namespace.steps if step != "renew"] == ["receive", "send", "abandon", "send", "complete"]
    assert [report for _, _, report in bridge.reports] == [{"status": "running", "settlement": "completed"}] * 2


async def test_other_work_is_completed_without_a_report(start_host: StartHost, namespace: Namespace, bridge: ReportedTo) -> None:
    start_host("--public-url", bridge.url)
    await namespace.put(invoked(bridge, 60))
    await namespace.until(1, "complete")
    assert bridge.reports == []


async def test_no_address_but_the_bridges_is_ever_called(start_host: StartHost, namespace: Namespace, bridge: ReportedTo) -> None:
    async with ReportedTo() as other:
        start_host("--public-url", bridge.url)
        await namespace.put(invoked(other, -1, fail=True))
        await namespace.until(3, "abandon")
        assert (other.reports, bridge.reports) == ([], [])


PUBLIC = "https://bridge.example/base"


@pytest.mark.parametrize(
    ("url", "below"),
    [
        (f"{PUBLIC}/v1/invocations/order:4711@x/call", True),
        (PUBLIC, False),
        (f"{PUBLIC}/", False),
        ("https://bridge.example/base2/v1/invocations/a/b", False),
        ("https://bridge.example.evil/base/v1/invocations/a/b", False),
        ("http://bridge.example/base/v1/invocations/a/b", False),
        (f"{PUBLIC}/../v1/invocations/a/b", False),
        (f"{PUBLIC}/%2e%2e/a", False),
        (f"{PUBLIC}/a/./b", False),
        (f"{PUBLIC}/a?b", False),
        (f"{PUBLIC}/a#b", False),
        (f"{PUBLIC}/a\r\nx: y", False),
        (f"{PUBLIC}\\@evil/a", False),
        ("", False),
    ],
)
def test_an_invocation_url_lies_below_the_public_url(url: str, below: bool) -> None:
    headers = {"x-invocation-id": "a/b", "x-invocation-url": url, "x-invocation-token": TOKEN}
    assert (bridgework.of_call(headers, PUBLIC) is not None) is below


@pytest.mark.parametrize("deadline", ["", "soon", "2026-01-31T12:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_deadline_that_is_no_time_is_none(deadline: str) -> None:
    headers = {"x-invocation-id": "a/b", "x-invocation-url": f"{PUBLIC}/a", "x-invocation-token": TOKEN, "x-deadline": deadline}
    work = bridgework.of_call(headers, PUBLIC)
    assert work is not None
    assert work.deadline is None
    assert not work.is_late


@pytest.mark.parametrize(
    "body", [b"", b'"automation.invoked"', b"automation.invoked", b"[" * 100_000 + b'"automation.invoked"', b"\xff automation.invoked"]
)
def test_a_body_that_is_no_event_is_no_work(body: bytes) -> None:
    assert bridgework.of_message({}, body, PUBLIC) is None
