"""A gRPC server on asyncio's own transport: HTTP/2 without TLS, for one peer on loopback, such as a Dapr sidecar or a worker of functions.

grpc.aio costs a Python server a completion queue, a thread and several wake-ups for each message, four times what the message itself needs
here (docs/speed.md). This package has what clients such as grpc-go and .NET's use of RFC 9113 and of gRPC over HTTP/2. Header compression
is the library `hpack`. Whatever it does not understand ends the connection: the peer then treats its calls as failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bridge.grpcserver.calls import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    UNKNOWN,
    GrpcError,
    GrpcStream,
    Headers,
    Method,
    StreamMethod,
)
from bridge.grpcserver.connection import Http2Connection

__all__ = [
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
    "UNKNOWN",
    "GrpcError",
    "GrpcServer",
    "GrpcStream",
    "Headers",
    "Method",
    "StreamMethod",
]

Admits = Callable[[str, int], bool]
"""Whether calls of the peer with this host and port are served. It is asked once for each connection."""


class GrpcServer:
    """Serves methods by their full path, such as "/package.Service/Method", on one loopback port.

    `methods` are unary; of `streams` both sides send messages. `max_message` is in bytes. A client of HTTP/1 gets 503 with the text
    `to_http_1`. `admits` may refuse a peer, whose calls are then answered with PERMISSION_DENIED.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        streams: Mapping[str, StreamMethod] | None = None,
        *,
        max_message: int,
        to_http_1: str = "",
        admits: Admits | None = None,
    ) -> None:
        self.methods, self.streams = methods, streams or {}
        self.max_message, self.to_http_1, self.admits = max_message, to_http_1, admits
        self.connections: set[Http2Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; a free one for 0. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(lambda: Http2Connection(self), host, port, backlog=128)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def stop(self, grace: float) -> None:
        """Take no new call, let those under way end for `grace` seconds, then hang up."""
        if self._server is not None:
            self._server.close()
        for each in self.connections:
            each.go_away(0)
        under_way = {task for each in self.connections for task in each.tasks}
        if under_way and grace:
            await asyncio.wait(under_way, timeout=grace)
        for each in list(self.connections):
            each.close()
