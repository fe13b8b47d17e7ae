"""A program on Redis Streams that is no part of the bridge: publishes through a sidecar's API, and reads as a consumer group of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from tests.dapr.sidecar import API_TOKEN

#: Why nothing could be published or read; whether it has been done is not known.
AWAY = (aiohttp.ClientError, RedisError, OSError, TimeoutError)
BLOCK = 10_000  #: milliseconds that a read waits for a message


class Refused(Exception):
    """The sidecar took nothing; what it answered says why."""


@dataclass
class Streams:
    """Messages as `(stream id, body)`; a group reads a stream from its beginning."""

    http: aiohttp.ClientSession
    redis: Redis

    async def send(self, topic: str, body: bytes) -> None:
        """Bytes as they are, whatever they say. Raises Refused, or one of AWAY."""
        await self._post(topic, body, "application/octet-stream", {"metadata.rawPayload": "true"})

    async def send_event(self, topic: str, event: dict[str, Any]) -> None:
        """A CloudEvent as any Dapr application publishes it. Raises Refused, or one of AWAY."""
        await self._post(topic, json.dumps(event).encode(), "application/cloudevents+json", {})

    async def _post(self, topic: str, body: bytes, content_type: str, query: dict[str, str]) -> None:
        async with self.http.post(f"/v1.0/publish/bus/{topic}", data=body, params=query, headers={"content-type": content_type}) as answer:
            if not answer.ok:
                raise Refused(f"{answer.status}: {await answer.text()}")

    async def join(self, entity: str) -> None:
        """Make the group of a `topic/subscription`, so that it is given everything from the stream's beginning. Raises one of AWAY."""
        topic, _, group = entity.partition("/")
        with suppress(ResponseError):  # it is there already
            await self.redis.xgroup_create(topic, group, id="0", mkstream=True)

    async def read(self, entity: str, count: int = 1, since: str = ">") -> list[tuple[str, bytes]]:
        """The next messages, some at once or none after BLOCK; each stays with this reader until it is done. Raises one of AWAY.

        `since` "0" gives those again that are not done.
        """
        topic, _, group = entity.partition("/")
        found = await self.redis.xreadgroup(group, "program", {topic: since}, count=count, block=BLOCK)
        return [(number.decode(), fields[b"data"]) for _, messages in found for number, fields in messages]

    async def done(self, entity: str, number: str) -> None:
        """Let go of a message. Raises one of AWAY."""
        topic, _, group = entity.partition("/")
        await self.redis.xack(topic, group, number)

    async def receive(self, entity: str) -> tuple[Any, str]:
        """The next event and its id on the stream, done at once. Raises one of AWAY."""
        event, number, done = await self.peek_lock(entity)
        await done()
        return event, number

    async def peek_lock(self, entity: str) -> tuple[Any, str, Callable[[], Awaitable[None]]]:
        """The next event, its id on the stream, and what lets go of it. Raises one of AWAY."""
        await self.join(entity)
        async with asyncio.timeout(BLOCK / 1000):
            while not (found := await self.read(entity)):
                pass
        number, body = found[0]
        return json.loads(body), number, partial(self.done, entity, number)

    async def message(self, entity: str) -> tuple[Any, dict[str, str]]:
        """The same with the properties that the bridge gave the message. Raises one of AWAY."""
        event, number = await self.receive(entity)
        ((_, fields),) = await self.redis.xrange(entity.partition("/")[0], number, number)
        return event, properties(fields)


def properties(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Those of a message on a stream, in the names of Service Bus' own protocol."""
    told = {name.removeprefix("metadata."): value for name, value in json.loads(fields[b"metadata"]).items()}
    return {name[0].lower() + name[1:]: value for name, value in told.items()}


@asynccontextmanager
async def streams(redis_port: int, sidecar_port: int) -> AsyncIterator[Streams]:
    headers = {"dapr-api-token": API_TOKEN}
    # A client that repeats by itself would hide what these programs are to count.
    client = Redis(port=redis_port, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=BLOCK / 1000 + 5)
    async with client, aiohttp.ClientSession(f"http://127.0.0.1:{sidecar_port}", headers=headers) as http:
        yield Streams(http, client)
