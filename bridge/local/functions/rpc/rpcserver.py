"""The gRPC server of one worker, on a loopback port of its own.

A stream is taken from the worker alone: from a process of our own user that knows the id which its worker was started with, and once.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bridge.grpcserver import ALREADY_EXISTS, INVALID_ARGUMENT, PERMISSION_DENIED, GrpcError, GrpcServer, GrpcStream
from bridge.local.functions.httpserver import HOST
from bridge.local.functions.rpc import peers, protocol
from bridge.local.functions.rpc.protocol import StreamingMessage
from bridge.local.functions.rpc.settlementservice import Holder, SettlementService

log = logging.getLogger("bridge.functions")

LARGEST_MESSAGE = 134_217_728  #: bytes
_FIRST_MESSAGE = 60.0  #: seconds in which a stream must say whose it is
_STREAM = "/AzureFunctionsRpcMessages.FunctionRpc/EventStream"
_read = protocol.reader(StreamingMessage)


class RpcServer:
    """Serves the worker that was started with `worker_id`."""

    def __init__(self, worker_id: str, holder: Holder) -> None:
        """`holder` knows what the calls of the worker may settle."""
        self._worker_id = worker_id
        self._take: Callable[[Any], None] = lambda _message: None
        self.started = asyncio.get_running_loop().create_future()  #: set when the worker has connected
        self.ended = asyncio.Event()  #: set when its stream is over
        self.port = 0
        self._stream: GrpcStream | None = None
        self._unsent: list[bytes] = []  #: messages for a worker that has not connected yet
        methods = SettlementService(holder).methods()
        self._server = GrpcServer(methods, {_STREAM: self._serve}, max_message=LARGEST_MESSAGE, admits=self._admits)

    async def open(self) -> None:
        """Listen. Raises OSError if that is not possible."""
        self.port = await self._server.start(HOST, 0)

    async def close(self) -> None:
        """End the stream and listen no more."""
        await self._server.stop(grace=0)

    def take_with(self, take: Callable[[Any], None]) -> None:
        """Give each message that comes to `take`."""
        self._take = take

    def send(self, message: Any) -> None:
        """Send a message once the worker has connected."""
        written = message.SerializeToString()
        if self._stream is None:
            self._unsent.append(written)
        else:
            self._stream.send(written)

    def _admits(self, host: str, port: int) -> bool:
        """Whether a connection comes from a process of our own user."""
        if own := peers.is_own(host, port, self.port):
            return own
        log.warning("A process of another user has called the port of a worker, and was refused.")
        return False

    async def _serve(self, stream: GrpcStream) -> None:
        await self._check_start(stream)
        self._stream = stream
        self.started.set_result(None)
        for each in self._unsent:
            stream.send(each)
        self._unsent.clear()
        stream.take_with(self._received)
        try:
            await stream.over.wait()
        finally:
            self.ended.set()

    def _received(self, written: bytes) -> None:
        message = _read(written)
        if message is not None:
            self._take(message)
        elif self._stream is not None:
            log.error("A worker has sent what is no message of its protocol, so it is ended.")
            self._stream.close()

    async def _check_start(self, stream: GrpcStream) -> None:
        """Raises GrpcError for a stream that is not the worker's."""
        written: bytes | None = None
        with suppress(TimeoutError):
            written = await asyncio.wait_for(stream.read(), _FIRST_MESSAGE)
        first = _read(written) if written is not None else None
        if first is None or first.WhichOneof("content") != "start_stream":
            raise GrpcError(INVALID_ARGUMENT, "the first message must be StartStream")
        if not hmac.compare_digest(first.start_stream.worker_id.encode(), self._worker_id.encode()):
            log.warning("A process that does not know the id of a worker has called its port, and was refused.")
            raise GrpcError(PERMISSION_DENIED, "there is no worker with this id")
        if self._stream is not None:
            log.warning("A worker has opened a second stream, which was refused.")
            raise GrpcError(ALREADY_EXISTS, "this worker has a stream")
