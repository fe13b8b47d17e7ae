"""One kind of call of the sidecar over its HTTP API: `overhttp plain|gathered publish|save|get|bulk ADDRESS`.

`plain` makes a request for each call; `gathered` is what the bridge does: calls made at the same time share requests. DAPR_API_TOKEN is
the sidecar's token.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.adapters.dapr.bus import DaprBus
from bridge.adapters.dapr.errors import SidecarError
from bridge.adapters.dapr.schedule_store import ScheduleStore
from bridge.adapters.dapr.scheduler import Scheduler
from bridge.adapters.dapr.sidecar import Component, SidecarClient
from bridge.adapters.dapr.state import DaprStore
from bridge.adapters.dapr.subscriptions import SubscriptionRegistry
from bridge.errors import Unavailable
from bridge.ports import Message
from tests.benchmarks.keys import BODY, KEYS, MANY, key, keys
from tests.benchmarks.load import Request, serve

JSON = "application/json"
VALUE = json.loads(BODY)
OPTIONS = {"concurrency": "first-write"}


class Plain:
    """A request of the sidecar for each call."""

    def __init__(self, sidecar: SidecarClient) -> None:
        self._sidecar, self._numbers = sidecar, itertools.count()

    async def publish(self) -> None:
        await self._post("publish/bus/bench?metadata.rawPayload=true", BODY, "application/octet-stream")

    async def save(self) -> None:
        number = next(self._numbers)
        item = {"key": key("plain", number), "value": VALUE, "options": OPTIONS}
        item |= {"etag": str(number // KEYS)} if number >= KEYS else {}
        await self._post("state/store", json.dumps([item]).encode(), JSON)

    async def get(self) -> None:
        asked = json.dumps({"keys": [key("read", next(self._numbers))]}).encode()
        await self._post("state/store/bulk", asked, JSON)

    async def bulk(self) -> None:
        asked = {"keys": keys("read", next(self._numbers)), "parallelism": MANY}
        await self._post("state/store/bulk", json.dumps(asked).encode(), JSON)

    async def _post(self, path: str, body: bytes, content_type: str) -> None:
        bare, _, query = path.partition("?")
        name, _, value = query.partition("=")
        answer = await self._sidecar.post(bare, body, content_type=content_type, query={name: value} if name else None)
        if isinstance(answer, SidecarError):
            raise Unavailable(str(answer))


class Gathered:
    """The bridge's own bus and store."""

    def __init__(self, sidecar: SidecarClient) -> None:
        self.store = DaprStore(sidecar, Component("store", "state.redis"))
        nobody, scheduler = SubscriptionRegistry(frozenset()), Scheduler(ScheduleStore(self.store, "bench"))
        carriers = {"bench": Component("bus", "pubsub.redis")}
        self.bus = DaprBus(sidecar, carriers, nobody, scheduler, dead_letters=frozenset(), max_message=2**20)
        self._numbers = itertools.count()
        self._etags: dict[str, str] = {}

    async def publish(self) -> None:
        await self.bus.publish([Message("bench", BODY)])

    async def save(self) -> None:
        name = key("gathered", next(self._numbers))
        etag = self._etags.get(name)
        self._etags[name] = await (self.store.save(name, BODY, etag) if etag else self.store.create(name, BODY))

    async def get(self) -> None:
        found = await self.store.get(key("own", next(self._numbers)))
        assert found is not None
        assert found.value == BODY

    async def bulk(self) -> None:
        found = await self.store.get_many(keys("own", next(self._numbers)))
        assert all(each is not None and each.value == BODY for each in found)


@asynccontextmanager
async def client(way: str, kind: str, address: str) -> AsyncIterator[Request]:
    """Requests of one kind, made one way."""
    async with SidecarClient.open(address, os.environ["DAPR_API_TOKEN"]) as sidecar:
        await sidecar.wait_until_ready(30)
        asks = Plain(sidecar) if way == "plain" else Gathered(sidecar)
        if kind in {"get", "bulk"}:
            await _fill(sidecar)
        kinds: dict[str, Request] = {"publish": asks.publish, "save": asks.save, "get": asks.get, "bulk": asks.bulk}
        yield kinds[kind]


async def _fill(sidecar: SidecarClient) -> None:
    """Write what is read; it may be there."""
    store = DaprStore(sidecar, Component("store", "state.redis"))
    for number in range(KEYS):
        if await store.get(key("own", number)) is None:
            await store.create(key("own", number), BODY)
    read = [{"key": key("read", number), "value": VALUE} for number in range(KEYS)]
    await sidecar.post("state/store", json.dumps(read).encode(), content_type=JSON)


if __name__ == "__main__":
    serve(client(*sys.argv[1:]))
