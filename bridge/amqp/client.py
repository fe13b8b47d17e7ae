"""One AMQP connection from the side of the client: it opens it, keeps it alive, and has one session with all links."""

from __future__ import annotations

import asyncio
import ssl
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

from bridge.amqp import clientframes, frames, performatives
from bridge.amqp.clientframes import WINDOW, PeerError
from bridge.amqp.clientlinks import ClientLink, ReceiverLink, SenderLink
from bridge.amqp.performatives import (
    ROLE_RECEIVER,
    SERIAL,
    AttachFrame,
    BeginFrame,
    CloseFrame,
    DetachFrame,
    DispositionFrame,
    EndFrame,
    FlowFrame,
    OpenFrame,
    SaslMechanisms,
    SaslOutcome,
    TransferFrame,
)
from bridge.amqp.scan import BadEncoding

_HEADER = struct.Struct(">IBBH").unpack_from
_IDLE = 60.0  #: seconds; a peer of which nothing is heard for twice as long is taken to be gone
_TICK = 1.0  #: seconds between two looks at the clock
_GOODBYE = 2.0  #: seconds that the peer may take to answer a close


class AmqpClient(asyncio.Protocol):
    """A connection. `ended` has the reason as its result once it is gone; every link ends with it."""

    def __init__(self, hostname: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[PeerError] = self.loop.create_future()
        self._opened: asyncio.Future[None] = self.loop.create_future()
        self._hostname = hostname
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._greeted = 0  # protocol headers that have come
        self._out: list[bytes] = []
        self._links: dict[int, ClientLink] = {}
        self._remote: dict[int, ClientLink] = {}
        self._next_incoming = self._next_outgoing = self._next_delivery = 0
        self._window = 0
        self._largest = frames.SMALLEST_FRAME
        self._keep_alive = 0.0
        self._heard = self._spoke = self.loop.time()
        self._ticking: asyncio.TimerHandle | None = None
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            SaslMechanisms: lambda _: self._write(clientframes.anonymous(hostname)),
            SaslOutcome: self._sasl_ended,
            OpenFrame: self._open,
            BeginFrame: self._begin,
            AttachFrame: self._attach,
            FlowFrame: self._flow,
            DispositionFrame: self._disposition,
            DetachFrame: self._detach,
            EndFrame: lambda frame: self._fail(PeerError.read(frame.error, "the broker ended the session")),
            CloseFrame: self._closed,
        }

    @classmethod
    async def connect(cls, host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> AmqpClient:
        """Open a connection. Raises PeerError, OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            _, client = await loop.create_connection(lambda: cls(host), host, port, ssl=tls)
            try:
                await client._opened
            except BaseException:
                client.abort()
                raise
        return client

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The peer is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._write(frames.SASL_HEADER)
        self._ticking = self.loop.call_later(_TICK, self._tick)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._heard = self.loop.time()
        try:
            self._rest = self._consume(self._rest + data if self._rest else data)
        except (BadEncoding, PeerError) as fault:
            self._fail(PeerError(f"the broker sent what is not AMQP as it is known here: {fault}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._fail(PeerError(str(exc) if exc else "the broker closed the connection"))

    def _consume(self, data: bytes) -> bytes:
        position, length = 0, len(data)
        while length - position >= 8 and not self.ended.done():
            if data[position : position + 4] == b"AMQP":
                self._greet(data[position : position + 8])
                position += 8
                continue
            size, offset, _, _ = _HEADER(data, position)
            if not 8 <= offset * 4 <= size <= frames.LARGEST_FRAME:
                raise PeerError(f"a frame of {size} bytes")
            end, body = position + size, position + offset * 4
            if end > length:
                break
            if body < end:
                frame, payload = performatives.read(data, body, end)
                if type(frame) is TransferFrame:
                    self._transfer(frame, data[payload:end])
                else:
                    self._handle(frame)
            position = end
        return data[position:]

    def _greet(self, header: bytes) -> None:
        expected = frames.AMQP_HEADER if self._greeted else frames.SASL_HEADER
        if header != expected:
            raise PeerError("it is no AMQP 1.0 with SASL")
        self._greeted += 1

    def _handle(self, frame: object) -> None:
        handler = self._handlers.get(type(frame))
        if handler is None:
            raise PeerError(f"{type(frame).__name__} from a broker")
        handler(frame)

    # --- connection and session

    def _sasl_ended(self, frame: SaslOutcome) -> None:
        if frame.code:
            self._fail(PeerError("the broker refuses clients that show who they are by a token", "amqp:unauthorized-access"))
            return
        self._write(frames.AMQP_HEADER + clientframes.open_and_begin(f"automation-bridge-{uuid.uuid4().hex[:12]}", self._hostname, _IDLE))

    def _open(self, frame: OpenFrame) -> None:
        if frame.max_frame_size is not None:
            self._largest = min(max(frame.max_frame_size, frames.SMALLEST_FRAME), frames.LARGEST_FRAME)
        self._keep_alive = (frame.idle_time_out or 0) / 2000

    def _begin(self, frame: BeginFrame) -> None:
        self._next_incoming = frame.next_outgoing_id or 0
        self._window = frame.incoming_window or 0
        if not self._opened.done():
            self._opened.set_result(None)

    def _closed(self, frame: CloseFrame) -> None:
        self._write(frames.closed())
        self._flush()
        self._fail(PeerError.read(frame.error, "the broker closed the connection"))

    def _fail(self, why: PeerError) -> None:
        if self.ended.done():
            return
        self.ended.set_result(why)
        if not self._opened.done():
            self._opened.set_exception(why)
            self._opened.exception()
        if self._ticking is not None:
            self._ticking.cancel()
        links, self._links = self._links, {}
        self._remote.clear()
        for link in links.values():
            link.end(why)
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._fail(PeerError("this side has ended the connection"))
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Say goodbye and wait a little for the answer."""
        if not self.ended.done():
            self._write(frames.closed())
            await asyncio.wait({self.ended}, timeout=_GOODBYE)
        self.abort()

    def _tick(self) -> None:
        now = self.loop.time()
        if now - self._heard > 2 * _IDLE:
            self._fail(PeerError(f"nothing was heard of the broker for {2 * _IDLE:g} s"))
            return
        if self._keep_alive and now - self._spoke + _TICK >= self._keep_alive:
            self._write(frames.EMPTY_FRAME)
        self._ticking = self.loop.call_later(_TICK, self._tick)

    # --- links

    async def attach(self, link: ClientLink) -> AttachFrame:
        """Attach a link; returns what the peer answered. Raises PeerError."""
        if self.ended.done():
            raise self.ended.result()
        link.handle = next(handle for handle in range(len(self._links) + 1) if handle not in self._links)
        self._links[link.handle] = link
        self._write(link.attach_frame())
        try:
            return await asyncio.shield(link.attached)
        except asyncio.CancelledError:
            self.detach(link)
            raise

    def detach(self, link: ClientLink) -> None:
        """Detach a link. Its handle is free again when the peer has answered."""
        if not link.detached.done():
            link.end(PeerError("this side has detached the link"))
            if not self.ended.done():
                self._write(frames.detached(0, link.handle))

    def _attach(self, frame: AttachFrame) -> None:
        link = next((each for each in self._links.values() if each.name == frame.name), None)
        if link is None:
            raise PeerError("an answer to an attach that was not asked for")
        if frame.handle is not None:
            self._remote[frame.handle] = link
        link.take_attach(frame)

    def _detach(self, frame: DetachFrame) -> None:
        link = self._remote.pop(frame.handle if frame.handle is not None else -1, None)
        if link is None:
            return
        if not link.detached.done():
            link.end(PeerError.read(frame.error, "the broker detached the link"))
            self._write(frames.detached(0, link.handle))
        self._links.pop(link.handle, None)

    def _flow(self, frame: FlowFrame) -> None:
        if frame.incoming_window is not None:
            window = ((frame.next_incoming_id or 0) + frame.incoming_window - self._next_outgoing) % SERIAL
            self._window = window if window < SERIAL // 2 or frame.incoming_window >= SERIAL // 2 else 0
        if frame.handle is None:
            self._pump()
            if frame.echo:
                self.write_flow()
            return
        link = self._remote.get(frame.handle)
        if link is not None:
            link.flow(frame)

    def _pump(self) -> None:
        for link in list(self._links.values()):
            if isinstance(link, SenderLink):
                link.pump()

    def _transfer(self, frame: TransferFrame, payload: bytes) -> None:
        self._next_incoming = (self._next_incoming + 1) % SERIAL
        link = self._remote.get(frame.handle if frame.handle is not None else -1)
        if link is not None and not link.detached.done():
            link.transfer(frame, payload)

    def _disposition(self, frame: DispositionFrame) -> None:
        """The peer tells about messages that it received, or confirms how deliveries of its own were settled."""
        first = frame.first or 0
        count = ((frame.last if frame.last is not None else first) - first) % SERIAL + 1
        if count > WINDOW or (not frame.settled and frame.state is None):
            return
        for link in list(self._links.values()):
            if frame.role is ROLE_RECEIVER and isinstance(link, SenderLink):
                link.outcomes(first, count, frame.state)
            elif frame.role is not ROLE_RECEIVER and isinstance(link, ReceiverLink):
                link.confirmed(first, count, frame.state)

    # --- what goes out

    @property
    def may_send(self) -> bool:
        """Whether the peer's window is open."""
        return self._window > 0

    def send(self, link: SenderLink, message: bytes) -> int:
        """Send one message over a link; returns the number that its outcome will name."""
        number = self._next_delivery
        self._next_delivery = (number + 1) % SERIAL
        tag = number.to_bytes(16, "big")
        for part in frames.transfers(0, link.handle, number, tag, message, settled=False, largest=self._largest):
            self._window -= 1
            self._next_outgoing = (self._next_outgoing + 1) % SERIAL
            self._write(part)
        return number

    def settle(self, delivery_id: int, state: bytes, *, settled: bool = False) -> None:
        """Tell the peer the state of a delivery. Unless it is `settled`, the peer confirms it."""
        self._write(frames.disposition(0, ROLE_RECEIVER, delivery_id, delivery_id, state, settled=settled))

    def write_flow(self, link: tuple[int, int, int] | None = None, *, drain: bool = False) -> None:
        """Tell the peer the windows and, for a link, its handle, delivery count and credit."""
        self._write(frames.flow(0, (self._next_incoming, WINDOW, self._next_outgoing), link, drain=drain))

    def _write(self, frame: bytes) -> None:
        """Write a frame at the end of this turn of the loop, with all others of the turn."""
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        output, self._out = self._out, []
        if output and self._transport is not None and not self._transport.is_closing():
            self._spoke = self.loop.time()
            self._transport.write(b"".join(output))
