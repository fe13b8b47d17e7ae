"""One reader for the results of all open requests: a single MGET every 2 ms, which is cheaper than a look for each request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from redis.asyncio import Redis

PAUSE = 0.002  #: seconds between two looks


class Reader:
    """Waits for values in Redis. `done` tells a result from a record of work that has not ended; it raises ValueError for a failure."""

    def __init__(self, redis: Redis, done: Callable[[bytes], bool]) -> None:
        self._redis, self._done = redis, done
        self._open: dict[str, asyncio.Future[bytes]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, done: Callable[[bytes], bool] = bool) -> AsyncIterator[Self]:
        """A reader that reads while the context is open."""
        async with Redis.from_url(url) as redis:
            reader = cls(redis, done)
            reading = asyncio.create_task(reader._read())
            try:
                yield reader
            finally:
                reading.cancel()

    async def result(self, key: str) -> bytes:
        """The value of the key, once it is a result."""
        waiting = self._open[key] = asyncio.get_running_loop().create_future()
        return await waiting

    async def _read(self) -> None:
        while True:
            if keys := list(self._open):
                for key, value in zip(keys, await self._redis.mget(keys), strict=True):
                    if value is not None:
                        self._look(key, value)
            await asyncio.sleep(PAUSE)

    def _look(self, key: str, value: bytes) -> None:
        waiting = self._open[key]
        try:
            if not self._done(value):
                return
            if not waiting.done():  # it may have run out of time
                waiting.set_result(value)
        except ValueError as fault:
            waiting.set_exception(fault)
        del self._open[key]
