"""Where the sidecar brings messages: an HTTP server on a loopback port of its own.

The sidecar reads three answers: SUCCESS removes the message, RETRY brings it back after the pause of its inbound policy, and a 404 or DROP
would lose it. So nothing here ever answers 404: what cannot be handled now comes again.
"""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web

from bridge.adapters.dapr import values
from bridge.adapters.dapr.readers import ROUTE, Readers, Wanted
from bridge.adapters.dapr.sidecar import TOKEN_HEADER
from bridge.errors import ConfigurationError
from bridge.ports import Ack

LIVE = "/healthz/live"  #: where the sidecar looks whether the bridge is there; Dapr shows no token with it
HOST = "127.0.0.1"

_DONE, _RETRY = b'{"status":"SUCCESS"}', b'{"status":"RETRY"}'
_log = logging.getLogger("bridge.dapr")


def _asked(wanted: Wanted) -> dict[str, object]:
    """A subscription as Dapr reads it (programmatic subscriptions); raw, as the declared ones are."""
    metadata, routes = {"rawPayload": "true"}, {"default": wanted.route}
    return {"pubsubname": wanted.component, "topic": wanted.topic, "metadata": metadata, "routes": routes}


class Deliveries:
    """Hands what the sidecar brings to the readers. `wanted` is what it is asked to bring beyond the subscriptions that are declared beside
    its components. Without a token everybody on this machine is heard.
    """

    def __init__(self, token: str, readers: Readers, wanted: Sequence[Wanted] = ()) -> None:
        self._token, self._readers, self._wanted = token.encode(), readers, wanted

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, token: str, readers: Readers, wanted: Sequence[Wanted] = ()) -> AsyncIterator[int]:
        """Listen while the context is open; gives the port, a free one for 0. Raises ConfigurationError if the port is taken."""
        deliveries = cls(token, readers, wanted)
        runner = web.ServerRunner(web.Server(deliveries._answer, access_log=None), shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port)
            try:
                await site.start()
            except OSError as fault:
                raise ConfigurationError([f"The port {port} for deliveries cannot be used ({fault.strerror}); choose another."]) from None
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and request.path == LIVE:
            return web.Response(body=b'{"status":"live"}', content_type="application/json")
        if not self._admitted(request):
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        if request.method == "GET":
            return self._about(request.path)
        return await self._handled(request)

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
        asked = [_asked(each) for each in self._wanted] if path == "/dapr/subscribe" else {}
        return web.Response(body=values.dump(asked), content_type="application/json")

    async def _handled(self, request: web.BaseRequest) -> web.Response:
        try:
            body = base64.b64decode(values.load(await request.content.read())["data_base64"], validate=True)
        except (ValueError, KeyError, TypeError):
            source = request.path.removeprefix(ROUTE)
            _log.error('%s: a delivery is not raw; its subscription needs the metadata rawPayload: "true"', source)
            return _told(_RETRY)
        ack = await self._readers.handle(request.path, body, request.headers)
        return _told(_DONE if ack is Ack.DONE else _RETRY)


def _told(status: bytes) -> web.Response:
    return web.Response(body=status, content_type="application/json")
