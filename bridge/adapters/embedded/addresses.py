"""The addresses that clients use over AMQP, and what they mean here."""

from __future__ import annotations

from bridge.adapters.embedded.amqp.brokererrors import EntityNotFound
from bridge.entities import DEAD_LETTERS, Entities


class Addresses:
    """Finds queues, topics and subscriptions by their addresses, whatever the case: `queue`, `topic`, `topic/Subscriptions/subscription`,
    and `/$DeadLetterQueue` behind a queue or subscription.
    """

    def __init__(self, entities: Entities) -> None:
        self._topics = {topic.name.casefold(): topic.name for topic in entities.topics}
        self._queues = {queue.name.casefold(): queue.name for queue in entities.queues}
        for topic in entities.topics:
            for subscription in topic.subscriptions:
                address = f"{topic.name}/Subscriptions/{subscription.name}"
                self._queues[address.casefold()] = f"{topic.name}/{subscription.name}"
        dead_letters = {f"{address}/{DEAD_LETTERS.casefold()}": f"{path}/{DEAD_LETTERS}" for address, path in self._queues.items()}
        self._queues |= dead_letters

    def topic(self, address: str) -> str | None:
        """The topic of this address, or None."""
        return self._topics.get(address.casefold())

    def path(self, address: str) -> str | None:
        """The queue, subscription ("topic/subscription") or dead-letter queue of this address, or None."""
        return self._queues.get(address.casefold())

    def missing(self, address: str) -> EntityNotFound:
        """The refusal of an address that nothing has. JavaScript's client knows it by the words `could not be found`."""
        return EntityNotFound(
            f"The messaging entity {address[:300]!r} could not be found. Add it to the entities file or correct the name."
        )
