"""Receives from an entity with sessions: several at a time, each from one receiver only and in its order."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any

from bridge.amqp.amqptypes import TICKS_BEFORE_1970, Described, Symbol, UInt, time_of
from bridge.amqp.clientframes import PeerError
from bridge.amqp.clientlinks import LinkDelivery, ReceiverLink
from bridge.amqp.performatives import AttachFrame
from bridge.local.functions.feed import Wanted
from bridge.local.functions.servicebus.brokerconnection import BrokerConnection, seconds_until
from bridge.local.functions.servicebus.entityreceiver import Attaching, LinkCredit, TakeDelivery
from bridge.local.functions.servicebus.tokens import TokenError

log = logging.getLogger("bridge.functions")

_FILTER, _TIMEOUT, _LOCKED_UNTIL = "com.microsoft:session-filter", "com.microsoft:timeout", "com.microsoft:locked-until-utc"
_ACCEPT_SECONDS = 59.9  #: that the broker waits for a session, as Azure's host asks
_NONE_CAME = frozenset({"com.microsoft:timeout"})
_USUAL_LOCK = 30.0  #: seconds, where the broker does not say
_SHORTEST_RENEWAL = 0.5  #: seconds between two renewals, at least
_DRAIN_SECONDS = 0.2  #: in which messages that are on their way still come


class SessionsReceiver:
    """Implements `Receiving` for a queue or subscription with sessions."""

    def __init__(self, entity: str, wanted: Wanted, take: TakeDelivery) -> None:
        self.entity = entity
        self._take, self._wanted = take, wanted
        self._open: dict[ReceiverLink, LockedSession] = {}
        self._left = False

    async def run(self, connection: BrokerConnection) -> None:
        """See `Receiving`."""
        await asyncio.gather(*(self._accept(connection) for _ in range(self._wanted.sessions)))

    async def _accept(self, connection: BrokerConnection) -> None:
        """Take one session after the other."""
        link_of = Attaching(self.entity, connection)
        while not self._left:
            link = await link_of.attached(lambda: self._link(connection), quiet=_NONE_CAME)
            session = self._open[link] = LockedSession(connection, link, LinkCredit(self._wanted.credit))
            try:
                if not self._left:
                    await session.run(self._wanted.session_idle)
            finally:
                del self._open[link]
                connection.client.detach(link)

    def _link(self, connection: BrokerConnection) -> ReceiverLink:
        asked = {Symbol(_TIMEOUT): UInt(int(_ACCEPT_SECONDS * 1000))}
        return ReceiverLink(connection.client, self.entity, self._delivered, filters={Symbol(_FILTER): None}, properties=asked)

    def _delivered(self, delivery: LinkDelivery) -> None:
        session = self._open[delivery.link]
        session.credit.taken()
        self._take(self, delivery, session)

    def settled(self, delivery: LinkDelivery) -> None:
        """See `Receiving`."""
        session = self._open.get(delivery.link)
        if session is not None:
            session.credit.settled()

    def pause(self) -> None:
        """See `Receiving`."""
        for session in self._open.values():
            session.credit.pause()

    def resume(self) -> None:
        """See `Receiving`."""
        for session in self._open.values():
            session.credit.resume()

    def leave(self) -> None:
        """See `Receiving`."""
        self._left = True
        for session in self._open.values():
            session.credit.stop()


class LockedSession:
    """A session that is locked, and kept locked until its messages are done."""

    def __init__(self, connection: BrokerConnection, link: ReceiverLink, credit: LinkCredit) -> None:
        self.credit = credit
        self._connection, self._link = connection, link
        self.session_id, self.until = _session_of(link.attached.result())
        self._released = False

    async def run(self, idle: float) -> None:
        """Let messages come until none has come for `idle` seconds, or the link is gone."""
        renewing = asyncio.create_task(self._keep_locked())
        try:
            self.credit.start(self._link)
            await self._until_idle(idle)
        finally:
            renewing.cancel()

    async def _until_idle(self, idle: float) -> None:
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not self._link.detached.done():
            await asyncio.wait({self._link.detached}, timeout=min(max(idle / 10, 0.05), 1.0))
            if self.credit.unsettled:
                quiet_since = loop.time()
            if (self._released or loop.time() - quiet_since >= idle) and not self.credit.unsettled and await self._drained():
                return

    async def _drained(self) -> bool:
        """Whether nothing more comes; what came meanwhile goes on."""
        self.credit.stop()
        await asyncio.wait({self._link.detached}, timeout=_DRAIN_SECONDS)
        if self.credit.unsettled:
            self.credit.start(self._link)
        return not self.credit.unsettled

    async def _keep_locked(self) -> None:
        while True:
            await asyncio.sleep(max(seconds_until(self.until, _USUAL_LOCK) / 2, _SHORTEST_RENEWAL))
            try:
                await self.renew()
            except (PeerError, TokenError, TimeoutError) as fault:
                log.warning(
                    "The lock of the session %r could not be renewed, so its messages may be delivered again: %s", self.session_id, fault
                )
                return

    async def renew(self) -> None:
        """Lock it anew. Raises PeerError, TokenError, TimeoutError."""
        self.until = await self._connection.renew_session(self._link.address, self.session_id, self._link.name) or self.until

    async def state(self) -> bytes:
        """See `HeldSession`."""
        return await self._connection.session_state(self._link.address, self.session_id, self._link.name)

    async def set_state(self, state: bytes) -> None:
        """See `HeldSession`."""
        await self._connection.set_session_state(self._link.address, self.session_id, self._link.name, state)

    def release(self) -> None:
        """See `HeldSession`."""
        self._released = True


def _session_of(answer: AttachFrame) -> tuple[str, datetime | None]:
    """The id of the session that the broker has chosen, and until when it is locked."""
    fields: list[Any] = answer.source.value if answer.source is not None and isinstance(answer.source.value, list) else []
    filters = fields[7] if len(fields) > 7 and isinstance(fields[7], dict) else {}
    chosen = filters.get(_FILTER)
    session_id = chosen.value if isinstance(chosen, Described) else chosen
    ticks = (answer.properties or {}).get(_LOCKED_UNTIL)
    until = time_of((ticks - TICKS_BEFORE_1970) // 10_000) if isinstance(ticks, int) else None
    return str(session_id or ""), until
