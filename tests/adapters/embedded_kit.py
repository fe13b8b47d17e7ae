"""What the tests of the embedded runtime share: an entities file in short form, and an open queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridge.adapters.embedded import entry, state
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.queue import Queue
from bridge.entities import Entities


def subscription(name: str = "all", *, rules: list[dict[str, Any]] | None = None, **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties, "Rules": rules or []}


def label_rule(label: str) -> dict[str, Any]:
    return {"Name": "by-label", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {"Label": label}}}


def entities(*, queues: dict[str, Any] | None = None, **topics: list[dict[str, Any]]) -> Entities:
    """Topics by keyword with their subscriptions, queues by name with their properties."""
    return Entities.model_validate(
        {
            "Topics": [{"Name": name, "Subscriptions": subscriptions} for name, subscriptions in topics.items()],
            "Queues": [{"Name": name, "Properties": properties} for name, properties in (queues or {}).items()],
        }
    )


ORDERS = entities(orders=[subscription()])


@asynccontextmanager
async def open_queue(
    data_dir: Path, known: Entities = ORDERS, *, queue_limit: int = 10_000, window: int = 1_000, max_message: int = 2**20
) -> AsyncIterator[Queue]:
    async with Database.open(data_dir, (*entry.SCHEMA, *state.SCHEMA)) as database:
        queue = Queue(database, known, queue_limit=queue_limit, max_message=max_message, window=window)
        await queue.start()
        try:
            yield queue
        finally:
            await queue.close()
