"""What reaches the port and is no honest request: each is told no, costs little, and leaves the bridge as it was."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted

ASK = "/v1/automations/echo/requests"
JSON = "content-type: application/json\r\n"


@pytest.fixture(autouse=True)
async def unharmed(bridge: BridgeProcess, app: Scripted) -> AsyncIterator[None]:
    """Afterwards the bridge still answers, no run was made, no function called, and no stack trace logged."""
    yield
    async with aiohttp.ClientSession(bridge.url) as http, http.get("/v1/requests") as answer:
        assert (answer.status, (await answer.json())["items"]) == (200, [])
    assert app.calls == []
    assert "Traceback" not in bridge.log()


async def tell(bridge: BridgeProcess, text: str, host: str | None = None) -> bytes:
    """Send this, with the Host header for HOST; the head of the first answer, empty if the bridge just closed."""
    right = bridge.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*right.split(":"))
    try:
        writer.write(text.replace("HOST", f"host: {host or right}\r\n").encode("latin-1"))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        return b""
    finally:
        writer.close()


def status(head: bytes) -> int:
    return int(head.split()[1])


#: What is sent, and the status it gets.
AMBIGUOUS = [
    ("GET /healthz/live HTTP/1.1\r\nHOSThost: evil.example\r\n\r\n", 400),
    ("GET /healthz/live HTTP/1.1\r\nhost: evil.example\r\nHOST\r\n", 400),
    ("GET /healthz/live HTTP/1.1\r\n\r\n", 421),
    ("GET /healthz/live HTTP/1.0\r\n\r\n", 421),
    ("GET http://localhost/healthz/live HTTP/1.1\r\nhost: evil.example\r\n\r\n", 421),
    ("GET http://evil.example/healthz/live HTTP/1.1\r\nHOST\r\n", 421),
    ("GET http://localhost@evil.example/healthz/live HTTP/1.1\r\nHOST\r\n", 421),
    ("GET http://localhost/healthz/live HTTP/1.1\r\nHOST\r\n", 200),
    ("GET http://localhost HTTP/1.1\r\nHOST\r\n", 404),
    ("GET ftp://localhost/healthz/live HTTP/1.1\r\nHOST\r\n", 400),
    ("GET /v1/requests HTTP/1.1\r\nHOSTauthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}x-correlation-id: a\r\nx-correlation-id: b\r\ncontent-length: 2\r\n\r\n{{}}", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}content-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}} ", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}content-length: -2\r\n\r\n{{}}", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}content-length: {'9' * 30}\r\n\r\n{{}}", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}content-length: 9999999999\r\n\r\n{{}}", 413),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}transfer-encoding: chunked, identity\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}transfer-encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}transfer-encoding : chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n", 400),
    (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}transfer-encoding: chunked\r\n\r\n{'F' * 18}\r\n{{}}\r\n0\r\n\r\n", 400),
    ("GET /healthz/live HTTP/1.1\r\nHOSTx: a\r\n folded\r\n\r\n", 400),
    ("GET /healthz/live HTTP/1.1\nhost: localhost\n\n", 400),
    ("GET /healthz/li\x00ve HTTP/1.1\r\nHOST\r\n", 400),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("get /healthz/live HTTP/1.1\r\nHOST\r\n", 400),
    ("STEAL /v1/requests HTTP/1.1\r\nHOST\r\n", 400),
    ("CONNECT evil.example:443 HTTP/1.1\r\nHOST\r\n", 400),
    ("CONNECT /v1/requests HTTP/1.1\r\nHOST\r\n", 405),
    ("TRACE /v1/requests HTTP/1.1\r\nHOST\r\n", 405),
    ("OPTIONS /v1/requests HTTP/1.1\r\nHOST\r\n", 405),
    ("OPTIONS * HTTP/1.1\r\nHOST\r\n", 404),
    (f"GET /healthz/live HTTP/1.1\r\nHOSTx: {'y' * 33_000}\r\n\r\n", 431),
    ("GET /v1/requests HTTP/1.1\r\nhost: evil.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 421),
]


async def test_a_request_that_could_be_read_in_two_ways_is_read_in_none(bridge: BridgeProcess) -> None:
    answered = [(text, status(await tell(bridge, text))) for text, _ in AMBIGUOUS]
    assert answered == AMBIGUOUS


async def test_a_path_without_an_end_is_refused_as_it_comes_in_one_piece_or_in_many(bridge: BridgeProcess) -> None:
    assert status(await tell(bridge, f"GET /{'a' * 200_000} HTTP/1.1\r\nHOST\r\n")) in {400, 431}


PATHS = [
    "//v1/requests",
    "/v1//requests",
    "/./v1/requests",
    "/healthz/../v1/requests",
    "/v1/requests/",
    "/v1/requests/..",
    "/v1/requests/%2e%2e",
    "/v1/requests/%2e%2e%2fdeadletters",
    "/v1/requests/a%2f..%2f..%2fdeadletters",
    "/v1/requests/..%5cdeadletters",
    "/v1/requests/%00",
    "/v1/requests/a%0d%0aset-cookie:x",
    "/v1/requests/%zz",
    "/v1/requests/%ff",
    "/v1/requests.json",
    "/V1/requests",
    "/v1/deadletters/..%2frequests",
    "/openapi.json/../v1/requests",
    "/console",
    "/.env",
    "/v1/automations/..%2f..%2fetc%2fpasswd",
]


async def test_a_path_leads_where_it_says_or_nowhere(bridge: BridgeProcess) -> None:
    answered = {path: status(await tell(bridge, f"GET {path} HTTP/1.1\r\nHOST\r\n")) for path in PATHS}
    assert answered == dict.fromkeys(PATHS, 404)


async def test_an_open_path_opens_no_other(bridge: BridgeProcess) -> None:
    for path in ("/v1/invocations/../requests", "/v1/invocations/%2e%2e/requests", "/v1/invocations/x/y?/v1/requests"):
        assert status(await tell(bridge, f"GET {path} HTTP/1.1\r\nHOST\r\n")) == 401


STRANGERS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost.",
    "localhost:port",
    "evil.example@localhost",
    "localhost/evil.example",
    "localhost#evil.example",
    "0.0.0.0",  # noqa: S104 - an address that reaches this machine, too
    "2130706433",
    "0x7f.1",
    "127.1",
    "[::ffff:127.0.0.1]",
    "[::1",
    "%6cocalhost",
]
OWN_NAMES = ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]", "[::1]:8080"]


async def test_a_name_that_was_made_to_lead_here_is_refused(bridge: BridgeProcess) -> None:
    answered = {host: status(await tell(bridge, "GET /v1/requests HTTP/1.1\r\nHOST\r\n", host)) for host in STRANGERS + OWN_NAMES}
    assert answered == dict.fromkeys(STRANGERS, 421) | dict.fromkeys(OWN_NAMES, 200)


async def test_a_page_of_another_origin_is_refused_before_anything_is_looked_up(bridge: BridgeProcess) -> None:
    paths = ["/v1/requests/x/rerun", "/v1/deadletters/x/replay", ASK, "/v1/events"]
    origins = ["https://evil.example", "null", "http://localhost:3000", "http://localhost", "http://127.0.0.1", "file://", ""]
    for path, origin in itertools.product(paths, origins):
        head = await tell(bridge, f"POST {path} HTTP/1.1\r\nHOSTorigin: {origin}\r\ncontent-length: 0\r\n\r\n")
        assert (path, origin, status(head)) == (path, origin, 421)
        assert b"access-control" not in head.lower()


async def test_its_own_origin_is_not(bridge: BridgeProcess) -> None:
    head = await tell(bridge, f"POST /v1/requests/x/rerun HTTP/1.1\r\nHOSTorigin: {bridge.url}\r\ncontent-length: 0\r\n\r\n")
    assert status(head) == 404


#: How a head begins, and what then comes for ever.
ENDLESS = {
    "headers": ("GET /healthz/live HTTP/1.1\r\nHOST", "x: " + "y" * 1000 + "\r\n"),
    "a header": ("GET /healthz/live HTTP/1.1\r\nHOSTx: ", "y" * 1000),
    "a path": ("GET /", "y" * 1000),
    "empty lines": ("", "\r\n"),
    "a chunk extension": (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}transfer-encoding: chunked\r\n\r\n5;", "y" * 1000),
    "trailers": (f"POST {ASK} HTTP/1.1\r\nHOST{JSON}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n", "x: " + "y" * 1000 + "\r\n"),
}


async def test_what_has_no_end_is_cut_off(bridge: BridgeProcess) -> None:
    right = bridge.url.removeprefix("http://")
    for name, (start, part) in ENDLESS.items():
        _, writer = await asyncio.open_connection(*right.split(":"))
        writer.write(start.replace("HOST", f"host: {right}\r\n").encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                writer.write(part.encode() * (60_000 // len(part)))
                await writer.drain()
            pytest.fail(f"there is no bound on {name}")
        writer.close()


async def test_a_client_that_goes_away_in_its_body_is_no_mistake_of_the_bridge(bridge: BridgeProcess) -> None:
    host, port = bridge.url.removeprefix("http://").split(":")
    for framing in ("content-length: 9\r\n\r\n{}", "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", "transfer-encoding: chunked\r\n\r\nFF"):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(f"POST {ASK} HTTP/1.1\r\nhost: {host}\r\n{JSON}{framing}".encode())
        await writer.drain()
        writer.close()
    assert status(await tell(bridge, "GET /healthz/live HTTP/1.1\r\nHOST\r\n")) == 200


async def test_a_batch_of_very_many_very_small_events_is_refused_as_a_whole(bridge: BridgeProcess) -> None:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    many = b"[" + b"0," * 500_000 + b"0]"
    async with aiohttp.ClientSession(bridge.url) as http, http.post("/v1/events", data=many, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "TooLarge")


async def test_junk_fills_no_log(bridge: BridgeProcess) -> None:
    before = len(bridge.log().splitlines())
    upgrade = "GET / HTTP/1.1\r\nHOSTupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    for number in range(100):
        for junk in (f"\x16\x03\x01 a handshake of TLS {number}\r\n\r\n", "nonsense\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", upgrade):
            await tell(bridge, junk)
    assert len(bridge.log().splitlines()) - before <= 5
