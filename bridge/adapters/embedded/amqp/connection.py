"""One AMQP connection as a state machine: it is fed with bytes and hands out bytes, and does no I/O itself."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from bridge.adapters.embedded.amqp.access import Access
from bridge.adapters.embedded.amqp.brokererrors import BrokerError
from bridge.adapters.embedded.amqp.host import Host, Output
from bridge.adapters.embedded.amqp.outcomes import ACCEPTED, error, rejected
from bridge.adapters.embedded.amqp.protocolfault import ProtocolFault, SessionFault
from bridge.adapters.embedded.amqp.sas import Grant, knows_key
from bridge.adapters.embedded.amqp.session import AmqpSession, Link
from bridge.adapters.embedded.amqp.terminus import CBS
from bridge.amqp import frames, performatives
from bridge.amqp.encode import NULL
from bridge.amqp.frames import AMQP_HEADER, EMPTY_FRAME, LARGEST_FRAME, SASL_HEADER
from bridge.amqp.performatives import (
    AttachFrame,
    BeginFrame,
    CloseFrame,
    DetachFrame,
    DispositionFrame,
    EndFrame,
    FlowFrame,
    OpenFrame,
    Performative,
    SaslInit,
    TransferFrame,
)
from bridge.amqp.scan import BadEncoding, list_items, raw_items

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.service import AmqpService

_FRAME = struct.Struct(">IBBH").unpack_from
_SESSIONS_OF_STRANGERS = 32  #: sessions of a client that has shown no token yet
_OF_A_SESSION = frozenset((AttachFrame, FlowFrame, TransferFrame, DispositionFrame, DetachFrame, EndFrame))
_COST = 1024  #: bytes that a message under way counts for beyond its own


class Stage(Enum):
    """What is expected next from the client."""

    SASL_HEADER = auto()
    SASL_INIT = auto()
    AMQP_HEADER = auto()
    OPEN = auto()
    FRAMES = auto()
    NOTHING = auto()


class AmqpConnection:
    """Speaks with one client. `clock` gives seconds since 1970."""

    def __init__(self, service: AmqpService, host: Host, clock: Callable[[], float]) -> None:
        self.service, self.access = service, Access(service.keys, clock)
        self.spawn = host.spawn
        self.largest_frame = LARGEST_FRAME
        self.keep_alive = 0.0
        self.stage = Stage.SASL_HEADER
        self.trouble = ""
        self._host = host
        self._rest = b""
        self._sessions: dict[int, AmqpSession] = {}
        self._ended: set[int] = set()  # channels whose session has ended; clients go on writing to them for a while
        self._unstored = self._partial = 0
        self._reads = True
        self.output = Output(service.bounds.unread, host.wake, self._on_full)
        self.write = self.output.write

    # --- what comes in

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be said; the transport is to be closed once the output is written."""
        return self.stage is Stage.NOTHING

    @property
    def is_open(self) -> bool:
        """Whether the client has got as far as opening."""
        return self.stage is Stage.FRAMES

    def receive(self, data: bytes) -> None:
        """Take bytes from the client. Whatever they are, nothing is raised."""
        if self.is_over:
            return
        try:
            self._rest = self._consume(self._rest + data if self._rest else data)
        except BadEncoding as fault:
            self.fail("amqp:decode-error", str(fault))
        except ProtocolFault as fault:
            self.fail(fault.condition, str(fault))

    def _consume(self, data: bytes) -> bytes:
        position, length = 0, len(data)
        while length - position >= 8 and not self.is_over:
            if self.stage is Stage.SASL_HEADER or self.stage is Stage.AMQP_HEADER:
                self._header(data[position : position + 8])
                position += 8
                continue
            size, offset, kind, channel = _FRAME(data, position)
            if not 8 <= offset * 4 <= size <= LARGEST_FRAME:
                raise ProtocolFault("amqp:connection:framing-error", f"a frame of {size} bytes with its body at {offset * 4} is not taken")
            end = position + size
            if end > length:
                break
            body = position + offset * 4
            if body < end:
                self._frame(kind, channel, data, body, end)
            position = end
        return data[position:]

    def _header(self, header: bytes) -> None:
        expected = SASL_HEADER if self.stage is Stage.SASL_HEADER else AMQP_HEADER
        self.write(expected)
        if header != expected:
            self.trouble = "it does not begin with the header of AMQP 1.0 with SASL"
            self.stage = Stage.NOTHING
        elif expected is SASL_HEADER:
            self.write(frames.mechanisms(["MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL"]))
            self.stage = Stage.SASL_INIT
        else:
            self.stage = Stage.OPEN

    def _frame(self, kind: int, channel: int, data: bytes, body: int, end: int) -> None:
        performative, payload = performatives.read(data, body, end)
        form = type(performative)
        if channel in self._ended and form in _OF_A_SESSION:
            return
        if form is TransferFrame and self.stage is Stage.FRAMES:
            self._in_session(channel, lambda: self._session(channel).transfer(performative, data[payload:end]))  # type: ignore[arg-type]
            return
        if (kind == frames.SASL) is not (form is SaslInit):
            raise ProtocolFault("amqp:connection:framing-error", "a SASL frame and an AMQP frame were mixed up")
        if form is AttachFrame:
            source, target = self._termini(data, body)
            self._in_session(channel, lambda: self._session(channel).attach(performative, source, target))  # type: ignore[arg-type]
            return
        self._in_session(channel, lambda: self._handle(channel, performative))

    def _in_session(self, channel: int, act: Callable[[], None]) -> None:
        try:
            act()
        except SessionFault as fault:
            self._end(channel)
            self.write(frames.ended(channel, error(fault.condition, str(fault))))

    def _handle(self, channel: int, performative: Performative) -> None:
        stage = {SaslInit: Stage.SASL_INIT, OpenFrame: Stage.OPEN}.get(type(performative), Stage.FRAMES)
        if self.stage is not stage and not (isinstance(performative, CloseFrame) and self.stage is Stage.OPEN):
            raise ProtocolFault("amqp:illegal-state", f"{type(performative).__name__} cannot come now")
        match performative:
            case DispositionFrame():
                self._session(channel).disposition(performative)
            case FlowFrame():
                self._session(channel).flow(performative)
            case DetachFrame():
                self._session(channel).detach(performative)
            case BeginFrame():
                self._begin(channel, performative)
            case EndFrame():
                self._session(channel)
                self._end(channel)
                self.write(frames.ended(channel))
            case SaslInit():
                self._sasl(performative)
            case OpenFrame():
                self._open(performative)
            case CloseFrame():
                self._close()

    def _termini(self, data: bytes, body: int) -> tuple[bytes, bytes]:
        """Source and target of an attach as they were encoded."""
        items = raw_items(data, *list_items(data, body + 3)[:2])
        items += [NULL] * (7 - len(items))
        return items[5], items[6]

    def _session(self, channel: int) -> AmqpSession:
        session = self._sessions.get(channel)
        if session is None:
            raise ProtocolFault("amqp:not-found", f"no session has the channel {channel}")
        return session

    # --- connection and sessions

    def _sasl(self, init: SaslInit) -> None:
        known = True
        if init.mechanism == "PLAIN":
            _, name, key = (*(init.initial_response or b"").decode("utf-8", "replace").split("\0"), "", "", "")[:3]
            known = knows_key(name, key, self.service.keys)
            if known:
                self.access.allow(Grant("", float("inf")))
        elif init.mechanism not in ("MSSBCBS", "ANONYMOUS", "EXTERNAL"):
            known = False
        self.write(frames.outcome(0 if known else 1))
        self.stage = Stage.AMQP_HEADER if known else Stage.NOTHING
        self.trouble = "" if known else "its key is wrong"

    def _open(self, asked: OpenFrame) -> None:
        if asked.max_frame_size is not None:
            self.largest_frame = min(max(asked.max_frame_size, frames.SMALLEST_FRAME), LARGEST_FRAME)
        self.keep_alive = (asked.idle_time_out or 0) / 2000
        bounds = self.service.bounds
        self.write(frames.opened(self.service.container, bounds.sessions - 1, int(bounds.idle * 1000)))
        self.stage = Stage.FRAMES

    def _begin(self, channel: int, asked: BeginFrame) -> None:
        bounds = self.service.bounds
        if not self.access.any_grant and len(self._sessions) >= _SESSIONS_OF_STRANGERS:
            raise ProtocolFault("amqp:unauthorized-access", "put a token to $cbs before more sessions")
        if channel in self._sessions or channel >= bounds.sessions:
            raise ProtocolFault("amqp:not-allowed", f"the channel {channel} is in use or larger than channel-max {bounds.sessions - 1}")
        self._ended.discard(channel)
        session = self._sessions[channel] = AmqpSession(self, channel, asked)
        self.write(frames.begun(channel, session.window, bounds.links - 1))

    def _end(self, channel: int) -> None:
        session = self._sessions.pop(channel, None)
        if session is not None:
            self._ended.add(channel)
            session.close()

    def _close(self) -> None:
        self.close()
        self.write(frames.closed())
        self.stage = Stage.NOTHING

    def fail(self, condition: str, description: str) -> None:
        """Close the connection and say why."""
        if self.is_over:
            return
        self.trouble = description
        if self.stage in (Stage.OPEN, Stage.FRAMES):
            if self.stage is Stage.OPEN:
                self.write(frames.opened(self.service.container, 0, 0))
            self.write(frames.closed(error(condition, description)))
        self.close(gone=True)
        self.stage = Stage.NOTHING

    def close(self, *, gone: bool = False) -> None:
        """Close all sessions; `gone` where the client has not said goodbye."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close(gone=gone)

    def links(self) -> Iterator[Link]:
        """All links."""
        for session in self._sessions.values():
            yield from session.links.values()

    @property
    def link_count(self) -> int:
        """How many links there are in all sessions."""
        return sum(len(session.links) for session in self._sessions.values())

    def drop_unauthorized(self) -> None:
        """Detach links whose token has expired."""
        if not self.access.forget_expired():
            return
        for session in list(self._sessions.values()):
            for link in list(session.links.values()):
                if link.address.lower() != CBS and not self.access.allows(link.address):
                    session.detach_link(link, "amqp:unauthorized-access", f"The token for '{link.address}' has expired.")

    def keep_alive_frame(self) -> None:
        """Tell the client that the connection is alive."""
        if self.stage is Stage.FRAMES:
            self.write(EMPTY_FRAME)

    # --- bounds and errors

    def _on_full(self) -> None:
        """Deliver nothing to a client that reads too slowly, and read nothing from it."""
        self._update_reading()
        for session in list(self._sessions.values()):
            if self.output.is_full:
                session.hold()
            else:
                session.resume()

    def charge(self, size: int) -> None:
        """Count bytes of messages and requests that are under way; too many stop the reading until some are done."""
        self._unstored += size + (_COST if size > 0 else -_COST)
        self._update_reading()

    def _update_reading(self) -> None:
        """Read nothing more from a client that sends faster than is stored, or does not read what it is answered."""
        reads = self._unstored <= self.service.bounds.unstored and not self.output.is_full
        if reads is not self._reads:
            self._reads = reads
            self._host.let_read(reads)

    def count_partial(self, size: int) -> None:
        """Count bytes of messages of which a part has come. Raises ProtocolFault beyond the bound."""
        self._partial += size
        if self._partial > self.service.bounds.partial:
            raise ProtocolFault("amqp:resource-limit-exceeded", f"more than {self.service.bounds.partial} bytes of unfinished messages")

    async def attempt(self, work: Coroutine[Any, Any, Any], done: bytes = ACCEPTED) -> bytes:
        """Do something with the broker: `done`, or the state that says why it was refused."""
        try:
            await work
        except BrokerError as fault:
            return rejected(fault)
        except Exception as fault:  # noqa: BLE001 - whatever the broker raises, the client waits for an answer
            return rejected(self.internal_error(fault))
        return done

    def internal_error(self, fault: Exception) -> BrokerError:
        """What the client is told of a failure of the broker; the failure itself goes to the log."""
        self._host.internal_error(fault)
        return BrokerError("The broker failed; its log says why. Try again.")
