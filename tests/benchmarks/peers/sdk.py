"""One kind of call of the sidecar through Dapr's Python SDK and its asynchronous gRPC client: `sdk publish|save|get|bulk ADDRESS`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dapr.aio.clients import DaprClient
from dapr.clients.grpc._state import Concurrency, StateOptions

from tests.benchmarks.keys import BODY, KEYS, MANY, key, keys
from tests.benchmarks.load import Request, serve

FIRST_WRITE = StateOptions(concurrency=Concurrency.first_write)


@asynccontextmanager
async def client(kind: str, address: str) -> AsyncIterator[Request]:
    """Requests of one kind."""
    async with DaprClient(address) as dapr:
        numbers = itertools.count()

        async def publish() -> None:
            await dapr.publish_event("bus", "bench", BODY, {"rawPayload": "true"}, data_content_type="application/octet-stream")

        async def save() -> None:
            number = next(numbers)
            etag = str(number // KEYS) if number >= KEYS else None
            await dapr.save_state("store", key("sdk", number), BODY, etag=etag, options=FIRST_WRITE)

        async def get() -> None:
            found = await dapr.get_state("store", key("read", next(numbers)))
            assert found.data == BODY

        async def bulk() -> None:
            found = await dapr.get_bulk_state("store", keys("read", next(numbers)), parallelism=MANY)
            assert [item.data for item in found.items] == [BODY] * MANY

        kinds: dict[str, Request] = {"publish": publish, "save": save, "get": get, "bulk": bulk}
        if kind in {"get", "bulk"}:
            for number in range(KEYS):
                await dapr.save_state("store", key("read", number), BODY)
        yield kinds[kind]


if __name__ == "__main__":
    serve(client(*sys.argv[1:]))
