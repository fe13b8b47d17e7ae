"""Receives from one entity over whatever connection there is, and attaches again when the broker detaches the link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, TypeAlias

from bridge.amqp.clientframes import PeerError
from bridge.amqp.clientlinks import LinkDelivery, ReceiverLink
from bridge.local.functions.feed import HeldSession, Wanted
from bridge.local.functions.servicebus.brokerconnection import ANSWER, BrokerConnection
from bridge.local.functions.servicebus.retrying import BUSY, Backoff
from bridge.local.functions.servicebus.tokens import TokenError

log = logging.getLogger("bridge.functions")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 6.4  #: seconds between attempts to attach; Azure's host tries as seldom
_LIVED = 10.0  #: seconds after which a link that is detached is attached again at once


class Receiving(Protocol):
    """One entity that is received from."""

    @property
    def entity(self) -> str:
        """Its address."""

    async def run(self, connection: BrokerConnection) -> None:
        """Receive until the connection ends or the entity is left."""

    def settled(self, delivery: LinkDelivery) -> None:
        """A message that was handed over is done with, so that another may come."""

    def pause(self) -> None:
        """Ask for nothing for now."""

    def resume(self) -> None:
        """Ask for messages again."""

    def leave(self) -> None:
        """Ask for nothing more."""


TakeDelivery: TypeAlias = Callable[[Receiving, LinkDelivery, HeldSession | None], None]
"""What becomes of a delivery: it is held under its lock until it is settled."""


class LinkCredit:
    """Tops up the credit of a link, once in a turn of the loop however many messages were settled in it."""

    def __init__(self, credit: int) -> None:
        self._credit = credit
        self._link: ReceiverLink | None = None
        self._pending = False
        self._paused = False
        self.unsettled = 0

    def start(self, link: ReceiverLink) -> None:
        """Let the messages of this link come. What an earlier link has brought and is not settled yet counts, too."""
        self._link = link
        self._top_up()

    def stop(self) -> None:
        """Let nothing more come."""
        link, self._link = self._link, None
        if link is not None:
            link.grant(0, drain=True)

    def pause(self) -> None:
        """Let nothing more come for now."""
        self._paused = True
        if self._link is not None:
            self._link.grant(0, drain=True)

    def resume(self) -> None:
        """Let messages come again."""
        self._paused = False
        self._top_up()

    def taken(self) -> None:
        """A message has come."""
        self.unsettled += 1

    def settled(self) -> None:
        """A message is done with."""
        self.unsettled -= 1
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_soon(self._top_up)

    def _top_up(self) -> None:
        self._pending = False
        wanted = max(self._credit - self.unsettled, 0)
        if self._link is not None and not self._paused and self._link.credit < wanted:
            self._link.grant(wanted)


class EntityReceiver:
    """Implements `Receiving` for a queue or subscription without sessions."""

    def __init__(self, entity: str, wanted: Wanted, take: TakeDelivery) -> None:
        self.entity = entity
        self._take, self._credit = take, LinkCredit(wanted.credit)
        self._left = False

    async def run(self, connection: BrokerConnection) -> None:
        """See `Receiving`."""
        link_of = Attaching(self.entity, connection)
        while not self._left:
            link = await link_of.attached(lambda: ReceiverLink(connection.client, self.entity, self._delivered))
            if not self._left:
                self._credit.start(link)
            await link_of.detached(link)

    def _delivered(self, delivery: LinkDelivery) -> None:
        self._credit.taken()
        self._take(self, delivery, None)

    def settled(self, delivery: LinkDelivery) -> None:
        """See `Receiving`."""
        del delivery
        self._credit.settled()

    def pause(self) -> None:
        """See `Receiving`."""
        self._credit.pause()

    def resume(self) -> None:
        """See `Receiving`."""
        self._credit.resume()

    def leave(self) -> None:
        """See `Receiving`."""
        self._left = True
        self._credit.stop()


class Attaching:
    """Attaches to an entity until that succeeds, with pauses, and logs each reason once in a row."""

    def __init__(self, entity: str, connection: BrokerConnection) -> None:
        self._entity, self._connection = entity, connection
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._logged = ""
        self._began = 0.0

    async def attached(self, make: Callable[[], ReceiverLink], *, quiet: frozenset[str] = frozenset()) -> ReceiverLink:
        """A link that is attached. A refusal with a condition in `quiet` is no trouble: the next attempt follows at once."""
        while True:
            link = make()
            try:
                await self._connection.authorize(self._entity)
                async with asyncio.timeout(None if quiet else ANSWER):
                    await self._connection.client.attach(link)
            except (PeerError, TokenError, TimeoutError) as fault:
                if getattr(fault, "condition", "") not in quiet:
                    await self._rest(fault)
                continue
            self._began = asyncio.get_running_loop().time()
            return link

    async def detached(self, link: ReceiverLink) -> None:
        """Wait until the link is gone, and a little longer if that was soon."""
        why = await asyncio.shield(link.detached)
        if asyncio.get_running_loop().time() - self._began > _LIVED:
            self._backoff.succeeded()
        await self._rest(why)

    async def _rest(self, fault: Exception) -> None:
        if self._connection.client.ended.done():
            await asyncio.Event().wait()  # whoever made the connection ends this
        reason = str(fault) or type(fault).__name__
        if reason != self._logged:
            log.warning("Nothing comes from %s: %s. It is retried until it succeeds.", self._entity, reason.rstrip("."))
        self._logged = reason
        await asyncio.sleep(self._backoff.pause(at_least=_LONGEST_PAUSE if getattr(fault, "condition", "") == BUSY else 0.0))
