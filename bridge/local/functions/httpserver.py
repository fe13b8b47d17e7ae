"""Serves the HTTP triggers of one app on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bridge.errors import ConfigurationError
from bridge.local.functions.httpconnection import HttpConnection
from bridge.local.functions.httptriggers import HttpTriggers

HOST = "127.0.0.1"
_WAITING = 512  #: connections that the system may hold until they are taken
_LONGEST_IDLE = 3630.0  #: seconds after which a connection without a request is closed
_CHECK_SECONDS = 30.0  #: between two checks for such connections


@contextlib.asynccontextmanager
async def serving(triggers: HttpTriggers, port: int) -> AsyncIterator[str]:
    """Serve while the block runs; yields the base URL. Port 0 takes a free one. Raises ConfigurationError if the port is taken."""
    connections: set[HttpConnection] = set()
    server = await _listen(triggers, port, connections)
    closing = asyncio.create_task(_close_idle(connections))
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        closing.cancel()
        server.close()
        for connection in list(connections):
            connection.close()


async def _listen(triggers: HttpTriggers, port: int, connections: set[HttpConnection]) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(lambda: HttpConnection(triggers, connections), HOST, port, backlog=_WAITING)
    except OSError as taken:
        raise ConfigurationError([f"Port {port} cannot be used: {taken}. Choose another with --port, or 0 for a free one."]) from taken


async def _close_idle(connections: set[HttpConnection]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        for connection in list(connections):
            if connection.idle and loop.time() - connection.quiet_since > _LONGEST_IDLE:
                connection.close()
