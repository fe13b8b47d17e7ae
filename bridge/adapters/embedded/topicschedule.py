"""The messages that clients scheduled on a topic: kept by the topic until they are due, then copied to its subscriptions."""

from __future__ import annotations

from collections.abc import Callable

from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import IN_FLIGHT, MessageQueue, Move


class TopicSchedule(MessageQueue):
    """A queue whose only consumer passes the messages on, so that the rules decide when a message is due, as in Service Bus."""

    credit = IN_FLIGHT

    def start(self, prepare: Callable[[StoredMessage], Move]) -> None:
        """Begin to pass messages on. `prepare` says how."""
        self._prepare = prepare
        self.attach(self)

    def deliver(self, stored: StoredMessage) -> None:
        """Pass a message on."""
        self.credit += 1
        self.settle_move(stored, self._prepare(stored))
