from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge import entities
from bridge.adapters.dapr import DaprComponents
from bridge.adapters.embedded import Embedded
from bridge.adapters.embedded.amqp.ports import Broker
from bridge.ports import Ack, Bus, Delivery, Store
from tests.contracts.broker_kit import embedded_broker
from tests.dapr.sidecar import redis, sidecar

ENTITIES = Path(__file__).parents[2] / "components" / "servicebus.json"


@dataclass
class Ports:
    """The ports of one adapter, and the topics that exist on its bus, each with the source that reads it."""

    bus: Bus
    store: Store
    topic: str = "automation-requests"
    source: str = "automation-requests/bridge"
    other_topic: str = "automation-results"
    other_source: str = "automation-results/bridge"


@dataclass
class Inbox:
    """A handler that keeps what it gets. It answers with `answers` in turn, then DONE; an exception among them is raised."""

    answers: list[Ack | Exception] = field(default_factory=list)
    came: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)

    async def __call__(self, delivery: Delivery) -> Ack:
        self.came.put_nowait(delivery)
        answer = self.answers.pop(0) if self.answers else Ack.DONE
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def next(self, seconds: float = 10) -> Delivery:
        return await asyncio.wait_for(self.came.get(), seconds)

    async def take(self, count: int) -> list[Delivery]:
        return [await self.next() for _ in range(count)]

    async def stays_empty(self, seconds: float = 0.3) -> bool:
        await asyncio.sleep(seconds)
        return self.came.empty()


@asynccontextmanager
async def _embedded(directory: Path) -> AsyncIterator[Ports]:
    opened = Embedded.open(directory, entities.load(ENTITIES), queue_limit=10_000, data_limit=2**30, max_message=2**20)
    async with opened as embedded:
        yield Ports(embedded.bus, embedded.store)


@asynccontextmanager
async def _dapr(directory: Path) -> AsyncIterator[Ports]:
    async with (
        redis(directory / "redis") as storing,
        sidecar(directory, ENTITIES.parent / "redis", {"REDIS_HOST": f"127.0.0.1:{storing.port}"}) as beside,
        DaprComponents.open(beside.connection, entities.load(ENTITIES), replica="one", max_message=2**20) as dapr,
    ):
        yield Ports(dapr.bus, dapr.store)


@asynccontextmanager
async def _dapr_on_a_laptop(directory: Path) -> AsyncIterator[Ports]:
    """Its bus lives in memory and hands out one message at a time, so only its store is held to the contract."""
    async with (
        sidecar(directory, ENTITIES.parent / "local", {"BRIDGE_STATE_FILE": str(directory / "state.db")}) as beside,
        DaprComponents.open(beside.connection, entities.load(ENTITIES), replica="one", max_message=2**20) as dapr,
    ):
        yield Ports(dapr.bus, dapr.store)


ADAPTERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Ports]]] = {"embedded": _embedded, "dapr": _dapr}
STORES = {**ADAPTERS, "dapr-sqlite": _dapr_on_a_laptop}


@pytest.fixture(params=ADAPTERS)
async def ports(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ports]:
    async with ADAPTERS[request.param](tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def bus(ports: Ports) -> Bus:
    return ports.bus


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with STORES[request.param](tmp_path / "data") as opened:
        yield opened.store


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with embedded_broker(tmp_path) as (opened, _):
        yield opened


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
