"""A client for the sidecar's HTTP API, with one pool of connections to loopback."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from pydantic_core import from_json
from yarl import URL

from bridge.adapters.dapr.errors import SidecarError
from bridge.errors import ConfigurationError, Unavailable

TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - the name of Dapr's header, in both directions
CONNECTIONS = 256  #: to the sidecar at a time
TIMEOUT = 60.0  #: seconds that one request may take: what Dapr's components allow themselves
LARGE = 2**20  #: bytes; a larger body is written to the connection in parts, so that nothing else waits for it
_POLL = 0.1  #: seconds between looks whether the sidecar is ready
_SUBSCRIBING = 5.0  #: seconds that the sidecar may take to subscribe once it is ready
_LOG_EVERY = 30.0  #: seconds between two log lines while it is waited for
_log = logging.getLogger("bridge.dapr")

Observe = Callable[[str, bytes | SidecarError | None], None]
"""Is told the answer to each request, None if there was none, with the first word of the request's path."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component that the sidecar has loaded, such as `bus` of type `pubsub.redis`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class ActiveSubscription:
    """A topic that the sidecar delivers, the paths that it delivers to, and whether it leaves the bytes unchanged (`rawPayload`)."""

    component: str
    topic: str
    routes: frozenset[str]
    raw: bool = True


@dataclass(frozen=True, slots=True)
class SidecarMetadata:
    """What the sidecar reports about its deliveries: the port of its app (0 if it has none), the protocol, and its subscriptions."""

    app_port: int
    protocol: str  #: such as http or grpc
    subscriptions: tuple[ActiveSubscription, ...]


class SidecarClient:
    """Sends requests to the sidecar. Raises Unavailable if there is no answer; then it is unknown whether the request had an effect."""

    def __init__(self, session: aiohttp.ClientSession, address: str, observe: Observe) -> None:
        self._session, self.address, self._observe = session, address, observe
        self._urls: dict[str, URL] = {}  # by path: to read one again costs more than to send a small body

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, api_token: str, observe: Observe = lambda _path, _answer: None) -> AsyncIterator[Self]:
        """A client while the context is open. If the token is empty, none is sent."""
        headers = {"user-agent": "automation-bridge", **({TOKEN_HEADER: api_token} if api_token else {})}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, connect=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        ) as session:
            yield cls(session, address.rstrip("/"), observe)

    async def post(self, path: str, body: bytes, *, content_type: str, query: Mapping[str, str] | None = None) -> bytes | SidecarError:
        """The body of a successful answer, or the error that the sidecar answered. Raises Unavailable.

        `path` may end with a query that is always the same.
        """
        return await self._request("POST", path, body, content_type, query)

    async def _request(
        self, method: str, path: str, body: bytes | None, content_type: str, query: Mapping[str, str] | None
    ) -> bytes | SidecarError:
        kind, url = path.partition("/")[0], self._url(path, query)
        headers = {"content-type": content_type} if body is not None else {}
        data = io.BytesIO(body) if body is not None and len(body) > LARGE else body
        try:
            async with self._session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                body_read = await response.read()
                answer = body_read if response.ok else SidecarError.read(response.status, body_read)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._observe(kind, None)
            raise Unavailable(f"The sidecar at {self.address} gave no answer ({type(error).__name__}).") from None
        self._observe(kind, answer)
        return answer

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(f"{self.address}/v1.0/{path}")
        return url.with_query(query) if query else url

    async def wait_until_ready(self, seconds: float | None) -> None:
        """Wait until the components can be used, and log this from time to time.

        Raises Unavailable after `seconds`; with None it waits without end.
        """
        last: object = "it gave no answer"
        try:
            async with asyncio.timeout(seconds):
                for look in itertools.count(1):
                    trouble = await self.trouble()
                    if not trouble:
                        return
                    last = trouble
                    if look % round(_LOG_EVERY / _POLL) == round(1 / _POLL):
                        _log.warning("waiting for the sidecar: %s", last)
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise Unavailable(
                f"The sidecar at {self.address} was not ready within {seconds:g} s: {last}",
                hint="Start the sidecar, or correct its address; its own log says which component failed.",
            ) from None

    async def wait_until_subscribed(self) -> None:
        """Wait a few seconds for the sidecar to subscribe, because an in-memory bus drops earlier messages. Then go on in any case."""
        for _ in range(round(_SUBSCRIBING / _POLL)):
            if not await self.trouble("healthz"):
                return
            await asyncio.sleep(_POLL)

    async def trouble(self, path: str = "healthz/outbound") -> str:
        """Why the sidecar cannot be used at the moment, by its outbound health; empty if it can."""
        try:
            answer = await self._request("GET", path, None, "", None)
        except Unavailable as error:
            return error.detail
        return str(answer) if isinstance(answer, SidecarError) else ""

    async def components(self) -> dict[str, Component]:
        """The loaded components, by name. Raises Unavailable, and ConfigurationError if the sidecar does not allow the request."""
        found = await self._metadata()
        return {each["name"]: Component(each["name"], each["type"]) for each in found.get("components", ())}

    async def metadata(self) -> SidecarMetadata:
        """What the sidecar delivers, and to which port. Raises Unavailable, and ConfigurationError if it does not allow the request."""
        found = await self._metadata()
        app = found.get("appConnectionProperties", {})
        subscriptions = tuple(_subscription(each) for each in found.get("subscriptions", ()))
        return SidecarMetadata(app.get("port", 0), app.get("protocol", "http"), subscriptions)

    async def endpoints(self) -> frozenset[str]:
        """The names of the loaded HTTPEndpoints. Raises Unavailable, and ConfigurationError if the sidecar does not allow the request."""
        return frozenset(each["name"] for each in (await self._metadata()).get("httpEndpoints", ()))

    async def _metadata(self) -> dict[str, Any]:
        answer = await self._request("GET", "metadata", None, "", None)
        if isinstance(answer, SidecarError):
            raise ConfigurationError(
                [
                    (
                        f"The sidecar does not allow the bridge to read its metadata: {answer}. "
                        "Add `metadata` to its API allow list, and send its API token."
                    )
                ]
            )
        found: dict[str, Any] = from_json(answer)
        return found


def _subscription(found: Mapping[str, Any]) -> ActiveSubscription:
    routes = frozenset("/" + rule.get("path", "").lstrip("/") for rule in found.get("rules", ()))
    raw = found.get("metadata", {}).get("rawPayload", "").lower() in ("true", "t", "1")
    return ActiveSubscription(found["pubsubname"], found["topic"], routes, raw)
