"""What the web server of an ASP.NET Core app is sent of a request."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from bridge.local.functions import requesttarget
from bridge.local.functions.httpmessage import HttpRequest
from bridge.local.functions.rpc import appserver
from bridge.local.functions.rpc.appserver import AppServer
from bridge.local.functions.rpc.forwarding import ForwardedCall, target_of


def _request(target: str, headers: list[tuple[str, str]] | None = None) -> HttpRequest:
    read = requesttarget.read(target.encode())
    assert read is not None
    pairs = [("Host", "localhost:1"), *(headers or [])]
    return HttpRequest("GET", "", read.path, read.query, {name.lower(): text for name, text in pairs}, sent_headers=pairs, target=read)


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/api/a", "/api/a"),
        ("/api/%C3%A4%20b?x=%20y", "/api/%C3%A4%20b?x=%20y"),
        ("/api/a%2541", "/api/a%2541"),  # the app decodes it once, as this host has done
        ("/api/a%2Fb", "/api/a%252Fb"),  # this host leaves an encoded slash alone, and so must the app find it
        ("/api/a?z=%zz&q={1}&a=1;b=2", "/api/a?z=%25zz&q=%7B1%7D&a=1;b=2"),
    ],
)
def test_the_app_reads_the_path_that_the_host_has_read(target: str, sent: str) -> None:
    assert target_of(_request(target)) == sent
    again, once = requesttarget.read(sent.encode()), requesttarget.read(target.encode())
    assert again is not None
    assert once is not None
    assert again.path == once.path


def _sent_headers(*pairs: tuple[str, str]) -> dict[str, str]:
    call = ForwardedCall(AppServer("http://localhost:5000/"), "i-1", _request("/api/a", list(pairs)), lambda: False)
    _, *lines = call._head().decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines if line)


def test_a_header_that_came_twice_is_one_line() -> None:
    sent = _sent_headers(("X-A", "1"), ("x-a", "2"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("User-Agent", "x"), ("User-Agent", "y"))
    assert (sent["X-A"], sent["Cookie"], sent["User-Agent"]) == ("1, 2", "a=1; b=2", "x y")


def test_what_belongs_to_one_hop_or_says_who_forwarded_does_not_come_from_the_caller() -> None:
    given = ("Connection", "TE", "Upgrade", "Upgrade-Insecure-Requests", "Proxy-Authorization", "Alt-Svc", "HTTP2-Settings")
    told = ("Forwarded", "X-Forwarded-Prefix", "X-Forwarded-For", "x-ms-invocation-id")
    sent = _sent_headers(*((name, "evil") for name in (*given, *told)))
    assert "evil" not in sent.values()
    assert (sent["x-ms-invocation-id"], sent["X-Forwarded-Host"], sent["Host"]) == ("i-1", "localhost:1", "localhost:5000")


async def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        ended.release()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        app = AppServer(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
        used = []
        for seconds in (60.0, 60.0, -1.0):
            monkeypatch.setattr(appserver, "_IDLE_SECONDS", seconds)
            used.append(connection := await app.connection(lambda: False))
            connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n")
            assert await connection.head == 204
            connection.sent = True
            app.keep(connection)
        app.close()
        for _ in {*map(id, used)}:
            await asyncio.wait_for(ended.acquire(), 20)
    assert used[0] is used[1]
    assert used[2] is not used[1]
    assert not used[1].usable
