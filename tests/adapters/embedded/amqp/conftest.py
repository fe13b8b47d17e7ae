from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from bridge.adapters.embedded.amqp.server import AmqpServer
from bridge.adapters.embedded.amqp.service import AmqpService
from tests.adapters.embedded.amqp.sdk_kit import KEY, KEY_NAME, connect_async, connect_sync
from tests.contracts.broker_kit import embedded_broker

ENTITIES = Path(__file__).parent / "entities.json"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AmqpServer]:
    """A server on a free port, with the broker on the embedded queue."""
    async with (
        embedded_broker(tmp_path, entities.load(ENTITIES)) as (broker, _),
        AmqpServer.open(AmqpService(broker, {KEY_NAME: KEY}), host="127.0.0.1", port=0) as found,
    ):
        yield found


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, server: AmqpServer) -> Callable[..., Any]:
    """Opens a client of azure-servicebus of one of the two kinds."""
    return partial(connect_sync if request.param == "sync" else connect_async, server.port)
