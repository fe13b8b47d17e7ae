"""The HTTP of the functions host, byte for byte over a socket; the functions behind it are stubs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.local.functions import httpconnection
from bridge.local.functions.bindings import Function, HttpTrigger
from bridge.local.functions.hostjson import Http
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.httpserver import serving
from bridge.local.functions.httptriggers import HttpTriggers, TriggeredFunction
from bridge.local.functions.invocations import AppInvocations
from bridge.local.functions.keys import AppKeys
from bridge.local.functions.routes import Route
from bridge.local.functions.timerstatus import TimerStatuses

HOST = b"Host: localhost\r\n"
ROUTE = HttpTrigger("req", Route("echo", "echo", None), "anonymous")


class Triggers(HttpTriggers):
    """One anonymous function, `echo`, that gives back method, query, the header x, and its body; `answer` takes its place."""

    def __init__(self, largest_body: int = 100) -> None:
        no_timers = TimerStatuses(Path("there is no timer"))
        super().__init__(
            [Function("echo", ROUTE)], Http(), AppKeys("master", ("key",)), AppInvocations("app", None), largest_body, no_timers
        )
        self.answer: Callable[[HttpRequest, bytes], Awaitable[HttpResponse]] = echo

    async def respond(self, triggered: TriggeredFunction, request: HttpRequest, body: bytes) -> HttpResponse:
        assert triggered.function == "echo"
        return await self.answer(request, body)


async def echo(request: HttpRequest, body: bytes) -> HttpResponse:
    seen = f"{request.method} {dict(request.query)} {request.headers.get('x', '')} ".encode()
    return HttpResponse(200, [("Content-Type", "text/plain")], seen + body)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[str] = field(default_factory=list)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.01)

    async def response(self, *, with_body: bool = True) -> tuple[int, str]:
        """Status and body of the next response."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        self.heads.append(head)
        names = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        length = int(names.get("Content-Length", 0)) if with_body else 0
        return int(head.split()[1]), (await self.reader.readexactly(length)).decode()

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 10) == b""


@asynccontextmanager
async def connected(triggers: Triggers) -> AsyncIterator[Client]:
    async with serving(triggers, 0) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        yield Client(reader, writer)
        writer.close()


def post(body: bytes, headers: bytes = b"", target: bytes = b"/api/echo") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (target, HOST, headers, len(body), body)


async def test_requests_on_one_connection_are_answered_one_after_the_other() -> None:
    async with connected(Triggers()) as client:
        for word in (b"one", b"", b"two"):
            await client.send(post(word, b"X: a\r\nx: b\r\n", b"/api/echo?q=1&q=%2B&e="))
            assert await client.response() == (200, f"POST {{'q': '1,+', 'e': ''}} a,b {word.decode()}")


async def test_the_body_of_a_last_request_may_come_in_pieces_of_its_own() -> None:
    for version, headers in ((b"1.1", b"Connection: close\r\n"), (b"1.0", b"")):
        async with connected(Triggers()) as client:
            head = b"POST /api/echo HTTP/%b\r\n%b%bContent-Length: 6\r\n\r\n" % (version, HOST, headers)
            await client.send(head, b"abc", b"def", b"and more")
            assert await client.response() == (200, "POST {}  abcdef")
            assert await client.ended()


async def test_requests_that_are_sent_ahead_get_their_responses_in_order() -> None:
    async with connected(Triggers()) as client:
        await client.send(
            b"".join([post(b"1"), b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n", post(b"2"), post(b"3")[:-60]]), post(b"3")[-60:]
        )
        assert [await client.response() for _ in range(4)] == [(200, "POST {}  1"), (404, ""), (200, "POST {}  2"), (200, "POST {}  3")]


async def test_what_is_sent_ahead_waits_while_a_function_runs() -> None:
    triggers, go, started = Triggers(), asyncio.Event(), []

    async def wait(request: HttpRequest, body: bytes) -> HttpResponse:
        started.append(body)
        await go.wait()
        return HttpResponse(200, (), body)

    triggers.answer = wait
    async with connected(triggers) as client:
        await client.send(post(b"1") + post(b"2")[:-1], b"2", post(b"3"))
        assert started == [b"1"]
        go.set()
        assert [await client.response() for _ in range(3)] == [(200, "1"), (200, "2"), (200, "3")]


async def test_a_body_may_come_in_chunks_and_in_pieces() -> None:
    async with connected(Triggers()) as client:
        head = b"POST /api/echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        await client.send(head[:30], head[30:] + b"3\r\nab", b"c\r\n2\r\nde\r\n0\r\nTrailer: dropped\r\n\r\n")
        assert await client.response() == (200, "POST {}  abcde")


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    async with connected(Triggers()) as client:
        await client.send(post(b"abc", b"Expect: 100-continue\r\n")[:-3])
        assert await client.response() == (100, "")
        await client.send(b"abc")
        assert await client.response() == (200, "POST {}  abc")


async def test_an_offer_of_another_protocol_is_not_taken_and_the_request_is_answered() -> None:
    async with connected(Triggers()) as client:
        await client.send(post(b"abcdef", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")[:-3], b"def")
        assert await client.response() == (200, "POST {}  abcdef")
        assert await client.ended()


async def test_a_head_request_gets_the_length_without_the_body() -> None:
    async with connected(Triggers()) as client:
        await client.send(b"HEAD /api/echo HTTP/1.1\r\n" + HOST + b"\r\n" + post(b"x"))
        assert await client.response(with_body=False) == (200, "")
        assert "Content-Length: 9\r\n" in client.heads[0]
        assert await client.response() == (200, "POST {}  x")


@pytest.mark.parametrize("request_line", [b"GET /api/echo HTTP/1.0\r\n", b"GET /api/echo HTTP/1.1\r\nConnection: close\r\n"])
async def test_a_connection_ends_after_a_request_that_says_so(request_line: bytes) -> None:
    async with connected(Triggers()) as client:
        await client.send(request_line + HOST + b"\r\n" + post(b"dropped"))
        assert await client.response() == (200, "GET {}  ")
        assert await client.ended()


async def test_a_body_that_is_too_large_is_refused_and_the_next_request_is_answered() -> None:
    async with connected(Triggers(largest_body=5)) as client:
        await client.send(post(b"123456")[:-3])
        assert await client.response() == (413, "")
        await client.send(b"456" + post(b"12345"))
        assert await client.response() == (200, "POST {}  12345")
        await client.send(b"POST /api/echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n")
        assert await client.response() == (413, "")


async def test_what_follows_a_body_that_is_too_large_is_read_though_it_came_while_a_function_ran() -> None:
    triggers, go = Triggers(largest_body=5), asyncio.Event()

    async def wait(request: HttpRequest, body: bytes) -> HttpResponse:
        await go.wait()
        return await echo(request, body)

    triggers.answer = wait
    async with connected(triggers) as client:
        await client.send(post(b"1") + post(b"123456")[:-3], b"456" + post(b"2"))
        go.set()
        assert [await client.response() for _ in range(3)] == [(200, "POST {}  1"), (413, ""), (200, "POST {}  2")]


async def test_a_client_that_goes_on_sending_a_refused_body_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpconnection, "LINGER", 0.1)
    async with connected(Triggers(largest_body=5)) as client:
        await client.send(post(b"123456")[:-3])
        assert await client.response() == (413, "")
        assert await client.ended()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/echo HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /api/%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /api/echo HTTP/1.1\r\na: \xff\r\n\r\n", 400),
        (b"GET /api/echo HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET /api/echo HTTP/1.1\r\na: " + b"b" * 33_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /api/echo HTTP/1.1\r\na: " + b"b" * 40_000, 431),  # its end never comes
        (b"POST /api/echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /api/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\nzz\r\n", 400),
    ],
)
async def test_what_is_no_http_or_too_large_is_refused_as_by_kestrel_and_the_end(wrong: bytes, status: int) -> None:
    async with connected(Triggers()) as client:
        await client.send(post(b"first"))
        assert await client.response() == (200, "POST {}  first")
        await client.send(wrong)
        assert await client.response() == (status, "")
        assert await client.ended()


@pytest.mark.parametrize("header", [("X", "a\r\nSet-Cookie: b=c"), ("X Y", "a"), ("X", "a\0")])
async def test_a_header_that_http_cannot_carry_is_a_500(header: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    triggers = Triggers()

    async def answer(_request: HttpRequest, _body: bytes) -> HttpResponse:
        return HttpResponse(200, [header], b"text")

    triggers.answer = answer
    async with connected(triggers) as client:
        await client.send(post(b""))
        assert await client.response() == (500, "")
        assert "Set-Cookie" not in client.heads[0]
    assert "cannot be sent" in caplog.text


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    triggers = Triggers()

    async def answer(_request: HttpRequest, body: bytes) -> HttpResponse:
        return HttpResponse(status, [("Content-Length", "4"), ("X", "ä")], body)

    triggers.answer = answer
    async with connected(triggers) as client:
        await client.send(post(b"text") + post(b"text"))
        assert [await client.response(), await client.response()] == [(status, "")] * 2
        assert "X: ä\r\n" in client.heads[0]


async def test_a_fault_of_the_host_is_a_500_and_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    triggers = Triggers()

    async def answer(_request: HttpRequest, _body: bytes) -> HttpResponse:
        raise RuntimeError("a fault")

    triggers.answer = answer
    async with connected(triggers) as client:
        await client.send(post(b"") + post(b""))
        assert [await client.response(), await client.response()] == [(500, "")] * 2
    assert "a fault" in caplog.text


async def test_a_call_whose_body_grows_too_large_while_it_is_passed_on_says_no_more() -> None:
    triggers, go, gone = Triggers(largest_body=5), asyncio.Event(), asyncio.Event()
    triggers._invocations.forwards = True

    async def pass_on(request: HttpRequest, _body: bytes) -> HttpResponse:
        request.on_gone = gone.set
        await go.wait()
        assert request.sink is not None
        request.sink.begin(200, [], 2)
        await request.sink.write(b"ok")
        return HttpResponse(200, streamed=True)

    triggers.answer = pass_on
    async with connected(triggers) as client:
        await client.send(b"POST /api/echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n")
        await client.send(b"3\r\n456\r\n0\r\n\r\n")
        assert await client.response() == (413, "")
        await asyncio.wait_for(gone.wait(), 20)
        go.set()
        await client.send(post(b"1"))
        assert await client.response() == (200, "ok")
        assert not client.reader._buffer  # type: ignore[attr-defined]  # asyncio does not say what is left


async def test_the_custom_headers_of_an_app_stay_its_own() -> None:
    stamped, other = Triggers(), Triggers()
    stamped.custom_headers = [("X-Stamp", "mine")]
    for triggers, stamps in (stamped, 1), (other, 0):
        async with connected(triggers) as client:
            await client.send(b"GET /admin/host/status HTTP/1.1\r\n" + HOST + b"\r\n")
            assert await client.response() == (401, "")
            assert client.heads[0].count("X-Stamp") == stamps
