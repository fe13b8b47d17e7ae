"""Sends HTTP requests to a bridge. A refused request raises `Problem`; if no bridge answers, `Unreachable` is raised."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from bridge.client.errors import Problem, Unreachable

LONGEST_WAIT = 60  #: seconds that one request may wait for its answer


class HttpAnswer(NamedTuple):
    """The status and the body of an answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as a value; as bytes if it is not JSON, and None if it is empty."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return self.body


class Transport:
    """An HTTP session with one bridge. `token` is sent only to this URL and never follows a redirect."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """A session. Connections are opened when they are needed. Raises Unreachable if the URL is invalid."""
        if not _is_address(self.url):
            raise Unreachable(self.url, "it is not an http or https address")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=LONGEST_WAIT + 15)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def json(self, method: str, path: str, headers: Mapping[str, str] | None = None, value: Any = ...) -> Any:
        """Send `value`, if there is one, and return the value of the answer. Raises Problem, Unreachable."""
        answer = await self.send(method, path, headers, None if value is ... else json.dumps(value).encode())
        found = answer.json()
        if isinstance(found, bytes):
            raise Problem.read(answer.status, None)
        return found

    async def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> HttpAnswer:
        """Send `body` and return the whole answer. Raises Problem, Unreachable."""
        async with self.call(method, path, headers, body) as response:
            answer = HttpAnswer(response.status, await response.read())
        if not 200 <= answer.status < 300:
            raise Problem.read(answer.status, answer.json())
        return answer

    @asynccontextmanager
    async def call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of any status, its body still to be read. Raises Unreachable."""
        if self._session is None:
            raise RuntimeError("Open the client first: `async with BridgeClient(...) as bridge:`")
        address = URL(self.url + path, encoded=True)  # as it stands: otherwise the id ".." would lead elsewhere
        try:
            async with self._session.request(method, address, headers=headers, data=body, allow_redirects=False) as response:
                yield response
        except TimeoutError:
            raise Unreachable(self.url, "it did not answer in time") from None
        except (aiohttp.ClientError, OSError) as fault:
            raise Unreachable(self.url, _reason(fault)) from None

    async def pages(
        self, path: str, query: Mapping[str, str], limit: int, look: Callable[[Any], None] = lambda _: None
    ) -> AsyncIterator[Any]:
        """The items of a list, `limit` at the most, page after page; `look` gets each page. Raises Problem, Unreachable."""
        parameters = {name: value for name, value in query.items() if value} | {"limit": str(min(limit, 100))}
        left = limit
        while left > 0:
            page = await self.json("GET", path + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items()))
            look(page)
            for item in page["items"][:left]:
                yield item
            left -= len(page["items"])
            if not page.get("nextCursor"):
                return
            parameters["cursor"] = page["nextCursor"]


def _is_address(url: str) -> bool:
    try:
        parts = URL(url, encoded=True)
        return parts.scheme in ("http", "https") and bool(parts.host) and bool(parts.port)
    except ValueError:
        return False


def _reason(fault: BaseException) -> str:
    if isinstance(fault, aiohttp.ClientConnectorError) and fault.os_error.errno:
        return os.strerror(fault.os_error.errno).lower()
    return str(fault) or type(fault).__name__
