"""One call of an ASP.NET Core function: the invocation over gRPC, and the request itself to the web server of the app.

Whether it failed is known from the InvocationResponse alone. So the head of the answer is held back until its body begins or the response
has come: a failure before that is status 500 with the headers so far, and a failure after it cuts the connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.httpstream import StreamBroken
from bridge.local.functions.rpc.appserver import AppConnection, AppServer, AppUnreachable, head_lines
from bridge.local.functions.worker import InvocationResponse

_HEAD_SECONDS = 1.0  #: that the head of an answer may come after the failure of its function
#: Between one hop and the next: Azure's host, which forwards with YARP, leaves them out in both directions.
_HOP = frozenset(
    [
        "alpn",
        "alt-svc",
        "close",
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "proxy-features",
        "proxy-instruction",
        "security-scheme",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
    ]
)
#: What is told anew, or not at all.
_OWN = _HOP | {"expect", "host", "x-ms-invocation-id"}
_OWN |= {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"}
_DROPPED = _HOP | {"date", "server"}
_SEPARATORS = {"cookie": "; ", "user-agent": " "}  #: between the values of a header that came several times; else a comma
_IN_PATH = "!$&'()*+,-./:;=@_~"
_NOT_IN_QUERY = re.compile(r"%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]")
_OF_A_BODY = frozenset({"content-type", "content-encoding", "content-disposition", "content-range", "content-language"})


class ForwardedCall:
    """Runs one call; use `run`."""

    def __init__(self, server: AppServer, invocation: str, request: HttpRequest, gone: Callable[[], bool]) -> None:
        self._server, self._invocation, self._request, self._gone = server, invocation, request, gone
        self._connection: AppConnection | None = None
        self._answer: tuple[int, list[tuple[str, str]], int | None] | None = None  #: status, headers and length, once they have come
        self._trouble = ""
        self._failed = self._aborted = self._unreachable = False

    async def run(self, answered: asyncio.Future[InvocationResponse]) -> InvocationResponse:
        """Pass the request on, wait for the invocation, and say how it ended. Raises WorkerLost."""
        passing = asyncio.create_task(self._pass_on())
        try:
            both: set[asyncio.Future[Any]] = {passing, answered}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._unreachable and not answered.done():
                return self._lost()
            response = await answered
            if not response.ok:
                return await self._failure(response, passing)
            await self._whole(passing)
            return self._success(response)
        finally:
            passing.cancel()
            await asyncio.wait({passing})
            self._let_go()

    async def _whole(self, passing: asyncio.Task[None]) -> None:
        """Wait for the end of the answer. An app that has answered with a status below 200 will never send another."""
        while self._answer is None and not passing.done():
            await asyncio.wait({passing}, timeout=_HEAD_SECONDS)
            if self._answer is None and self._connection is not None and self._connection.interim:
                self._trouble = f"it answered with the status {self._connection.interim}, after which an answer would still have to come"
                return
        await passing

    def _success(self, response: InvocationResponse) -> InvocationResponse:
        sink = self._request.sink
        if sink is None or self._aborted:
            return response
        if self._answer is not None and not self._trouble and not sink.begun:
            try:
                sink.begin(*self._answer)
            except ValueError as wrong:
                self._trouble = f"its answer cannot be passed on: {wrong}"
        return self._lost() if self._trouble else replace(response, result={"http": HttpResponse(200, streamed=True)})

    def _lost(self) -> InvocationResponse:
        return InvocationResponse(ok=False, code="AnswerLost", message=self._trouble, text=self._trouble)

    def abort(self) -> None:
        """The caller is gone, and so the app shall see."""
        self._aborted = True
        if self._connection is not None:
            self._connection.abort()

    async def _failure(self, response: InvocationResponse, passing: asyncio.Task[None]) -> InvocationResponse:
        self._failed = True
        await asyncio.wait({passing}, timeout=_HEAD_SECONDS)
        if self._answer is None:
            return response
        kept = [pair for pair in self._answer[1] if pair[0].lower() not in _OF_A_BODY]
        return replace(response, result={"http": HttpResponse(500, kept)})

    async def _pass_on(self) -> None:
        try:
            self._connection = connection = await self._server.connection(self._gone)
            connection.ask(self._request.method, self._head())
            sending = asyncio.create_task(self._send_body(connection))
            try:
                await self._pass_back(connection, await connection.head)
            finally:
                sending.cancel()
                await asyncio.wait({sending})
        except AppUnreachable as problem:
            self._trouble, self._unreachable = str(problem), True
        except StreamBroken:
            self._trouble = "the app closed the connection before its answer was complete, or the caller did"
        except ValueError as wrong:
            self._trouble = f"its answer cannot be passed on: {wrong}"

    def _head(self) -> bytes:
        request = self._request
        sent = _joined((name, text) for name, text in request.sent_headers if name.lower() not in _OWN)
        own = [
            ("Host", self._server.host),
            ("x-ms-invocation-id", self._invocation),
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-Host", request.headers.get("host", "")),
            ("X-Forwarded-Proto", "http"),
        ]
        if "transfer-encoding" in request.headers:
            own.append(("Transfer-Encoding", "chunked"))
        elif "content-length" in request.headers:
            own.append(("Content-Length", request.headers["content-length"]))
        return head_lines(request.method, target_of(request), [*own, *sent])

    async def _send_body(self, connection: AppConnection) -> None:
        chunked = "transfer-encoding" in self._request.headers
        assert self._request.pieces is not None  # noqa: S101 - only such calls are forwarded
        with suppress(StreamBroken):
            async for piece in self._request.pieces:
                await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                await connection.send(b"0\r\n\r\n")
            connection.sent = True

    async def _pass_back(self, connection: AppConnection, status: int) -> None:
        sink = self._request.sink
        headers = [(name, text) for name, text in connection.headers if name.lower() not in _DROPPED]
        assert sink is not None  # noqa: S101 - only such calls are forwarded
        lengths = [text for name, text in connection.headers if name.lower() == "content-length"]
        self._answer = (status, headers, int(lengths[0]) if lengths and lengths[0].isdecimal() else None)
        async for piece in connection.pieces:
            if self._failed and not sink.begun:
                return
            if not sink.begun:
                sink.begin(*self._answer)
            await sink.write(piece)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._server.keep(self._connection)
            self._connection = None


def _joined(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers with one line for each name, as the HTTP client of .NET writes them."""
    found: dict[str, tuple[str, str]] = {}
    for name, text in pairs:
        key = name.lower()
        known = found.get(key)
        found[key] = (name, text) if known is None else (known[0], f"{known[1]}{_SEPARATORS.get(key, ', ')}{text}")
    return list(found.values())


def target_of(request: HttpRequest) -> str:
    """What the app is asked for: the path so that it reads what this host has read, and the query as .NET writes it."""
    query = request.target.tail if request.target is not None else ""
    path = quote(request.path, safe=_IN_PATH, errors="surrogateescape")
    return path + _NOT_IN_QUERY.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), query)
