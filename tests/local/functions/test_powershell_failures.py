"""PowerShell functions that throw, hang, are canceled or end their process; host and worker are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from .conftest import StartApp
from .namespace import Namespace
from .powershell_kit import ANSWER, BUS, function


async def test_a_throw_is_a_500_and_the_log_has_its_text_and_place(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    host = start_app({"Fail": function("param($Request)\nthrow 'boom'\n")})

    async with http.get(host.url("fail")) as answer:
        assert answer.status == 500

    host.wait_for_log("Fail/run.ps1: line 2")
    assert "boom" in host.log


@pytest.mark.parametrize("ending", ["exit 3", "break", "[void](Get-Item /no/such/file); exit"])
async def test_a_script_that_ends_early_has_answered_with_what_it_pushed(
    start_app: StartApp, http: aiohttp.ClientSession, ending: str
) -> None:
    script = "param($Request)\nPush-OutputBinding -Name Response -Value @{ Body = 'pushed' }\n" + ending
    host = start_app({"Early": function(script)})

    for _ in range(2):
        async with http.get(host.url("early")) as answer:
            assert (answer.status, await answer.text()) == (200, "pushed")


@pytest.mark.parametrize(
    "hanging", ["while ($true) { }", "Start-Sleep 60", "/bin/sleep 60", "while ($true) { try { Start-Sleep 60 } catch { } }"]
)
async def test_a_script_that_does_not_end_is_stopped_alone(start_app: StartApp, http: aiohttp.ClientSession, hanging: str) -> None:
    functions = {
        "Hang": function(f"param($Request)\n{hanging}\n"),
        "Wait": function('param($Request)\nStart-Sleep 2\nPush-OutputBinding Response @{ Body = "$PID" }\n'),
        "Id": function('param($Request)\nPush-OutputBinding Response @{ Body = "$PID" }\n'),
    }
    host = start_app(functions, host_json={"functionTimeout": "00:00:03"})

    async with http.get(host.url("id")) as answer:
        worker = await answer.text()
    hang = asyncio.create_task(http.get(host.url("hang")))
    await asyncio.sleep(1.5)  # the neighbour is in the middle when the time is over
    async with http.get(host.url("wait")) as answer:
        assert (answer.status, await answer.text()) == (200, worker)
    assert (await hang).status == 500
    host.wait_for_log("functionTimeout (3 s), so it was stopped")


@pytest.fixture
def reports() -> list[Any]:
    """What was reported to the bridge."""
    return []


@asynccontextmanager
async def saying(canceled: bool, status: int, reports: list[Any]) -> AsyncIterator[str]:
    """The URL of a bridge that says of every invocation whether it is canceled, and answers reports with `status`."""

    async def say(request: web.Request) -> web.Response:
        assert request.headers["x-invocation-token"] == "t0k3n"
        if request.method == "GET":
            return web.json_response({"canceled": canceled})
        reports.append(await request.json())
        return web.json_response({"canceled": canceled}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", say)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def canceling_bridge(reports: list[Any]) -> AsyncIterator[str]:
    async with saying(canceled=True, status=202, reports=reports) as url:
        yield url


@pytest.fixture
async def refusing_bridge(reports: list[Any]) -> AsyncIterator[str]:
    async with saying(canceled=False, status=503, reports=reports) as url:
        yield url


async def test_work_that_the_bridge_has_canceled_is_stopped_and_the_bridge_is_told(
    start_app: StartApp, http: aiohttp.ClientSession, namespace: Namespace, canceling_bridge: str, reports: list[Any]
) -> None:
    functions = {"Long": function("param($Request)\nStart-Sleep 60\n"), "Work": function("param($message)\nStart-Sleep 60\n", BUS)}
    host = start_app(functions, arguments=["--public-url", canceling_bridge])
    url = f"{canceling_bridge}/v1/invocations/run-1/a"

    headers = {**host.headers, "x-invocation-id": "run-1/a", "x-invocation-url": url, "x-invocation-token": "t0k3n"}
    async with http.get(host.url("long"), headers=headers) as answer:
        assert answer.status == 500
        assert (await answer.json())["code"] == "Canceled"
    await namespace.put({}, applicationProperties={"invocationid": "run-1/a", "invocationurl": url, "invocationtoken": "t0k3n"})
    await namespace.until(1, "complete")
    assert [(report["status"], report["error"]["code"]) for report in reports] == [("failed", "Canceled")]


async def test_the_bridge_is_told_what_a_script_threw_and_how_many_errors_it_wrote(
    start_app: StartApp, http: aiohttp.ClientSession, canceling_bridge: str
) -> None:
    thrown = "@{ code = 'NoSuchUser'; message = 'There is no such user.'; hint = 'Use the short name.'; retriable = $false }"
    functions = {
        "Throw": function(f"param($Request)\nWrite-Error 'before'\nthrow {thrown}\n"),
        "Write": function("param($Request)\nWrite-Error 'one'; Write-Error 'two'\nPush-OutputBinding Response @{ Body = 'x' }\n"),
    }
    host = start_app(functions, arguments=["--public-url", canceling_bridge])
    url = f"{canceling_bridge}/v1/invocations/run-1/a"
    headers = {**host.headers, "x-invocation-id": "run-1/a", "x-invocation-url": url, "x-invocation-token": "t0k3n"}

    async with http.get(host.url("throw"), headers=headers) as answer:
        told = await answer.json()
        assert answer.headers["x-errors-written"] == "1"
    assert (told["code"], told["message"]) == ("NoSuchUser", "There is no such user. (Throw/run.ps1, line 3)")
    assert (told["hint"], told["retriable"]) == ("Use the short name.", False)
    async with http.get(host.url("write"), headers=headers) as answer:
        assert answer.headers["x-errors-written"] == "2"
    async with http.get(host.url("write")) as answer:
        assert "x-errors-written" not in answer.headers


async def test_the_bridge_hears_of_the_errors_of_a_message_before_its_outputs_are_sent(
    start_app: StartApp, namespace: Namespace, canceling_bridge: str, reports: list[Any]
) -> None:
    script = "param($message)\nWrite-Error 'one'; Write-Error 'two'\nPush-OutputBinding result 'done'\n"
    start_app({"Work": function(script, BUS)}, arguments=["--public-url", canceling_bridge])
    work = {"invocationid": "run-1/a", "invocationurl": f"{canceling_bridge}/v1/invocations/run-1/a", "invocationtoken": "t0k3n"}
    await namespace.put({}, applicationProperties=work)
    await namespace.until(1, "complete")
    assert reports == [{"status": "running", "errorsWritten": 2}]


async def test_where_errors_end_the_work_nothing_is_sent_until_the_bridge_knows_of_them(
    start_app: StartApp, namespace: Namespace, refusing_bridge: str
) -> None:
    script = "param($message)\nWrite-Error 'one'\nPush-OutputBinding result 'done'\n"
    start_app({"Work": function(script, BUS)}, arguments=["--public-url", refusing_bridge])
    work = {"invocationid": "run-1/a", "invocationurl": f"{refusing_bridge}/v1/invocations/run-1/a", "invocationtoken": "t0k3n"}
    await namespace.put({}, applicationProperties={**work, "errors": "fail"})
    await namespace.until(3, "abandon")
    assert namespace.sent == []
    await namespace.put({}, applicationProperties=work)
    await namespace.until(1, "complete")
    assert [each.body for each in namespace.sent] == [b"done"]


async def test_a_script_that_cannot_be_stopped_takes_its_worker_with_it(start_app: StartApp, http: aiohttp.ClientSession) -> None:
    functions = {"Block": function("param($Request)\n[Threading.Thread]::Sleep(60000)\n"), "Ping": function(ANSWER)}
    host = start_app(functions, host_json={"functionTimeout": "00:00:01"})

    async with http.get(host.url("block")) as answer:
        assert answer.status == 500
    host.wait_for_log("its worker was killed")
    host.wait_for_log("a worker is running again")
    async with http.get(host.url("ping")) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("ending", ["[Environment]::Exit(0)", "[Environment]::FailFast('no more')", "Stop-Process -Id $PID -Force"])
async def test_a_script_that_ends_its_process_fails_and_the_worker_comes_back(
    start_app: StartApp, http: aiohttp.ClientSession, ending: str
) -> None:
    host = start_app({"Die": function(f"param($Request)\n{ending}\n"), "Ping": function(ANSWER)})

    async with http.get(host.url("die")) as answer:
        assert answer.status == 500
    host.wait_for_log("a worker is running again")
    async with http.get(host.url("ping")) as answer:
        assert answer.status == 200
