"""The feeds of all apps of a host: one connection for each namespace that an app uses, as each app of Azure has its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from bridge.local.functions.feed import Feed
from bridge.local.functions.servicebus import connections
from bridge.local.functions.servicebus.connections import BrokerInSettings
from bridge.local.functions.servicebus.namespaces import NamespaceSource
from bridge.local.functions.servicebus.retrying import RetryPolicy
from bridge.local.functions.servicebus.servicebusfeed import ServiceBusFeed

log = logging.getLogger("bridge.functions")


class AppFeeds:
    """The feeds of one app, by the name of a connection. They are connected from `start` to `close`."""

    def __init__(self, app: str, settings: Mapping[str, str], broker: BrokerInSettings, data_dir: Path, retry: RetryPolicy) -> None:
        self._app, self._settings, self._broker, self._data_dir, self._retry = app, settings, broker, data_dir, retry
        self._by_name: dict[str, Feed] = {}
        self._by_source: dict[NamespaceSource, ServiceBusFeed] = {}
        self._connected: list[asyncio.Task[None]] = []

    def of(self, connection: str) -> Feed:
        """The feed of a connection, and at its first use a line in the log that says which namespace that is. Raises ValueError."""
        if connection not in self._by_name:
            source, why = connections.choose(connection, self._settings, self._broker, self._data_dir)
            log.info("%s: the connection %s is %s: %s.", self._app, connection or connections.USUAL, source.title, why)
            if source not in self._by_source:
                self._by_source[source] = ServiceBusFeed(source, self._retry)
            self._by_name[connection] = self._by_source[source]
        return self._by_name[connection]

    def start(self) -> None:
        """Connect, and connect again whenever a connection is lost."""
        self._connected = [asyncio.create_task(feed.run()) for feed in self._by_source.values()]

    async def close(self) -> None:
        """Give back what is not settled, and close the connections. Closing twice is closing once."""
        connected, self._connected = self._connected, []
        if not connected:
            return
        await asyncio.gather(*(feed.close() for feed in self._by_source.values()))
        for each in connected:
            each.cancel()
        await asyncio.gather(*connected, return_exceptions=True)
