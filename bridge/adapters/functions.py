"""Calls functions over HTTP: one attempt each, never repeated, never redirected, never more than its time or size."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol, Self

import aiohttp
from yarl import URL

from bridge.adapters.apps import App, Apps
from bridge.errors import CallFailed
from bridge.ports import FunctionCall, FunctionResponse
from bridge.redaction import MASK
from bridge.settings import Settings

KEY_HEADER = "x-functions-key"
SLACK = 64 * 1024  #: bytes that an answer may have beyond the output's limit: white space, escapes
MAX_REFUSAL = 64 * 1024  #: bytes that are read of an answer that is no output
CONNECT = 10.0  #: seconds for finding and reaching an app; a cold start answers the connection at once
CHUNK = 64 * 1024  #: bytes
HOST_START = 10.0  #: seconds that a call waits for a functions host which is started beside the bridge
LOOK = 0.05  #: seconds between two looks for it

#: What aiohttp raises before the first byte of the request is sent; everything else may have reached the function.
NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


class Directory(Protocol):
    """Where apps are, by their names."""

    def find(self, name: str) -> App:
        """The app of that name. Raises CallFailed(UnknownApp)."""

    def expected(self, name: str) -> bool:
        """Whether it is worth waiting for the app to appear."""

    def starting(self, name: str, /) -> bool:
        """Whether the app is being started on this machine."""

    def unserved(self, name: str, method: str, path: str, /) -> str:
        """Why nobody answers at a path of the app; empty if somebody may, or it is not known."""

    def forget(self) -> None:
        """Look everything up anew."""


class HttpFunctions:
    """`ports.Functions` with one pool of connections. How many calls run at a time is for the caller to say."""

    def __init__(self, session: aiohttp.ClientSession, apps: Directory, limit: int, host_start: float = 0) -> None:
        self._session, self._apps, self._limit, self._host_start = session, apps, limit, host_start

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, apps: Directory | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[Self]:
        """Functions that can be called while the context is open; answers are read up to the largest output and a little more.

        `apps` says where they are, by default the settings and the local functions host; `headers` go with every call.
        """
        apps = apps or Apps(settings.function_apps, settings.data_dir, os.environ)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"accept-encoding": "identity", "user-agent": "automation-bridge", **headers},
        ) as session:
            yield cls(session, apps, settings.max_output_bytes + SLACK, HOST_START if settings.functions else 0)

    async def call(self, call: FunctionCall) -> FunctionResponse:
        """Any answer, whatever its status. Raises CallFailed.

        A 401 is asked once more if the app's key has changed meanwhile: Functions checks the key before anything runs.
        """
        until = asyncio.get_running_loop().time() + call.timeout.total_seconds()
        app = App(call.origin) if call.origin else await self._app(call, until)
        answer = await self._send(call, app, until)
        if answer.status != HTTPStatus.UNAUTHORIZED or call.origin:
            return answer
        self._apps.forget()
        renewed = self._apps.find(call.app)
        if renewed == app or asyncio.get_running_loop().time() >= until:
            return answer
        return await self._send(call, renewed, until)

    def starting(self, app: str) -> bool:
        """Whether the app is being started on this machine."""
        return self._apps.starting(app)

    def unserved(self, app: str, method: str, path: str) -> str:
        """Why nobody answers at a path of an app; empty if somebody may, or it is not known."""
        return self._apps.unserved(app, method, path)

    async def _app(self, call: FunctionCall, until: float) -> App:
        """The app, waited for a little while the host beside the bridge is started. Raises CallFailed(UnknownApp)."""
        loop = asyncio.get_running_loop()
        host_until = min(until, loop.time() + self._host_start)
        # The host is another process, so there is nothing to wait on but its files.
        while loop.time() < (until if self._apps.starting(call.app) else host_until if self._apps.expected(call.app) else 0):  # noqa: ASYNC110
            await asyncio.sleep(LOOK)
        return self._apps.find(call.app)

    async def _send(self, call: FunctionCall, app: App, until: float) -> FunctionResponse:
        """Any answer before `until`, a time of the event loop. Raises CallFailed."""
        seconds = until - asyncio.get_running_loop().time()
        if seconds <= 0:
            raise CallFailed("Timeout", f"There was no time left to call {call.app}.", may_have_run=False)
        # A status address of Durable Functions has a key of its own, and the app's would be looked at first.
        headers = {**call.headers, KEY_HEADER: app.key} if app.key and "code=" not in call.path else call.headers
        # Connecting ends before the whole does, so that a call that never left is told from one that was not answered.
        limits = aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT, seconds * 0.9))
        try:
            url = _url(app.url + call.path)
            async with self._session.request(
                call.method, url, data=call.body or None, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                body = await self._body(call, response)
                return _without_key(
                    FunctionResponse(response.status, {name.lower(): value for name, value in response.headers.items()}, body), app.key
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as fault:
            raise failed(call, fault, seconds) from None

    async def _body(self, call: FunctionCall, response: aiohttp.ClientResponse) -> bytes:
        is_output = 200 <= response.status < 300
        limit = self._limit if is_output else MAX_REFUSAL
        announced = response.content_length
        if announced is not None and announced <= limit:
            return await response.read()
        body = bytearray()
        if not (is_output and (response.content_length or 0) > limit):
            async for chunk in response.content.iter_chunked(CHUNK):
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        response.close()  # the rest is not worth reading
        if is_output:
            raise CallFailed("AnswerTooLarge", f"{call.app} answered with more than {limit:,} bytes.", may_have_run=True)
        return bytes(body[:limit])


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


def _without_key(answer: FunctionResponse, key: str) -> FunctionResponse:
    """The answer of a function that may have repeated the headers it got."""
    if not key or not (key.encode() in answer.body or any(key in value for value in answer.headers.values())):
        return answer
    headers = {name: value.replace(key, MASK) for name, value in answer.headers.items()}
    return FunctionResponse(answer.status, headers, answer.body.replace(key.encode(), MASK.encode()))


def failed(call: FunctionCall, fault: Exception, seconds: float) -> CallFailed:
    """What a foreign exception means, after so many seconds at most. Details name the app, never its address or key."""
    why = _why(fault)
    if isinstance(fault, NEVER_CONNECTED):
        return CallFailed("ConnectionFailed", f"{call.app} could not be reached ({why}).", may_have_run=False)
    if isinstance(fault, TimeoutError):
        return CallFailed("Timeout", f"{call.app} gave no answer within {round(seconds, 2):g} s.", may_have_run=True)
    if isinstance(fault, aiohttp.ClientError | OSError):
        return CallFailed("ConnectionLost", f"{call.app} closed the connection before its answer was complete ({why}).", may_have_run=True)
    return CallFailed("ConnectionFailed", f"The request to {call.app} could not be made ({why}).", may_have_run=False)


def _why(fault: Exception) -> str:
    """The system's words without the address that asyncio puts into them; else the exception's name."""
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return "no host has its name"
    number = fault.errno if isinstance(fault, OSError) else None
    return os.strerror(number) if number and number > 0 else type(fault).__name__
