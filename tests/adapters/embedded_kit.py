"""What the tests of the embedded runtime share: an entities file in short form, a table of numbers, and an open bus."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridge.adapters.embedded import bus as buses
from bridge.adapters.embedded import store
from bridge.adapters.embedded.bus import EmbeddedBus
from bridge.adapters.embedded.database import Database
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


NUMBERS = ("CREATE TABLE IF NOT EXISTS numbers(number INTEGER PRIMARY KEY)",)


def insert(number: int) -> Callable[[sqlite3.Connection], int | None]:
    return lambda connection: connection.execute("INSERT INTO numbers VALUES(?)", (number,)).lastrowid


def numbers(database: Database) -> list[int]:
    return [row[0] for row in database.read("SELECT number FROM numbers ORDER BY number")]


ORDERS = entities(orders=[subscription()])


@asynccontextmanager
async def open_bus(
    data_dir: Path, known: Entities = ORDERS, *, queue_limit: int = 10_000, window: int = 1_000, max_message: int = 2**20
) -> AsyncIterator[EmbeddedBus]:
    async with Database.open(data_dir, (*buses.SCHEMA, *store.SCHEMA)) as database:
        bus = EmbeddedBus(database, known, queue_limit=queue_limit, max_message=max_message, window=window)
        await bus.start()
        try:
            yield bus
        finally:
            await bus.close()
