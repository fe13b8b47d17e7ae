"""Links to sessions: they wait until the session is locked, and are answered only then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridge.adapters.embedded.amqp.brokererrors import BrokerError, NotAllowed
from bridge.adapters.embedded.amqp.outbound import OutboundLink
from bridge.adapters.embedded.amqp.ports import SessionReceiver
from bridge.amqp import frames
from bridge.amqp.amqptypes import Described, Long, Symbol, ULong, ticks
from bridge.amqp.encode import NULL, compound, encode
from bridge.amqp.performatives import AttachFrame, FlowFrame
from bridge.amqp.scan import list_items, raw_items, skip

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.session import AmqpSession

_SESSION_FILTER, _SESSION_FILTER_CODE = "com.microsoft:session-filter", 0x137000000C
_NON_EXCLUSIVE = "com.microsoft:non-exclusive-session-filter"
_TIMEOUT, _LOCKED_UNTIL = "com.microsoft:timeout", "com.microsoft:locked-until-utc"
_PATIENCE, _LONGEST_PATIENCE = 60.0, 600.0  #: seconds that a client waits for the next session, where it does not say


def refuse(session: AmqpSession, frame: AttachFrame, condition: str, description: str) -> None:
    """Say that the link cannot be attached, and why."""
    session.write(frames.attached(session.channel, frame, source=NULL, target=NULL))
    session.write_detach(frame.handle or 0, condition, description)


class SessionWanted:
    """The session that a client asks for. `key` is that of the filter; `described` tells in which of its two forms the filter came."""

    __slots__ = ("described", "key", "session_id")

    def __init__(self, key: Any, filtered: Any) -> None:
        self.key = key
        self.described = isinstance(filtered, Described)
        value = filtered.value if isinstance(filtered, Described) else filtered
        if value is not None and not isinstance(value, str):
            raise NotAllowed(f"A session id is a text, and this one is {str(value)[:100]!r}.")
        self.session_id = value

    def chosen(self, session_id: str) -> bytes:
        """The filter set that names the session, in the form in which it came."""
        value = Described(ULong(_SESSION_FILTER_CODE), session_id) if self.described else session_id
        return encode({Symbol(self.key): value})


def session_wanted(frame: AttachFrame) -> SessionWanted | None:
    """The session that an attach asks for, if it asks for one. Raises NotAllowed."""
    fields = frame.source.value if frame.source is not None else []
    filters = fields[7] if len(fields) > 7 and isinstance(fields[7], dict) else {}
    if _NON_EXCLUSIVE in filters:
        raise NotAllowed(f"The link '{frame.name}' contains invalid filter type. Sessions that are not exclusive are not supported here.")
    return next((SessionWanted(name, value) for name, value in filters.items() if name == _SESSION_FILTER), None)


class PendingLink:
    """A link to a session that waits until the session is locked. It is answered only then."""

    receiver = None

    def __init__(self, session: AmqpSession, frame: AttachFrame, link: OutboundLink, wanted: SessionWanted) -> None:
        self.session, self.handle, self.address = session, link.handle, link.address
        self._frame, self._link, self._wanted = frame, link, wanted
        self._task: asyncio.Task[None] | None = None
        self._credit: FlowFrame | None = None

    def start(self, source: bytes, target: bytes) -> None:
        """Wait for the session."""
        self.session.links[self.handle] = self
        self._task = self.session.connection.spawn(self._accept(source, target))

    async def _accept(self, source: bytes, target: bytes) -> None:
        asked = (self._frame.properties or {}).get(_TIMEOUT)
        patience = min(asked / 1000, _LONGEST_PATIENCE) if isinstance(asked, int) else _PATIENCE
        connection, link = self.session.connection, self._link
        receiver: SessionReceiver | None = None
        try:
            receiver = await connection.service.broker.accept_session(
                link.address, self._wanted.session_id, push=link.push, receive_and_delete=link.settled, patience=patience
            )
        except BrokerError as fault:
            self._refuse(fault)
        except Exception as fault:  # noqa: BLE001 - whatever the broker raises, the client waits for an answer
            self._refuse(connection.internal_error(fault))
        if receiver is not None:
            self._attached(receiver, source, target)

    def _refuse(self, fault: BrokerError) -> None:
        if self.session.links.pop(self.handle, None) is self:
            refuse(self.session, self._frame, fault.condition, str(fault))

    def _attached(self, receiver: SessionReceiver, source: bytes, target: bytes) -> None:
        if self.session.links.get(self.handle) is not self:
            receiver.close()
            return
        link = self._link
        link.receiver = receiver
        link.session_id = receiver.session_id
        self.session.links[self.handle] = link
        self.session.connection.write(
            frames.attached(
                self.session.channel,
                self._frame,
                source=_with_filter(source, self._wanted.chosen(receiver.session_id)),
                target=target,
                properties={Symbol(_LOCKED_UNTIL): Long(ticks(receiver.locked_until))},
            )
        )
        if self._credit is not None:
            link.flow(self._credit)

    def flow(self, asked: FlowFrame) -> None:
        """Keep the credit for the time when the session is there."""
        self._credit = asked

    def hold(self) -> None:
        """There is nothing to hold back yet."""

    supply = hold

    def close(self, *, gone: bool = False) -> None:
        """Drop the wait."""
        del gone
        if self._task is not None:
            self._task.cancel()


def _with_filter(source: bytes, filters: bytes) -> bytes:
    """The source with its filter set replaced."""
    start = skip(source, 1)  # behind the descriptor
    items = raw_items(source, *list_items(source, start)[:2])
    items[7] = filters
    return source[:start] + compound(0xC0, items)
