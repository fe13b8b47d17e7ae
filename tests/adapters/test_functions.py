"""Calls of functions over HTTP, against a server on this machine."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.adapters.functions import NEVER_CONNECTED, SLACK, HttpFunctions, failed
from bridge.errors import CallFailed
from bridge.ports import FunctionCall, FunctionResponse
from bridge.settings import FunctionApp, Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIMIT = 100_000


def to(
    app: str = "app", *, method: str = "POST", path: str = "/api/x", timeout: float = 5, headers: dict[str, str] | None = None
) -> FunctionCall:
    return FunctionCall(app, method, path, b'{"a":1}', headers or {"content-type": "application/json"}, timedelta(seconds=timeout))


@asynccontextmanager
async def serving(handler: Handler, folder: Path) -> AsyncIterator[HttpFunctions]:
    """Functions whose app `app` is answered by `handler`, as the local host would tell of it."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application, host="127.0.0.1") as server:
        tell(folder, str(server.make_url("")), "key-1")
        async with HttpFunctions.open(Settings(data_dir=folder, max_output_bytes=LIMIT)) as functions:
            yield functions


def tell(folder: Path, url: str, key: str) -> None:
    (folder / "functions.json").write_text(json.dumps({"app": {"url": url.rstrip("/"), "key": key}}))


async def refused(functions: HttpFunctions, call: FunctionCall) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await functions.call(call)
    return caught.value


@pytest.mark.parametrize("status", [200, 202, 204, 301, 400, 404, 429, 500, 503])
async def test_any_status_is_an_answer(tmp_path: Path, status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, body=b"" if status == 204 else b'{"b":2}', headers={"Retry-After": "7"})

    async with serving(handler, tmp_path) as functions:
        answer = await functions.call(to())
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (status, b"" if status == 204 else b'{"b":2}', "7")


async def test_the_function_gets_body_headers_path_and_key_as_they_are(tmp_path: Path) -> None:
    seen: list[tuple[str, str, bytes, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, await request.read(), {n.lower(): v for n, v in request.headers.items()}))
        return web.Response()

    async with serving(handler, tmp_path) as functions:
        await functions.call(to(method="PUT", path="/api/a%2Fb/../c?d=%20", headers={"x-attempt": "2", "content-type": "application/json"}))
    method, path, body, headers = seen[0]
    assert (method, path, body) == ("PUT", "/api/a%2Fb/../c?d=%20", b'{"a":1}')
    assert headers["x-functions-key"] == "key-1"
    assert headers["x-attempt"] == "2"
    assert headers["accept-encoding"] == "identity"


async def test_a_redirect_is_an_answer_and_the_key_goes_nowhere_else(tmp_path: Path) -> None:
    calls: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serving(handler, tmp_path) as functions:
        assert (await functions.call(to())).status == 307
    assert calls == ["/api/x"]


async def test_cookies_are_not_kept(tmp_path: Path) -> None:
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with serving(handler, tmp_path) as functions:
        await functions.call(to())
        await functions.call(to())
    assert cookies == [None, None]


async def test_a_slow_answer_is_given_up_and_may_have_run(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(handler, tmp_path) as functions:
        fault = await refused(functions, to(timeout=0.1))
    assert (fault.reason, fault.may_have_run) == ("Timeout", True)
    assert "0.1 s" in fault.detail


async def test_the_time_covers_the_body_too(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(50):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    async with serving(handler, tmp_path) as functions:
        assert (await refused(functions, to(timeout=0.2))).reason == "Timeout"


async def test_no_time_is_no_call(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise AssertionError

    async with serving(handler, tmp_path) as functions:
        fault = await refused(functions, to(timeout=0))
    assert (fault.reason, fault.may_have_run) == ("Timeout", False)


async def test_a_connection_that_closes_may_have_run(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handler, tmp_path) as functions:
        fault = await refused(functions, to())
    assert (fault.reason, fault.may_have_run) == ("ConnectionLost", True)


async def test_an_answer_that_breaks_off_is_a_lost_connection(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(handler, tmp_path) as functions:
        assert (await refused(functions, to())).reason == "ConnectionLost"


async def test_an_app_that_does_not_listen_never_ran(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        tell(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}", "key-1")
        async with HttpFunctions.open(Settings(data_dir=tmp_path)) as functions:
            fault = await refused(functions, to())
    assert (fault.reason, fault.may_have_run) == ("ConnectionFailed", False)
    assert "key-1" not in str(fault)
    assert fault.detail == "app could not be reached (Connection refused)."


async def test_a_host_that_does_not_exist_is_said_in_words(tmp_path: Path) -> None:
    tell(tmp_path, "http://no-such-host.invalid", "key-1")
    async with HttpFunctions.open(Settings(data_dir=tmp_path)) as functions:
        assert (await refused(functions, to())).detail == "app could not be reached (no host has its name)."


async def test_something_that_is_not_http_is_a_lost_connection(tmp_path: Path) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    tell(tmp_path, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key-1")
    async with server, HttpFunctions.open(Settings(data_dir=tmp_path)) as functions:
        assert (await refused(functions, to())).reason == "ConnectionLost"


@pytest.mark.parametrize("announced", [True, False])
async def test_fifty_megabytes_are_not_read(tmp_path: Path, announced: bool) -> None:
    written = 0
    ended = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Length": str(50 * 2**20)} if announced else {})
        await response.prepare(request)
        try:
            for _ in range(50 * 16):
                await response.write(b"x" * 2**16)
                written += 2**16
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            ended.set()
        return response

    async with serving(handler, tmp_path) as functions:
        fault = await refused(functions, to())
        await asyncio.wait_for(ended.wait(), 20)
    assert (fault.reason, fault.may_have_run) == ("AnswerTooLarge", True)
    assert written < 25 * 2**20


async def test_the_largest_answer_is_read_whole(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (LIMIT + SLACK))

    async with serving(handler, tmp_path) as functions:
        assert len((await functions.call(to())).body) == LIMIT + SLACK


async def test_of_a_long_refusal_only_the_beginning_is_read(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=500, body=b"x" * 2**20)

    async with serving(handler, tmp_path) as functions:
        answer = await functions.call(to())
    assert (answer.status, len(answer.body)) == (500, 64 * 1024)


def keyed(valid: Callable[[], str], seen: list[str]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("x-functions-key", ""))
        return web.Response(status=200 if seen[-1] == valid() else 401)

    return handler


async def test_a_key_that_changed_is_read_again_after_a_401(tmp_path: Path) -> None:
    seen: list[str] = []
    key = tmp_path / "key"
    key.write_text("old")
    handler = keyed(lambda: "new", seen)
    async with serving(handler, tmp_path) as local:
        url = local._apps.find("app").url
        settings = Settings(data_dir=tmp_path, function_apps={"app": FunctionApp(url=url, key_file=key)})
        async with HttpFunctions.open(settings) as functions:
            assert (await functions.call(to())).status == 401
            key.write_text("new")
            assert (await functions.call(to())).status == 200
    assert seen == ["old", "new"]


async def test_a_key_that_changes_while_the_call_is_under_way_is_tried_once_more(tmp_path: Path) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["x-functions-key"])
        tell(tmp_path, f"http://{request.host}", "key-2")
        return web.Response(status=200 if seen[-1] == "key-2" else 401)

    async with serving(handler, tmp_path) as functions:
        assert (await functions.call(to())).status == 200
    assert seen == ["key-1", "key-2"]


async def test_a_401_with_the_same_key_is_the_answer(tmp_path: Path) -> None:
    seen: list[str] = []
    async with serving(keyed(lambda: "another", seen), tmp_path) as functions:
        assert (await functions.call(to())).status == 401
    assert seen == ["key-1"]


async def test_an_app_nobody_knows_is_not_called(tmp_path: Path) -> None:
    async with HttpFunctions.open(Settings(data_dir=tmp_path)) as functions:
        fault = await refused(functions, to("nowhere"))
    assert (fault.reason, fault.may_have_run) == ("UnknownApp", False)


async def test_a_host_that_is_being_started_beside_the_bridge_is_waited_for(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    async with serving(handler, tmp_path), HttpFunctions.open(Settings(data_dir=tmp_path, functions=tmp_path)) as functions:
        told = (tmp_path / "functions.json").rename(tmp_path / "not yet")
        calling = asyncio.create_task(functions.call(to()))
        await asyncio.sleep(0)
        told.rename(tmp_path / "functions.json")
        assert (await calling).status == 200


async def test_a_host_that_does_not_start_is_waited_for_no_longer_than_the_call_may_take(tmp_path: Path) -> None:
    async with HttpFunctions.open(Settings(data_dir=tmp_path, functions=tmp_path)) as functions:
        assert (await refused(functions, to(timeout=0.1))).reason == "UnknownApp"


async def test_a_header_that_would_forge_another_is_not_sent(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise AssertionError

    async with serving(handler, tmp_path) as functions:
        fault = await refused(functions, to(headers={"tracestate": "a\r\nx-evil: 1"}))
    assert (fault.reason, fault.may_have_run) == ("ConnectionFailed", False)


async def test_many_calls_go_at_once(tmp_path: Path) -> None:
    inside = 0
    all_in = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal inside
        inside += 1
        if inside == 150:
            all_in.set()
        await all_in.wait()
        return web.Response()

    async with serving(handler, tmp_path) as functions:
        answers: list[FunctionResponse] = await asyncio.gather(*(functions.call(to()) for _ in range(150)))
    assert {answer.status for answer in answers} == {200}


async def test_the_key_is_in_no_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=500)

    caplog.set_level(logging.DEBUG)
    async with serving(handler, tmp_path) as functions:
        await functions.call(to())
    assert "key-1" not in caplog.text


FOREIGN = [
    each
    for _, each in inspect.getmembers(aiohttp.client_exceptions, inspect.isclass)
    if issubclass(each, aiohttp.ClientError | TimeoutError)
]


@pytest.mark.parametrize("kind", [*FOREIGN, TimeoutError, OSError, ConnectionResetError, ValueError], ids=lambda kind: kind.__name__)
def test_every_foreign_exception_has_a_meaning(kind: type[Exception]) -> None:
    fault = failed(to(), kind.__new__(kind), 5)
    expected = ("ConnectionFailed", False)
    if not issubclass(kind, NEVER_CONNECTED) and kind is not ValueError:
        expected = ("Timeout", True) if issubclass(kind, TimeoutError) else ("ConnectionLost", True)
    assert (fault.reason, fault.may_have_run) == expected
    assert fault.detail.startswith(("app ", "The request to app "))


def test_aiohttp_has_exceptions_to_map() -> None:
    assert len(FOREIGN) > 25


async def test_a_function_that_repeats_its_headers_does_not_give_its_key_away(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        key = request.headers["x-functions-key"]
        return web.json_response({"headers": dict(request.headers)}, status=400, headers={"Location": f"/?code={key}"})

    async with serving(handler, tmp_path) as functions:
        answer = await functions.call(to())
    assert b"key-1" not in answer.body
    assert json.loads(answer.body)["headers"]["x-functions-key"] == "***"
    assert answer.headers["location"] == "/?code=***"


async def test_the_key_of_an_app_goes_to_the_app_and_to_no_address_that_has_its_own(tmp_path: Path) -> None:
    keys: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        keys.append(request.headers.get("x-functions-key"))
        return web.Response()

    async with serving(handler, tmp_path) as functions:
        await functions.call(to(path="/api/status?id=1"))
        await functions.call(to(path="/runtime/webhooks/durabletask/instances/1?taskHub=H&code=K"))
        url = json.loads((tmp_path / "functions.json").read_text())["app"]["url"]
        await functions.call(replace(to(path="/status"), origin=url))
    assert keys == ["key-1", None, None]
