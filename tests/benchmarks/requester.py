"""The client of the HTTP rows: `python -m tests.benchmarks.requester once|twice|raw|keyed HOST:PORT PATH`."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.benchmarks.connection import Pool
from tests.benchmarks.load import Request, serve
from tests.benchmarks.payload import PAYLOAD

BODY = json.dumps(PAYLOAD, separators=(",", ":")).encode()


class Unexpected(Exception):
    """The server answered something else than the result."""


class Requester:
    """Requests in each of the ways a caller may choose."""

    def __init__(self, address: str, path: str) -> None:
        host, _, port = address.rpartition(":")
        self._pool, self._host, self._path = Pool(host, int(port)), address, path
        self._ids = (f"bench-{os.getpid()}-{number}" for number in itertools.count())

    async def once(self) -> None:
        """One call that waits for the result."""
        _check(await self._pool.exchange(self._post(f"x-correlation-id: {next(self._ids)}\r\nprefer: wait=30\r\n")), b'"Succeeded"')

    async def twice(self) -> None:
        """Submit, then look the result up by the id."""
        name = next(self._ids)
        status, body = await self._pool.exchange(self._post(f"x-correlation-id: {name}\r\n"))
        if status not in (200, 202):
            raise Unexpected(f"{status} {body.decode(errors='replace')}")
        _check(await self._pool.exchange(self._get(f"/v1/requests/{name}?wait=30")), b'"Succeeded"')

    async def raw(self) -> None:
        """One call that answers with what the function answered."""
        _check(await self._pool.exchange(self._post("")), b"")

    async def keyed(self) -> None:
        """One call that waits for the result, which Restate keeps under the caller's key."""
        _check(await self._pool.exchange(self._post(f"idempotency-key: {next(self._ids)}\r\n")), b"")

    def _post(self, headers: str) -> bytes:
        start = f"POST {self._path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        return f"{start}content-length: {len(BODY)}\r\n{headers}\r\n".encode() + BODY

    def _get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode()


def _check(answer: tuple[int, bytes], status: bytes) -> None:
    """Raises Unexpected unless the answer holds the echo and, for a run, its status."""
    code, body = answer
    if code != 200 or status not in body or PAYLOAD["text"].encode() not in body:
        raise Unexpected(f"{code} {body.decode(errors='replace')}")


@asynccontextmanager
async def client(way: str, address: str, path: str) -> AsyncIterator[Request]:
    """Requests the `way` a caller chose: once, twice, raw or keyed."""
    requester = Requester(address, path)
    ways: dict[str, Request] = {"once": requester.once, "twice": requester.twice, "raw": requester.raw, "keyed": requester.keyed}
    yield ways[way]


if __name__ == "__main__":
    serve(client(*sys.argv[1:]))
