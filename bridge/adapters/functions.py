"""Calls functions over HTTP: one attempt each, never repeated, never redirected, never more than its time or size."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol, Self

import aiohttp
from yarl import URL

from bridge.adapters.apps import App, Apps
from bridge.errors import CallFailed
from bridge.masking import MASK
from bridge.ports import Answer, Call
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

    async def call(self, call: Call) -> Answer:
        """Any answer, whatever its status. Raises CallFailed.

        A 401 is asked once more if the app's key has changed meanwhile: Functions checks the key before anything runs.
        """
        until = asyncio.get_running_loop().time() + call.timeout.total_seconds()
        app = await self._app(call, until)
        answer = await self._send(_cut(call, until), app)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        self._apps.forget()
        renewed, rest = self._apps.find(call.app), _cut(call, until)
        if renewed == app or rest.timeout <= timedelta(0):
            return answer
        return await self._send(rest, renewed)

    async def _app(self, call: Call, until: float) -> App:
        """The app, waited for a little while the host beside the bridge is started. Raises CallFailed(UnknownApp)."""
        loop = asyncio.get_running_loop()
        until = min(until, loop.time() + self._host_start)
        while self._apps.expected(call.app) and loop.time() < until:  # noqa: ASYNC110 - the host is another process
            await asyncio.sleep(LOOK)
        return self._apps.find(call.app)

    async def _send(self, call: Call, app: App) -> Answer:
        seconds = call.timeout.total_seconds()
        if seconds <= 0:
            raise CallFailed("Timeout", f"There was no time left to call {call.app}.", may_have_run=False)
        headers = {**call.headers, KEY_HEADER: app.key} if app.key else call.headers
        # Connecting ends before the whole does, so that a call that never left is told from one that was not answered.
        limits = aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT, seconds * 0.9))
        try:
            url = URL(app.url + call.path, encoded=True)
            async with self._session.request(
                call.method, url, data=call.body, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                body = await self._body(call, response)
                return _without_key(
                    Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, body), app.key
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as fault:
            raise failed(call, fault) from None

    async def _body(self, call: Call, response: aiohttp.ClientResponse) -> bytes:
        is_output = 200 <= response.status < 300
        limit = self._limit if is_output else MAX_REFUSAL
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


def _without_key(answer: Answer, key: str) -> Answer:
    """The answer of a function that may have repeated the headers it got."""
    if not key or not (key.encode() in answer.body or any(key in value for value in answer.headers.values())):
        return answer
    headers = {name: value.replace(key, MASK) for name, value in answer.headers.items()}
    return Answer(answer.status, headers, answer.body.replace(key.encode(), MASK.encode()))


def _cut(call: Call, until: float) -> Call:
    """The call with the time that is left of it."""
    return replace(call, timeout=timedelta(seconds=until - asyncio.get_running_loop().time()))


def failed(call: Call, fault: Exception) -> CallFailed:
    """What a foreign exception means. Details name the app, never its address or key."""
    why = _why(fault)
    if isinstance(fault, NEVER_CONNECTED):
        return CallFailed("ConnectionFailed", f"{call.app} could not be reached ({why}).", may_have_run=False)
    if isinstance(fault, TimeoutError):
        return CallFailed("Timeout", f"{call.app} gave no answer within {round(call.timeout.total_seconds(), 2):g} s.", may_have_run=True)
    if isinstance(fault, aiohttp.ClientError | OSError):
        return CallFailed("ConnectionLost", f"{call.app} closed the connection before its answer was complete ({why}).", may_have_run=True)
    return CallFailed("ConnectionFailed", f"The request to {call.app} could not be made ({why}).", may_have_run=False)


def _why(fault: Exception) -> str:
    """The system's words without the address that asyncio puts into them; else the exception's name."""
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return "no host has its name"
    number = fault.errno if isinstance(fault, OSError) else None
    return os.strerror(number) if number and number > 0 else type(fault).__name__
