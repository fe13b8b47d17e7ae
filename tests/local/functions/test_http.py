"""The host and its worker as real processes, seen over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from .conftest import Host, StartHost


@pytest.fixture
def host(start_host: StartHost) -> Host:
    return start_host()


async def test_a_function_answers_with_its_status_headers_cookies_and_body(host: Host, http: aiohttp.ClientSession) -> None:
    headers = {**host.headers, "x-invocation-id": "run-1/inspect", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

    async with http.post(host.url("things/a%20b/7?q=1&q=2"), data="hello", headers=headers) as answer:
        assert answer.status == 202
        assert answer.headers["Location"] == "/elsewhere"
        assert answer.cookies["seen"].value == "yes"
        assert await answer.json() == {
            "kind": "a b",
            "id": "7",
            "query": {"q": "1,2"},
            "header": "run-1/inspect",
            "trace": headers["traceparent"],
            "body": "hello",
        }
    host.wait_for_log("for run-1/inspect")


async def test_functions_want_the_key_unless_they_are_anonymous(host: Host, http: aiohttp.ClientSession) -> None:
    async def status(path: str, **headers: str) -> int:
        async with http.get(host.url(path), headers=headers) as answer:
            return answer.status

    assert await status("ping") == 200
    assert await status("things/a") == 401
    assert await status("things/a", **{"x-functions-key": "wrong"}) == 401
    assert await status("things/a", **host.headers) == 202
    assert await status(f"things/a?code={host.app['key']}") == 202
    assert host.app["key"] not in host.log


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example:80", "evil@localhost", "[::1]"])
async def test_a_page_that_made_its_name_lead_here_is_not_let_in(host: Host, http: aiohttp.ClientSession, name: str) -> None:
    for path in ("ping", "things/a"):
        async with http.get(host.url(path), headers={**host.headers, "Host": name}) as answer:
            assert (answer.status, await answer.text()) == (421, "")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("admin/host/status", 403),
        ("admin/functions", 403),
        ("admin/nothing", 404),
        ("runtime/webhooks", 404),
        ("runtime/webhooks/x", 401),
        ("api%2fping", 404),
        ("api/ping%00", 400),
    ],
)
async def test_a_function_key_opens_nothing_but_functions(host: Host, http: aiohttp.ClientSession, path: str, status: int) -> None:
    async with http.get(URL(f"{host.app['url']}/{path}", encoded=True), headers=host.headers) as answer:
        assert (answer.status, await answer.text()) == (status, "")


@pytest.mark.parametrize("path", ["x/../api/ping", "api/ping/.", "api/%2e/ping"])
async def test_dots_in_a_path_are_folded_before_it_is_routed(host: Host, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(URL(f"{host.app['url']}/{path}", encoded=True)) as answer:
        assert (answer.status, await answer.text()) == (200, "pong")


async def test_the_master_key_shows_the_state_and_the_functions(host: Host, http: aiohttp.ClientSession) -> None:
    headers = {"x-functions-key": host.app["masterKey"]}
    async with http.get(f"{host.app['url']}/admin/host/status", headers=headers) as answer:
        assert (await answer.json())["state"] == "Running"
    async with http.get(f"{host.app['url']}/admin/functions", headers=headers) as answer:
        assert "ping" in [each["name"] for each in await answer.json()]
    async with http.get(f"{host.app['url']}/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")


async def test_what_is_no_http_is_refused_without_filling_the_log(host: Host, http: aiohttp.ClientSession) -> None:
    address = URL(host.app["url"])
    start = b"GET /api/ping HTTP/1.1\r\nhost: localhost\r\n"
    large = (b"x: " + b"y" * 33_000, b"a: b\r\n" * 1_000)
    for wrong in (b"nonsense\r\n", *large, b"content-length: 1\r\ntransfer-encoding: chunked\r\n"):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(start + wrong + b"\r\n\r\n")
        assert (await reader.readline()).split()[1] == (b"431" if wrong in large else b"400")
        writer.close()
    assert await _status(http, host, "things/a") == 202
    assert "Traceback" not in host.log


async def test_a_key_with_bytes_that_are_no_text_is_refused(host: Host) -> None:
    address = URL(host.app["url"])
    for key in (b"\xff\xfe", b"\x80", b"\xed\xa0\x80", "ключ".encode(), b"\xc3\x28" * 1000):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST /api/things/a HTTP/1.1\r\nhost: localhost\r\nx-functions-key: " + key + b"\r\n\r\n")
        assert (await reader.readline()).split()[1] == (b"401" if key == "ключ".encode() else b"400")
        writer.close()
    assert "Traceback" not in host.log


async def test_what_is_not_there_is_404_and_so_is_a_wrong_method(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.get(host.url("nowhere"), headers=host.headers) as answer:
        assert answer.status == 404
    async with http.post(host.url("ping")) as answer:
        assert (answer.status, answer.headers.get("Allow")) == (404, None)


async def test_a_function_that_raises_is_a_500_that_tells_nothing(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(host.url("fail"), headers=host.headers) as answer:
        assert (answer.status, await answer.text()) == (500, "")
    host.wait_for_log("ValueError: the secret reason")


async def test_what_a_function_logs_and_prints_carries_its_invocation(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(host.url("talk"), headers=host.headers) as answer:
        assert answer.status == 200
    host.wait_for_log("talk took")
    lines = [line for line in host.log.splitlines() if "sample-functions: talk" in line]

    assert "talk | a logged word" in lines[0]
    assert "talk | a printed word" in lines[1]
    assert len({line.split("invocation ")[1].strip(")") for line in lines}) == 1


async def test_a_body_over_the_limit_is_refused(start_host: StartHost, http: aiohttp.ClientSession) -> None:
    host = start_host(FUNCTIONS_REQUEST_BODY_SIZE_LIMIT="10")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"12345678901"

    for body in (b"12345678901", chunks()):
        async with http.post(host.url("things/a"), data=body, headers=host.headers) as answer:
            assert answer.status == 413


async def test_requests_over_the_limit_are_refused_at_once(start_host: StartHost, http: aiohttp.ClientSession) -> None:
    host = start_host(host_json={"extensions": {"http": {"maxConcurrentRequests": 1, "maxOutstandingRequests": 1}}})
    statuses = await asyncio.gather(*(_status(http, host, "sleep?seconds=0.5") for _ in range(3)))

    assert sorted(statuses) == [204, 429, 429]


async def test_requests_wait_for_their_turn_where_only_those_that_run_are_limited(
    start_host: StartHost, http: aiohttp.ClientSession
) -> None:
    host = start_host(host_json={"extensions": {"http": {"maxConcurrentRequests": 1}}})
    statuses = await asyncio.gather(*(_status(http, host, "sleep?seconds=0.2") for _ in range(3)))

    assert statuses == [204, 204, 204]


async def test_over_the_limit_neither_keys_nor_paths_are_looked_at(start_host: StartHost, http: aiohttp.ClientSession) -> None:
    limits = {"maxOutstandingRequests": 1, "customHeaders": {"X-Stamp": "host"}}
    host = start_host(host_json={"extensions": {"http": limits}})
    running = asyncio.create_task(_status(http, host, "nap?seconds=30&name=first"))
    await asyncio.to_thread(host.wait_for_log, "naps first")

    for path in ("/api/things/a", "/api/nowhere", "/", "/runtime/webhooks/x"):
        async with http.get(f"{host.app['url']}{path}") as answer:
            assert (answer.status, answer.headers["x-function-scaleout"], answer.headers.get("X-Stamp")) == (429, "1", None)
    async with http.get(f"{host.app['url']}/admin/host/ping") as answer:
        assert (answer.status, answer.headers.get("X-Stamp")) == (200, "host")
    running.cancel()


async def test_a_function_over_its_time_is_killed_with_its_worker_and_the_next_one_runs(
    start_host: StartHost, http: aiohttp.ClientSession
) -> None:
    host = start_host(host_json={"functionTimeout": "00:00:01"})

    assert await asyncio.gather(_status(http, host, "hang"), _status(http, host, "sleep?seconds=30")) == [500, 500]

    host.wait_for_log("a worker is running again")
    assert await _status(http, host, "things/a") == 202


async def test_a_worker_that_dies_fails_its_invocations_and_is_replaced(host: Host, http: aiohttp.ClientSession) -> None:
    async with http.post(host.url("talk"), headers=host.headers) as answer:
        before = (await answer.json(content_type=None))["pid"]

    assert await _status(http, host, "die") == 500
    host.wait_for_log("a worker is running again")

    async with http.post(host.url("talk"), headers=host.headers) as answer:
        assert (await answer.json(content_type=None))["pid"] != before


async def test_without_a_worker_the_answer_is_503(start_host: StartHost, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    host = start_host(START_MARK=str(tmp_path / "mark"))
    (tmp_path / "mark").write_text("from here on the app cannot be loaded")

    assert await _status(http, host, "die") == 500
    assert await _status(http, host, "things/a") == 503
    (tmp_path / "mark").unlink()
    host.wait_for_log("a worker is running again")


async def test_functions_do_not_see_the_settings_of_the_bridge(start_host: StartHost, http: aiohttp.ClientSession) -> None:
    host = start_host(BRIDGE_SECRET="hidden")

    async with http.post(host.url("talk"), headers=host.headers) as answer:
        assert (await answer.json(content_type=None))["secret"] is None


async def _status(http: aiohttp.ClientSession, host: Host, path: str) -> int:
    async with http.post(host.url(path), headers=host.headers) as answer:
        return answer.status
