"""The sidecar's HTTP API: one client, one pool of connections to loopback."""

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

from bridge.adapters.dapr.faults import Refused
from bridge.errors import ConfigurationError, Unavailable

HTTP, GRPC = "http", "grpc"  #: how the sidecar brings messages: its --app-protocol
TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - the name of Dapr's header, in both directions
CONNECTIONS = 256  #: to the sidecar at a time
PATIENCE = 60.0  #: seconds that one request may take: what Dapr's components allow themselves
LARGE = 2**20  #: bytes; a larger body is written to the connection in parts, so that nothing else waits for it
_LOOK = 0.1  #: seconds between looks whether the sidecar is ready
_SETTLE = 5.0  #: seconds that it may take to subscribe once it is ready
_SAY = 30.0  #: seconds between two log lines while it is waited for
_log = logging.getLogger("bridge.dapr")

Heard = Callable[[str, bytes | Refused | None], None]
"""Is told what each request came to: the first word of its path, and the answer, None if there was none."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component the sidecar has loaded, such as `bus` of type `pubsub.redis`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the sidecar subscribes to, the paths to which it brings it, and whether it leaves the bytes alone (`rawPayload`)."""

    component: str
    topic: str
    routes: frozenset[str]
    raw: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """What the sidecar tells of its deliveries: the port of its app, 0 if it has none, how it brings them there, and its subscriptions."""

    app_port: int
    protocol: str  #: HTTP or GRPC
    subscriptions: tuple[Subscription, ...]


class Sidecar:
    """Asks the sidecar. Raises Unavailable when there is no answer; whether what was asked has happened is not known then."""

    def __init__(self, session: aiohttp.ClientSession, address: str, heard: Heard) -> None:
        self._session, self.address, self._heard = session, address, heard

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, api_token: str, heard: Heard = lambda _path, _answer: None) -> AsyncIterator[Self]:
        """A client while the context is open. An empty token sends none."""
        headers = {"user-agent": "automation-bridge", **({TOKEN_HEADER: api_token} if api_token else {})}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=PATIENCE, connect=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        ) as session:
            yield cls(session, address.rstrip("/"), heard)

    async def post(self, path: str, body: bytes, *, content_type: str, query: Mapping[str, str] | None = None) -> bytes | Refused:
        """The body of a success, or what was refused. Raises Unavailable."""
        return await self._ask("POST", path, body, content_type, query)

    async def _ask(self, method: str, path: str, body: bytes | None, content_type: str, query: Mapping[str, str] | None) -> bytes | Refused:
        kind, url = path.partition("/")[0], URL(f"{self.address}/v1.0/{path}").with_query(query or {})
        headers = {"content-type": content_type} if body is not None else {}
        data = io.BytesIO(body) if body is not None and len(body) > LARGE else body
        try:
            async with self._session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                body_read = await response.read()
                answer = body_read if response.ok else Refused.read(response.status, body_read)
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            self._heard(kind, None)
            raise Unavailable(f"The sidecar at {self.address} gave no answer ({type(fault).__name__}).") from None
        self._heard(kind, answer)
        return answer

    async def ready(self, seconds: float | None) -> None:
        """Wait until its components can be used, saying so now and then. Raises Unavailable after `seconds`; None waits for ever."""
        last: object = "it gave no answer"
        try:
            async with asyncio.timeout(seconds):
                for look in itertools.count(1):
                    trouble = await self.trouble()
                    if not trouble:
                        return
                    last = trouble
                    if look % round(_SAY / _LOOK) == round(1 / _LOOK):
                        _log.warning("waiting for the sidecar: %s", last)
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise Unavailable(
                f"The sidecar at {self.address} was not ready within {seconds:g} s: {last}",
                hint="Start the sidecar, or correct its address; its own log says which component failed.",
            ) from None

    async def settled(self) -> None:
        """Give it a while to subscribe, too: a bus in its memory drops what comes before. Whatever else it waits for is not waited for."""
        for _ in range(round(_SETTLE / _LOOK)):
            if not await self.trouble("healthz"):
                return
            await asyncio.sleep(_LOOK)

    async def trouble(self, path: str = "healthz/outbound") -> str:
        """Why it cannot be used at the moment, empty if it can: its outbound health."""
        try:
            answer = await self._ask("GET", path, None, "", None)
        except Unavailable as fault:
            return fault.detail
        return str(answer) if isinstance(answer, Refused) else ""

    async def components(self) -> dict[str, Component]:
        """What it has loaded, by name. Raises Unavailable, and ConfigurationError if it may not be asked."""
        told = await self._metadata()
        return {each["name"]: Component(each["name"], each["type"]) for each in told.get("components", ())}

    async def told(self) -> Told:
        """What it brings, and to which port. Raises Unavailable, and ConfigurationError if it may not be asked."""
        found = await self._metadata()
        app = found.get("appConnectionProperties", {})
        return Told(app.get("port", 0), app.get("protocol", HTTP), tuple(_subscription(each) for each in found.get("subscriptions", ())))

    async def endpoints(self) -> frozenset[str]:
        """The names of the HTTPEndpoints it has loaded. Raises Unavailable, and ConfigurationError if it may not be asked."""
        return frozenset(each["name"] for each in (await self._metadata()).get("httpEndpoints", ()))

    async def _metadata(self) -> dict[str, Any]:
        answer = await self._ask("GET", "metadata", None, "", None)
        if isinstance(answer, Refused):
            raise ConfigurationError(
                [f"The sidecar does not tell its components: {answer}. Allow `metadata` in its API allow list, and send its API token."]
            )
        told: dict[str, Any] = from_json(answer)
        return told


def _subscription(told: Mapping[str, Any]) -> Subscription:
    routes = frozenset("/" + rule.get("path", "").lstrip("/") for rule in told.get("rules", ()))
    raw = told.get("metadata", {}).get("rawPayload", "").lower() in ("true", "t", "1")
    return Subscription(told["pubsubname"], told["topic"], routes, raw)
