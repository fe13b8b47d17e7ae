from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from bridge.api import connection
from bridge.api.connection import MAX_AHEAD, MAX_HEAD, LimitedHttpProtocol
from bridge.api.guard import AUTHORITY

POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


class App:
    """Reads the body, waits to be let go, answers with what it got."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.heads: list[list[tuple[bytes, bytes]]] = []
        self.targets: list[tuple[bytes, bytes, bytes | None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part["body"]
            if not part["more_body"]:
                break
        self.heads.append(scope["headers"])
        self.targets.append((scope["raw_path"], scope["query_string"], scope["state"].get(AUTHORITY)))
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answers(self) -> bytes:
        """All that comes until the bridge closes; a reset counts as closing."""
        came = b""
        try:
            while part := await asyncio.wait_for(self.reader.read(65536), 10):
                came += part
        except ConnectionError:
            pass
        return came

    async def floods(self, part: bytes) -> None:
        """Send until the bridge closes; a bridge that takes 64 MiB has no bound."""
        with contextlib.suppress(ConnectionError):
            for _ in range(2**26 // len(part)):
                await self.send(part)
            pytest.fail("there is no bound")


#: What stands in the first line of a request: path, query and authority that the application sees.
TARGETS = [
    (b"/a?b=c", b"/a", b"b=c", None),
    (b"http://h.example/a?b=c", b"/a", b"b=c", b"h.example"),
    (b"HTTPS://h.example:8443/a/b", b"/a/b", b"", b"h.example:8443"),
    (b"http://h.example", b"/", b"", b"h.example"),
    (b"http://h.example?b", b"/", b"b", b"h.example"),
    (b"http://[::1]:80/", b"/", b"", b"[::1]:80"),
    (b"*", b"*", b"", None),
]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def connect(app: App) -> AsyncIterator[Callable[[], Any]]:
    config, state = uvicorn.Config(app, http=LimitedHttpProtocol, log_config=None, lifespan="off"), ServerState()
    config.load()
    server = await asyncio.get_running_loop().create_server(lambda: LimitedHttpProtocol(config, state, {}), "127.0.0.1", 0)
    opened: list[Client] = []

    async def connected() -> Client:
        opened.append(Client(*await asyncio.open_connection(*server.sockets[0].getsockname())))
        return opened[-1]

    yield connected
    app.go.set()
    for client in opened:
        client.writer.close()
    server.close()
    for each in list(state.connections):
        each.transport.abort()  # type: ignore[union-attr]  # uvicorn's set holds websockets too
    await asyncio.gather(*state.tasks, return_exceptions=True)


def problem(came: bytes) -> tuple[bytes, str]:
    """The status and the code of the last answer."""
    head, _, body = came.rpartition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return head.rpartition(b"HTTP/1.1 ")[2][:3], json.loads(body)["code"]


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"GET / HTTP/1.1\r\n", b"x: " + b"y" * 1000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\n", b"a:b\r\n"),
        (b"GET / HTTP/1.1\r\nx: ", b"y" * 1000),
        (b"GET / HTTP/1.1\r\n", b"y" * 1000),
        (b"GET /", b"y" * 1000),
        (b"", b"\r\n"),
        (CHUNKED + b"2;", b"y" * 1000),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"x: " + b"y" * 1000 + b"\r\n"),
        (CHUNKED + b"2\r\n{}\r\n0\r\nx: ", b"y" * 1000),
    ],
    ids=["headers", "small headers", "value", "name", "path", "empty lines", "chunk extension", "trailers", "trailer"],
)
async def test_a_head_without_end_is_cut_off(connect, start, part):
    client = await connect()
    await client.send(start)
    await client.floods(part * (60_000 // len(part)))


async def test_more_requests_ahead_than_there_may_be_are_cut_off(connect, app):
    app.go.clear()
    client = await connect()
    await client.floods(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 1000)
    assert len(app.heads) <= 1


async def test_requests_sent_ahead_are_answered_in_their_order(connect):
    client = await connect()
    await client.send(b"".join(POST + b"content-length: 3\r\n\r\n%03d" % number for number in range(MAX_AHEAD)))
    for number in range(MAX_AHEAD):
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert await client.reader.readexactly(3) == b"%03d" % number


async def test_a_large_body_in_small_chunks_is_no_head(connect):
    client = await connect()
    await client.send(CHUNKED)
    for _ in range(MAX_HEAD // 1000 + 1):
        await client.send(b"1\r\nx\r\n" * 1000)
    await client.send(b"0\r\n\r\n")
    assert b"content-length: 66000" in await client.reader.readuntil(b"\r\n\r\n")


async def test_trailers_are_no_headers(connect, app):
    client = await connect()
    await client.send(CHUNKED + b"2\r\n{}\r\n0\r\nauthorization: Bearer x\r\n\r\n")
    await client.reader.readuntil(b"\r\n\r\n{}")
    assert app.heads == [[(b"host", b"x"), (b"transfer-encoding", b"chunked")]]


@pytest.mark.parametrize("nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nhost : x\r\n\r\n", CHUNKED + b"zz\r\n"])
async def test_what_is_no_http_is_told_so_and_shown_out(connect, nonsense):
    client = await connect()
    await client.send(nonsense)
    assert problem(await client.answers()) == (b"400", "Malformed")


async def test_nonsense_after_a_request_is_not_answered_in_its_place(connect, app):
    app.go.clear()
    client = await connect()
    await client.send(POST + b"content-length: 2\r\n\r\n{}")
    await client.send(b"nonsense\r\n\r\n")
    assert await client.answers() == b""


@pytest.mark.parametrize("start", [b"", b"\r\n", b"GET / HT", POST, POST + b"content-length: 5\r\n\r\n{}", CHUNKED + b"2\r\n{}\r\n"])
async def test_a_request_that_does_not_come_to_its_end_is_given_up(connect, monkeypatch, start):
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    client = await connect()
    await client.send(start)
    assert problem(await client.answers()) == (b"408", "RequestTimeout")


async def test_a_whole_request_has_all_the_time_its_answer_takes(connect, app, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE", 0.02)
    app.go.clear()
    client = await connect()
    await client.send(POST + b"content-length: 2\r\n\r\n{}\r\n")
    await asyncio.sleep(0.1)
    app.go.set()
    assert (await client.answers()).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(("target", "path", "query", "authority"), TARGETS)
async def test_a_target_in_absolute_form_leads_to_its_path(
    app: App, connect: Any, target: bytes, path: bytes, query: bytes, authority: bytes | None
) -> None:
    client = await connect()
    await client.send(b"OPTIONS " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"200 OK" in await client.answers()
    assert app.targets == [(path, query, authority)]


@pytest.mark.parametrize("target", [b"ftp://h.example/a", b"file:///etc/passwd", b"http:/a", b"a", b"//h.example/a"[2:]])
async def test_a_target_that_is_no_address_of_http_is_refused(app: App, connect: Any, target: bytes) -> None:
    client = await connect()
    await client.send(b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b" 400 " in (await client.answers()).partition(b"\r\n")[0]
    assert app.targets == []
