"""What the local functions host would serve a worker with if it used the usual library: `grpc.aio`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc

from bridge.local.functions.rpc.protocol import StreamingMessage
from bridge.local.functions.rpc.rpcserver import RpcServer


class GrpcAioServer(RpcServer):
    """Takes the stream of one worker, whoever it is."""

    async def open(self) -> None:
        """Listen on a free port of loopback."""
        stream = grpc.stream_stream_rpc_method_handler(self._both, StreamingMessage.FromString, StreamingMessage.SerializeToString)
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._library = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        self._library.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("AzureFunctionsRpcMessages.FunctionRpc", {"EventStream": stream})]
        )
        self.port = self._library.add_insecure_port("127.0.0.1:0")
        await self._library.start()

    async def close(self) -> None:
        """Listen no more."""
        await self._library.stop(None)

    def send(self, message: Any) -> None:
        """Send a message."""
        self._messages.put_nowait(message)

    async def _both(self, _requests: Any, context: Any) -> None:
        await context.read()  # StartStream
        self.started.set_result(None)
        writing = asyncio.create_task(self._write(context))
        with suppress(asyncio.CancelledError):
            while (message := await context.read()) is not grpc.aio.EOF:
                self._take(message)
        writing.cancel()
        self.ended.set()

    async def _write(self, context: Any) -> None:
        while True:
            await context.write(await self._messages.get())
