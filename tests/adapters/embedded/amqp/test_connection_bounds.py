from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from bridge.adapters.embedded.amqp.service import Bounds
from bridge.amqp.amqptypes import UInt
from bridge.amqp.performatives import ATTACH, BEGIN, CLOSE, DETACH, END, FLOW, TRANSFER
from tests.adapters.embedded.amqp.conftest import ENTITIES
from tests.adapters.embedded.amqp.connection_kit import codes, heard, send
from tests.adapters.embedded.amqp.memory_broker import MemoryBroker
from tests.adapters.embedded.amqp.raw_client import RawClient, message, opened
from tests.contracts.broker_kit import embedded_broker


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(ENTITIES)


async def test_a_client_that_does_not_read_is_delivered_no_more_than_a_bound(broker: MemoryBroker) -> None:
    client = opened(broker, Bounds(unread=10_000))
    await send(client, *[b"x" * 1000] * 100)
    handle, _ = client.attach_receiver("plain", delete=True)
    client.connection.output.set_transport_full(True)
    assert [each for each in client.credit(handle, 100) if each.code == TRANSFER] == []
    assert len(broker.queue("plain").entries) == 100
    client.connection.output.set_transport_full(False)
    first = client.heard()
    assert 5 < len(first) < 20
    rest = [each for _ in range(30) for each in client.heard()]
    assert len(first) + len(rest) == 100


async def test_reading_stops_while_too_much_waits_to_be_stored(broker: MemoryBroker) -> None:
    gate = asyncio.Event()

    class Slow(MemoryBroker):
        async def send(self, address: str, messages: Any) -> list[int]:
            await gate.wait()
            return await super().send(address, messages)

    client = opened(Slow(ENTITIES), Bounds(unstored=50_000))
    handle, _ = client.attach_sender("plain")
    for number in range(60):
        client.transfer(handle, number, message(b"x" * 1000))
    assert not client.reading
    gate.set()
    assert len(await client.settled()) == 60
    assert client.reading


async def test_a_client_that_does_not_read_its_answers_is_not_read_either(broker: MemoryBroker) -> None:
    client = opened(broker)
    client.connection.output.set_transport_full(True)
    assert not client.reading
    client.connection.output.set_transport_full(False)
    assert client.reading


async def test_what_was_stored_after_its_session_ended_is_not_told_on_a_channel_that_is_another_s(broker: MemoryBroker) -> None:
    client = opened(broker)
    handle, _ = client.attach_sender("plain")
    client.transfer(handle, 0, message(b"x"))
    client.frame(END)
    client.begin()
    assert await client.settled() == []
    assert len(broker.queue("plain").entries) == 1


async def test_more_links_than_the_bound_are_refused_one_by_one(broker: MemoryBroker) -> None:
    client = opened(broker, Bounds(links_in_all=5))
    said = [client.attach_sender("plain")[1] for _ in range(5)]
    assert [codes(each) for each in said] == [[ATTACH, FLOW]] * 3 + [[ATTACH, DETACH]] * 2
    assert said[-1][1].condition == "amqp:resource-limit-exceeded"


async def test_a_client_without_a_token_has_few_sessions(broker: MemoryBroker) -> None:
    client = RawClient(broker)
    client.open()
    said = [client.begin(channel) for channel in range(33)]
    assert [codes(each) for each in said] == [[BEGIN]] * 32 + [[CLOSE]]


async def test_window_and_slow_reader_on_the_embedded_queue(tmp_path: Path) -> None:
    async with embedded_broker(tmp_path, entities.load(ENTITIES)) as (real, _):
        client = opened(real, Bounds(unread=10_000))
        client.begin(1, window=2)
        await send(client, *[b"x" * 1000] * 30)
        handle, _ = client.attach_receiver("plain", channel=1)
        said = client.frame(FLOW, UInt(0), UInt(2), UInt(0), UInt(5000), UInt(handle), UInt(0), UInt(30), channel=1)
        said += await heard(client, 2 - len(said))
        assert codes(said) == [TRANSFER] * 2
        client.connection.output.set_transport_full(True)
        assert client.frame(FLOW, UInt(2), UInt(100), UInt(0), UInt(5000), channel=1) == []
        client.connection.output.set_transport_full(False)
        numbers = [each.fields[1] for each in await heard(client, 28)]
        assert numbers == list(range(said[-1].fields[1] + 1, said[0].fields[1] + 30))
