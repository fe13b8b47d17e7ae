"""The gRPC server of one worker, on a loopback port of its own.

A stream is taken from the worker alone: from a process of our own user that knows the id which its worker was started with, and once.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # programs are started while it serves, and none of them uses grpc
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what a worker does wrong is told by this host, in its own words

import grpc

from bridge.local.functions.httpserver import HOST
from bridge.local.functions.rpc import peers, protocol
from bridge.local.functions.rpc.protocol import StreamingMessage
from bridge.local.functions.rpc.settlementservice import Holder, SettlementService

log = logging.getLogger("bridge.functions")

LARGEST_MESSAGE = 134_217_728  #: bytes
_FIRST_MESSAGE = 60.0  #: seconds in which a stream must say whose it is
_LAST_WRITE = 1.0  #: seconds in which the end of a stream waits for what is being written
_SERVICE = "AzureFunctionsRpcMessages.FunctionRpc"


class RpcServer:
    """Serves the worker that was started with `worker_id`."""

    def __init__(self, worker_id: str, holder: Holder) -> None:
        """`holder` knows what the calls of the worker may settle."""
        self._worker_id = worker_id
        self._settlement = SettlementService(self.refuse_strangers, holder)
        self._take: Callable[[Any], None] = lambda _message: None
        self.started = asyncio.get_running_loop().create_future()  #: set when the worker has connected
        self.ended = asyncio.Event()  #: set when its stream is over
        self.port = 0
        self._taken = False
        self._unsent: deque[Any] = deque()
        self._news = asyncio.Event()
        self._server: Any = None

    async def open(self) -> None:
        """Listen. Raises OSError if that is not possible."""
        limits = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=limits)
        read, write = protocol.reader(StreamingMessage), StreamingMessage.SerializeToString
        stream = grpc.stream_stream_rpc_method_handler(self._stream, read, write)
        handlers = [grpc.method_handlers_generic_handler(_SERVICE, {"EventStream": stream}), self._settlement.handlers()]
        self._server.add_generic_rpc_handlers(handlers)
        try:
            self.port = self._server.add_insecure_port(f"{HOST}:0")
        except RuntimeError as problem:
            raise OSError(f"no port for the worker: {problem}") from problem
        await self._server.start()

    async def close(self) -> None:
        """End the stream and listen no more."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None  # grpc wants the loop for its end, so it must not outlive it

    def take_with(self, take: Callable[[Any], None]) -> None:
        """Give each message that comes to `take`."""
        self._take = take

    def send(self, message: Any) -> None:
        """Send a message once the worker has connected."""
        self._unsent.append(message)
        self._news.set()

    async def refuse_strangers(self, context: Any) -> None:
        """Abort the call of a process that belongs to another user."""
        if not await asyncio.to_thread(peers.is_own, context.peer(), self.port):
            log.warning("A process of another user has called the port of a worker, and was refused.")
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this port is for a worker of another user")

    async def _stream(self, requests: Any, context: Any) -> None:
        del requests
        await self.refuse_strangers(context)
        await self._check_start(context)
        writing = asyncio.create_task(self._write(context))
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                if message is None:
                    log.error("A worker has sent what is no message of its protocol, so it is ended.")
                    return
                self._take(message)
        except asyncio.CancelledError:
            return  # the stream is over; grpc would log the cancellation as an error of this host
        finally:
            self.ended.set()
            self._news.set()
            writing.add_done_callback(lambda _: writing.cancelled() or writing.exception())  # it fails where the stream is gone
            await asyncio.wait({writing}, timeout=_LAST_WRITE)  # grpc cannot end a stream while it writes
            writing.cancel()

    async def _check_start(self, context: Any) -> None:
        """Abort a stream that is not the worker's."""
        first: Any = None
        with suppress(TimeoutError):
            first = await asyncio.wait_for(context.read(), _FIRST_MESSAGE)
        if first is None or first is grpc.aio.EOF or first.WhichOneof("content") != "start_stream":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be StartStream")
        if not hmac.compare_digest(first.start_stream.worker_id.encode(), self._worker_id.encode()):
            log.warning("A process that does not know the id of a worker has called its port, and was refused.")
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "there is no worker with this id")
        if self._taken:
            log.warning("A worker has opened a second stream, which was refused.")
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "this worker has a stream")
        self._taken = True
        self.started.set_result(None)

    async def _write(self, context: Any) -> None:
        while True:
            while self._unsent:
                await context.write(self._unsent.popleft())
            if self.ended.is_set():
                return
            self._news.clear()
            await self._news.wait()
