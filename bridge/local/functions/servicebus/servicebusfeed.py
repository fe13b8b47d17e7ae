"""The feed of one namespace: a connection that is made again whenever it breaks, for all functions of an app and their outputs."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from bridge.amqp import clientframes
from bridge.amqp.clientframes import PeerError
from bridge.amqp.clientlinks import LinkDelivery
from bridge.amqp.scan import BadEncoding
from bridge.local.functions.feed import (
    ActionKind,
    Deliver,
    FeedError,
    HeldSession,
    MessageAction,
    OutputMessage,
    ReceivingClient,
    Settlement,
    Wanted,
)
from bridge.local.functions.servicebus import messages as servicebus_messages
from bridge.local.functions.servicebus import ownoutcomes
from bridge.local.functions.servicebus.brokerconnection import ANSWER, BrokerConnection
from bridge.local.functions.servicebus.entityreceiver import EntityReceiver, Receiving
from bridge.local.functions.servicebus.namespaces import NamespaceSource, NotThere
from bridge.local.functions.servicebus.retrying import Backoff, RetryPolicy
from bridge.local.functions.servicebus.sessionsreceiver import SessionsReceiver
from bridge.local.functions.servicebus.tokens import TokenError

log = logging.getLogger("bridge.functions")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  #: seconds between attempts to connect, up to a fifth more
_RELEASE_PAUSE = 0.05  #: seconds between two messages that are given back: a broker may deliver one again at once, and so on
_RELEASING = 1.0  #: seconds that giving back may take when the host stops
_SETTLE_PATIENCE = 5.0  #: seconds that a settlement waits for a connection
_TROUBLE = (PeerError, TokenError, NotThere, OSError, TimeoutError)


@dataclass(slots=True)
class HeldMessage:
    """A message that was handed over and is not settled."""

    receiver: Receiving
    delivery: LinkDelivery
    session: HeldSession | None


class ServiceBusFeed:
    """Implements `Feed`; `run` holds the connection."""

    def __init__(self, source: NamespaceSource, retry: RetryPolicy) -> None:
        self._source, self._retry = source, retry
        self._receivers: dict[str, tuple[Receiving, Deliver]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, HeldMessage] = {}
        self._settled_by_function: dict[str, tuple[HeldMessage, ActionKind]] = {}  #: with its own action, while it still runs
        self._connection: BrokerConnection | None = None
        self._client = ReceivingClient()
        self._connected = asyncio.Event()
        self._leaving: set[str] = set()
        self._releases: deque[HeldMessage] = deque()
        self._releasing: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        logged = ""
        while not self._closed:
            try:
                await self._once(backoff)
                logged = ""
            except _TROUBLE as problem:
                reason = str(problem) or type(problem).__name__
                if reason != logged:
                    log.info("Waiting for %s: %s.", self._source.title, reason.rstrip("."))
                logged = reason
            await asyncio.sleep(backoff.pause() * (1 + random.random() / 5))  # noqa: S311 - many hosts shall not come at once

    async def _once(self, backoff: Backoff) -> None:
        """One connection, from its start to its end. Raises what `_TROUBLE` lists if there is none."""
        where = self._source.address()
        try:
            connection = await BrokerConnection.open(where)
            log.info("Connected to Service Bus at %s.", where.title)
            backoff.succeeded()
            try:
                await self._hold(connection)
            finally:
                connection.client.abort()
        finally:
            await where.tokens.close()

    async def _hold(self, connection: BrokerConnection) -> None:
        self._connection = connection
        if self._client.namespace != connection.host:
            self._client = ReceivingClient(connection.host, f"{connection.host}-{uuid.uuid4()}")
        keeping = asyncio.create_task(connection.keep_tokens())
        for receiver, _ in self._receivers.values():
            self._start(receiver)
        self._connected.set()
        try:
            why = await asyncio.shield(connection.client.ended)
            if not self._closed:
                log.warning(
                    "The connection to %s has ended (%s); its messages come back by themselves.", self._source.title, str(why).rstrip(".")
                )
        finally:
            self._connection = None
            self._connected.clear()
            ended = [keeping, *self._tasks.values()]
            self._tasks.clear()
            for task in ended:
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)

    async def close(self) -> None:
        """Give back what nobody has settled, and say goodbye. What was about to be given back does not count as delivered."""
        self._closed = True
        if self._releasing is not None:
            await asyncio.wait({self._releasing}, timeout=_RELEASING)
        connection = self._connection
        if connection is None:
            return
        for held in self._releases:
            held.delivery.link.release(held.delivery.delivery_id)
        for held in self._held.values():
            if not held.delivery.link.detached.done():
                connection.client.settle(held.delivery.delivery_id, clientframes.FAIL, settled=True)
        await connection.client.close()

    # --- receiving

    def receive(self, entity: str, wanted: Wanted, deliver: Deliver) -> None:
        """See `Feed`."""
        kind = SessionsReceiver if wanted.sessions else EntityReceiver
        receiver: Receiving = kind(entity, wanted, self._take)
        self._receivers[entity] = receiver, deliver
        if self._connection is not None:
            self._start(receiver)

    def _start(self, receiver: Receiving) -> None:
        assert self._connection is not None  # noqa: S101 - callers have looked
        self._tasks[receiver.entity] = asyncio.create_task(receiver.run(self._connection))

    def _take(self, receiver: Receiving, delivery: LinkDelivery, session: HeldSession | None) -> None:
        held = HeldMessage(receiver, delivery, session)
        if receiver.entity in self._leaving:
            self._give_back(held)
            return
        try:
            until = session.until if session is not None else None
            received = servicebus_messages.read(delivery.tag, delivery.payload, self._client, until)
        except BadEncoding as fault:
            log.warning("A message of %s cannot be read, so it is abandoned: %s.", receiver.entity, fault)
            delivery.link.client.settle(delivery.delivery_id, clientframes.FAIL, settled=True)
            receiver.settled(delivery)
            return
        self._held[received.lock] = held
        self._receivers[receiver.entity][1](received)

    def pause(self, entity: str) -> None:
        """See `Feed`."""
        self._receivers[entity][0].pause()

    def resume(self, entity: str) -> None:
        """See `Feed`."""
        self._receivers[entity][0].resume()

    def leave(self, entity: str) -> None:
        """See `Feed`."""
        self._leaving.add(entity)
        if entity in self._receivers:
            self._receivers[entity][0].leave()

    def _give_back(self, held: HeldMessage) -> None:
        self._releases.append(held)
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.create_task(self._release())

    async def _release(self) -> None:
        while self._releases:
            held = self._releases.popleft()
            held.delivery.link.release(held.delivery.delivery_id)
            held.receiver.settled(held.delivery)
            await asyncio.sleep(_RELEASE_PAUSE)

    # --- settling

    async def act(self, lock: str, action: MessageAction) -> None:
        """See `Feed`."""
        held = self._held.get(lock)
        if held is None:
            raise FeedError("its lock is not known")
        link = held.delivery.link
        if link.detached.done():
            raise FeedError("the connection over which it came is gone, so it comes again")
        with _feed_errors():
            async with asyncio.timeout(ANSWER):
                await link.settle(held.delivery.delivery_id, ownoutcomes.outcome(action))
        del self._held[lock]
        self._settled_by_function[lock] = held, action.kind

    def settled_as(self, lock: str) -> ActionKind | None:
        """See `Feed`."""
        done = self._settled_by_function.get(lock)
        return done[1] if done is not None else None

    def session(self, lock: str) -> HeldSession:
        """See `Feed`."""
        held = self._held.get(lock) or self._settled_by_function.get(lock, (None,))[0]
        if held is None or held.session is None:
            raise FeedError("no such session is held")
        return held.session

    async def settle(self, lock: str, verdict: Settlement) -> None:
        """See `Feed`. Where the link is gone, the lock may have outlived it; then the message is settled over the new connection."""
        if (done := self._settled_by_function.pop(lock, None)) is not None:
            done[0].receiver.settled(done[0].delivery)
            return
        held = self._held.pop(lock, None)
        if held is None:
            raise FeedError("its lock is not known")
        if verdict is Settlement.RELEASE:
            self._give_back(held)
            return
        if verdict is Settlement.LEAVE:
            held.receiver.settled(held.delivery)
            return
        try:
            with _feed_errors():
                async with asyncio.timeout(ANSWER):
                    await self._settle(held, lock, verdict)
        finally:
            held.receiver.settled(held.delivery)

    async def _settle(self, held: HeldMessage, lock: str, verdict: Settlement) -> None:
        completes = verdict is Settlement.COMPLETE
        link = held.delivery.link
        if not link.detached.done():
            try:
                await link.settle(held.delivery.delivery_id, clientframes.ACCEPT if completes else clientframes.FAIL)
            except PeerError:
                if not link.detached.done():
                    raise
            else:
                return
        if held.session is not None:
            raise PeerError("its session is no longer locked")
        connection = await self._any_connection()
        await connection.update_disposition(link.address, uuid.UUID(lock), "completed" if completes else "abandoned")

    async def _any_connection(self) -> BrokerConnection:
        """The connection, waited for a little. Raises PeerError."""
        try:
            async with asyncio.timeout(_SETTLE_PATIENCE):
                while self._connection is None:
                    await self._connected.wait()
        except TimeoutError:
            raise PeerError(f"there is no connection to {self._source.title}") from None
        return self._connection

    async def renew(self, lock: str) -> datetime | None:
        """See `Feed`. A message of a session lives as long as the lock of its session, which is kept anyway."""
        held = self._held.get(lock)
        if lock in self._settled_by_function:
            return None
        if held is None:
            raise FeedError("its lock is not known")
        if held.session is not None:
            return None
        with _feed_errors():
            return await (await self._any_connection()).renew_lock(held.delivery.link.address, uuid.UUID(lock))

    # --- sending

    async def send(self, messages: Sequence[OutputMessage]) -> None:
        """See `Feed`. What the broker cannot take now is sent again, as the retry options say, with the same message id."""
        left = [(message, uuid.uuid4().hex) for message in messages]
        attempt = 0
        while left:
            results = await asyncio.gather(*(self._send(message, message_id) for message, message_id in left), return_exceptions=True)
            left = [each for each, result in zip(left, results, strict=True) if result is not None]
            failed = next((result for result in results if result is not None), None)
            if failed is None:
                return
            attempt += 1
            pause = self._retry.pause(attempt, getattr(failed, "condition", ""))
            if not isinstance(failed, PeerError | TimeoutError) or pause is None:
                raise FeedError(str(failed) or type(failed).__name__)
            await asyncio.sleep(pause)

    async def _send(self, message: OutputMessage, message_id: str) -> None:
        """Raises PeerError, TokenError, TimeoutError."""
        async with asyncio.timeout(self._retry.try_timeout):
            sender = await (await self._any_connection()).sender(message.entity)
            await sender.send(servicebus_messages.written(message, message_id))


@contextmanager
def _feed_errors() -> Iterator[None]:
    """Turn what goes wrong while the broker is asked into a FeedError."""
    try:
        yield
    except TimeoutError:
        raise FeedError(f"the broker has not answered within {ANSWER:g} s") from None
    except (PeerError, TokenError) as fault:
        raise FeedError(str(fault)) from None
