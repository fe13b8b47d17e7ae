"""Where the sidecar brings messages: an HTTP server on a loopback port of its own.

The sidecar reads three answers: SUCCESS removes the message, RETRY brings it back after the pause of its inbound policy, and a 404 or DROP
would lose it. So nothing here ever answers 404: what cannot be handled now comes again.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

from aiohttp import web

from bridge import telemetry
from bridge.adapters.dapr import values
from bridge.adapters.dapr.properties import to_delivery
from bridge.adapters.dapr.sidecar import TOKEN_HEADER
from bridge.errors import ConfigurationError, Undeliverable
from bridge.ports import Ack, Handler

ROUTE = "/deliveries/"  #: what stands before a source's name in the route of its subscription
LIVE = "/healthz/live"  #: where the sidecar looks whether the bridge is there; Dapr shows no token with it
HOST = "127.0.0.1"

_DONE, _RETRY = b'{"status":"SUCCESS"}', b'{"status":"RETRY"}'
_log = logging.getLogger("bridge.dapr")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic that the sidecar is asked to bring, under its own name."""

    component: str
    topic: str

    def subscription(self) -> dict[str, object]:
        """As Dapr reads it (programmatic subscriptions); raw, as the declared ones are."""
        return {
            "pubsubname": self.component,
            "topic": self.topic,
            "metadata": {"rawPayload": "true"},
            "routes": {"default": f"{ROUTE}{self.topic}"},
        }


@dataclass
class _Reader:
    handler: Handler
    room: asyncio.Semaphore
    dead_letters: bool
    running: set[asyncio.Task[Ack]] = field(default_factory=set)


class Deliveries:
    """Hands what the sidecar brings to the handlers. `sources` are the names that a handler may be for, `wanted` what the sidecar is
    asked to bring beyond the subscriptions that are declared beside its components. Without a token everybody on this machine is heard.
    """

    def __init__(self, token: str, sources: frozenset[str], wanted: Sequence[Wanted] = ()) -> None:
        self._token, self._sources, self._wanted = token.encode(), sources, wanted
        self._readers: dict[str, _Reader] = {}
        self._closing = False
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, token: str, sources: frozenset[str], wanted: Sequence[Wanted] = ()) -> AsyncIterator[Self]:
        """Listen while the context is open; port 0 takes a free one. Raises ConfigurationError if the port is taken."""
        deliveries = cls(token, sources, wanted)
        runner = web.ServerRunner(web.Server(deliveries._answer, access_log=None), shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port)
            try:
                await site.start()
            except OSError as fault:
                raise ConfigurationError([f"The port {port} for deliveries cannot be used ({fault.strerror}); choose another."]) from None
            deliveries.port = runner.addresses[0][1]
            yield deliveries
        finally:
            await runner.cleanup()

    def take(self, source: str, handler: Handler, *, concurrency: int, dead_letters: bool = False) -> None:
        """Let `handler` take the messages of `source`; `dead_letters`: a broker forwards its own there.

        Raises Undeliverable if there is no such queue or subscription.
        """
        if source not in self._sources:
            raise Undeliverable(f"There is no queue or subscription named {source!r}.", hint='Write it "queue" or "topic/subscription".')
        self._readers[source] = _Reader(handler, asyncio.Semaphore(concurrency), dead_letters)

    @property
    def taken(self) -> tuple[str, ...]:
        """The sources that have a handler."""
        return tuple(self._readers)

    async def close(self, patience: float) -> None:
        """Take nothing more, let handlers go on for `patience` seconds, then cancel them; the sidecar keeps what they had."""
        self._closing = True
        running = {task for reader in self._readers.values() for task in reader.running}
        if running and patience > 0:
            await asyncio.wait(running, timeout=patience)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and request.path == LIVE:
            return web.Response(body=b'{"status":"live"}', content_type="application/json")
        if not self._admitted(request):
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        if request.method == "GET":
            return self._about(request.path)
        reader = self._readers.get(request.path.removeprefix(ROUTE))
        if reader is None:
            return _told(_RETRY)
        async with reader.room:
            return await self._handled(request, reader)

    def _admitted(self, request: web.BaseRequest) -> bool:
        if not self._token:
            # A page in a browser on this machine could post here, too; it cannot hide where it comes from.
            return "origin" not in request.headers
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(errors="surrogateescape"), self._token):
            _log.warning("a request to the port for deliveries was refused: it had not the token of the application (APP_API_TOKEN)")
            return False
        return True

    def _about(self, path: str) -> web.Response:
        """What the sidecar asks when it starts."""
        asked = [each.subscription() for each in self._wanted] if path == "/dapr/subscribe" else {}
        return web.Response(body=values.dump(asked), content_type="application/json")

    async def _handled(self, request: web.BaseRequest, reader: _Reader) -> web.Response:
        source = request.path.removeprefix(ROUTE)
        try:
            body = base64.b64decode(values.load(await request.content.read())["data_base64"], validate=True)
        except (ValueError, KeyError, TypeError):
            _log.error('%s: a delivery is not raw; its subscription needs the metadata rawPayload: "true"', source)
            return _told(_RETRY)
        if self._closing:  # it may have begun while the message was read
            return _told(_RETRY)
        delivery = to_delivery(source, body, request.headers, dead_letters=reader.dead_letters)
        task = asyncio.ensure_future(reader.handler(delivery))
        reader.running.add(task)
        try:
            ack = await asyncio.shield(task)
        except asyncio.CancelledError:
            ack = Ack.RETRY
        except Exception as fault:  # noqa: BLE001 - whatever a handler fails with, its message must come back
            ack, reason = Ack.RETRY, f"{type(fault).__name__}: {fault}".replace("\n", " ")
            telemetry.step("retry", level="error", run=delivery.message.correlation_id or "-", source=source, error=reason)
        finally:
            reader.running.discard(task)
        return _told(_DONE if ack is Ack.DONE else _RETRY)


def _told(status: bytes) -> web.Response:
    return web.Response(body=status, content_type="application/json")
