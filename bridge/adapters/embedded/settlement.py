"""Does to a locked message what its receiver decided."""

from __future__ import annotations

import asyncio
from uuid import UUID

from bridge.adapters.embedded.amqp.brokererrors import NotAllowed
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Defer, Disposition, Reject, Release
from bridge.adapters.embedded.amqp.incoming import LARGEST_PROPERTIES
from bridge.adapters.embedded.amqp.outgoing import encode_properties
from bridge.adapters.embedded.locks import MessageLock
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import MessageQueue
from bridge.entities import DEAD_LETTERS


def check(lock: MessageLock, disposition: Disposition) -> None:
    """Raises NotAllowed if the message cannot be settled so. It stays locked then."""
    if isinstance(disposition, Reject) and lock.queue.name.endswith(DEAD_LETTERS):
        raise NotAllowed("A dead letter cannot be dead-lettered again; complete, abandon or defer it.")

    added = disposition.properties if isinstance(disposition, Abandon | Defer | Reject) else {}
    if added and len(encode_properties({**lock.stored.added, **added})) > LARGEST_PROPERTIES:
        raise NotAllowed(f"The properties that were added to the message have more than {LARGEST_PROPERTIES:,} bytes.")


async def complete(queue: MessageQueue, stored: StoredMessage) -> None:
    """Delete a message that was claimed. Returns when that is durable."""
    await settle(MessageLock(UUID(int=0), stored, queue, None, 0.0), Complete())


async def settle(lock: MessageLock, disposition: Disposition) -> None:
    """Settle a message whose lock was taken. Returns when that is durable."""
    queue, stored = lock.queue, lock.stored
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def then() -> None:
        if not done.done():
            done.set_result(None)

    match disposition:
        case Complete():
            queue.complete(stored, then)
        case Abandon(properties):
            stored.added = {**stored.added, **properties}
            queue.give_back(stored, "abandoned by its receiver", then)
        case Defer(properties):
            stored.added = {**stored.added, **properties}
            queue.defer(stored, then)
        case Reject(reason, description, properties):
            stored.added = {**stored.added, **properties}
            queue.dead_letter(stored, reason, description, then)
        case Release():
            queue.release(stored)
            return
    await done
