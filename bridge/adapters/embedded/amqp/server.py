"""Listens for AMQP clients on a port, with or without TLS."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

from bridge.adapters.embedded.amqp.connection import AmqpConnection
from bridge.adapters.embedded.amqp.service import AmqpService
from bridge.adapters.embedded.amqp.websocket import FIRST_BYTE, WebSocketCarrier

_log = logging.getLogger("bridge.servicebus")
_TICK = 0.5  #: seconds between looks at the clocks of all connections
_QUIET = 60.0  #: seconds between two lines about clients that misbehave


class AmqpProtocol(asyncio.Protocol):
    """Moves bytes between a transport and a connection, and runs what the connection starts."""

    def __init__(self, server: AmqpServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False
        self._heard_any = False
        self._carrier: WebSocketCarrier | None = None
        self.connection = AmqpConnection(server.service, self, time.time)
        self.began = self.heard = self.spoke = self._loop.time()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._server.service.bounds.unread)
        if not self._server.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if not self._heard_any:
            self._heard_any = True
            self._carrier = WebSocketCarrier() if data[:1] == FIRST_BYTE else None
        self.heard = self._loop.time()
        try:
            self.connection.receive(data if self._carrier is None else self._carrier.unwrap(data))
        except Exception as fault:  # noqa: BLE001 - a mistake of ours must not end more than this connection
            self._break_off(fault)
        if self._carrier is not None:
            self.wake()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.connection.output.set_transport_full(True)

    def resume_writing(self) -> None:
        """The client reads on."""
        self.connection.output.set_transport_full(False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by position
        """The client is gone."""
        self._server.forget(self)
        self.connection.close(gone=True)
        for task in self._tasks:
            task.cancel()

    # --- host.Host

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine until the connection ends."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def wake(self) -> None:
        """Write the output at the end of this turn of the loop."""
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._waking = False
        output, carrier = self.connection.output.take(), self._carrier
        if self._transport is None or self._transport.is_closing():
            return
        data = b"".join(output) if carrier is None else carrier.wrap(output)
        if data:
            self.spoke = self._loop.time()
            self._transport.write(data)
        self.connection.output.written()
        if self.connection.is_over or (carrier is not None and carrier.is_over):
            self._hang_up(self._transport, carrier)

    def _hang_up(self, transport: asyncio.Transport, carrier: WebSocketCarrier | None) -> None:
        if self.connection.trouble:
            self._server.complain(self.connection.trouble)
        if carrier is not None:
            transport.write(carrier.close())
        transport.close()

    def let_read(self, more: bool) -> None:
        """Read on, or stop reading."""
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.resume_reading if more else self._transport.pause_reading)()

    def internal_error(self, fault: Exception) -> None:
        """Log a failure of the broker."""
        self._server.complain(f"the broker failed: {type(fault).__name__}: {fault}")
        _log.debug("The broker failed.", exc_info=fault)

    # --- time

    def tick(self, now: float) -> None:
        """Keep the connection alive, or end it or its links when their time is over."""
        try:
            self._tick(now)
        except Exception as fault:  # noqa: BLE001 - a mistake of ours must not end more than this connection
            self._break_off(fault)

    def _tick(self, now: float) -> None:
        bounds, connection = self._server.service.bounds, self.connection
        connection.drop_unauthorized()
        if not connection.is_open:
            if now - self.began > bounds.open_within:
                connection.fail("amqp:connection:forced", f"the connection was not opened within {bounds.open_within:g} s")
                self.wake()
        elif now - self.heard > 2 * bounds.idle:
            connection.fail("amqp:resource-limit-exceeded", f"nothing was heard for {2 * bounds.idle:g} s")
        elif connection.keep_alive and now - self.spoke + _TICK >= connection.keep_alive:
            connection.keep_alive_frame()

    def _break_off(self, fault: Exception) -> None:
        """End the connection at once, because of a mistake of the bridge."""
        self.internal_error(fault)
        if self._transport is not None:
            self._transport.abort()

    async def end(self) -> None:
        """Say that the server stops, and close."""
        self.connection.fail("amqp:connection:forced", "The broker stops.")
        self.connection.trouble = ""
        self._flush()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class AmqpServer:
    """A listening server; `port` is where."""

    def __init__(self, service: AmqpService) -> None:
        self.service = service
        self.port = 0
        self._protocols: set[AmqpProtocol] = set()
        self._complained = -_QUIET

    @classmethod
    @asynccontextmanager
    async def open(cls, service: AmqpService, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[AmqpServer]:
        """Listen until the end of the block. Raises OSError if the port cannot be used."""
        server = cls(service)
        listener = await asyncio.get_running_loop().create_server(lambda: AmqpProtocol(server), host, port, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        ticking = asyncio.create_task(server._tick())
        try:
            yield server
        finally:
            ticking.cancel()
            listener.close()
            await asyncio.gather(*(protocol.end() for protocol in list(server._protocols)))

    def admit(self, protocol: AmqpProtocol) -> bool:
        """Count a connection in; False if there are too many."""
        if len(self._protocols) >= self.service.bounds.connections:
            self.complain(f"more than {self.service.bounds.connections} connections at a time are not taken")
            return False
        self._protocols.add(protocol)
        return True

    def forget(self, protocol: AmqpProtocol) -> None:
        """A connection has ended."""
        self._protocols.discard(protocol)

    def complain(self, trouble: str) -> None:
        """Log what is wrong with a client, once a minute at most."""
        now = time.monotonic()
        if now - self._complained >= _QUIET:
            self._complained = now
            _log.warning("A Service Bus connection had to end, or the broker refused something: %s.", trouble)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK)
            self.service.load.links = sum(protocol.connection.link_count for protocol in self._protocols)
            for protocol in list(self._protocols):
                protocol.tick(loop.time())
