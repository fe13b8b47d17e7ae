"""What every adapter of `ports.DeadLetterQueues` does: the embedded queue from within, and any namespace by Azure's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bridge.adapters.embedded import servicebus
from bridge.adapters.embedded.amqp.brokervalues import Complete, Incoming, Reject
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.adapters.embedded.deadletters import EmbeddedDeadLetters
from bridge.adapters.servicebus import AzureDeadLetters
from bridge.errors import Unavailable, Undeliverable
from bridge.ports import DeadLetterQueues
from bridge.settings import ServiceBusNamespace
from tests.contracts.broker_kit import Client, embedded_broker, known, message


@dataclass
class World:
    queues: DeadLetterQueues
    broker: EmbeddedBroker

    async def park(self, target: str, source: str, *sent: Incoming) -> None:
        """Send messages, and dead-letter what arrives."""
        await self.broker.send(target, sent)
        client = Client.of(self.broker, source)
        for _ in sent:
            await client.receiver.settle((await client.next()).token, Reject("Refused", "not by this worker"))
        client.receiver.close()

    async def arrived(self) -> Incoming:
        """The message that was sent to `jobs`."""
        client = Client.of(self.broker, "jobs")
        locked = await client.next()
        await client.receiver.settle(locked.token, Complete())
        client.receiver.close()
        return incoming(locked.stored.encoded)


@pytest.fixture(params=["embedded", "azure"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    listening = servicebus.Listener(0)
    async with (
        embedded_broker(tmp_path) as (broker, bus),
        servicebus.serving(broker, tmp_path, listening, max_message=2**20),
        AzureDeadLetters.open(ServiceBusNamespace(connection_string_file=tmp_path / servicebus.FILE), known()) as azure,
    ):
        own = EmbeddedDeadLetters(broker, known(), bus.rulebook.selecting)
        yield World(own if request.param == "embedded" else azure, broker)


async def test_a_peek_shows_everything_and_locks_nothing(world: World) -> None:
    sent = message("one", label="l", correlation_id="c", content_type="text/plain", properties={"color": "red", "size": 5})
    await world.park("orders", "orders/Subscriptions/all", sent)
    (found,) = await world.queues.peek("orders/all", 0, 10)
    assert (found.entity, found.reason, found.description) == ("orders/all", "Refused", "not by this worker")
    its = found.message
    assert (its.topic, its.body, its.label, its.correlation_id, its.content_type) == ("orders", b"one", "l", "c", "text/plain")
    assert its.properties == {"color": "red", "size": "5"}
    assert found.reaches[:2] == ("orders/all", "orders/red")
    assert await world.queues.peek("orders/all", found.number + 1, 10) == []
    assert len(await world.queues.peek("orders/all", found.number, 10)) == 1


async def test_what_is_locked_is_completed_or_given_back(world: World) -> None:
    await world.park("jobs", "jobs", *(message(str(number)) for number in range(5)))
    async with world.queues.head("jobs") as head:
        locked = await head.lock(3)
        assert [each.message.body for each in locked] == [b"0", b"1", b"2"]
        assert await head.complete(locked[1:]) in ([], ())
        await head.abandon(locked[:1])
    assert [each.message.body for each in await world.queues.peek("jobs", 0, 10)] == [b"0", b"3", b"4"]


async def test_what_was_taken_by_another_is_reported_as_left(world: World) -> None:
    await world.park("jobs", "jobs", message("one"))
    async with world.queues.head("jobs") as head:
        (locked,) = await head.lock(1)
        await head.complete([locked])
        assert await head.complete([locked]) == [locked]


async def test_a_copy_is_the_message_itself_without_what_dead_lettering_added(world: World) -> None:
    sent = message("one", label="l", reply_to="r", properties={"size": 5})
    await world.park("jobs", "jobs", sent)
    async with world.queues.head("jobs") as head:
        (locked,) = await head.lock(1)
        await world.queues.send([(locked, replace(locked.message, message_id="copy/1"))])
        await head.complete([locked])
    copy = await world.arrived()
    assert (copy.message_id, copy.label, copy.reply_to, copy.body, dict(copy.properties)) == ("copy/1", "l", "r", b"one", {"size": 5})


async def test_an_edited_copy_keeps_all_but_its_body(world: World) -> None:
    await world.park("jobs", "jobs", message("one", properties={"size": 5}))
    async with world.queues.head("jobs") as head:
        (locked,) = await head.lock(1)
        edited = replace(locked.message, message_id="copy/1", body=b"two", content_type="text/plain")
        await world.queues.send([(locked, edited)])
    copy = await world.arrived()
    assert (copy.body, copy.content_type, dict(copy.properties)) == (b"two", "text/plain", {"size": 5})


async def test_an_entity_that_is_not_there_is_no_trouble_of_the_broker(world: World) -> None:
    with pytest.raises(Undeliverable):
        await world.queues.peek("nowhere", 0, 1)


async def test_a_namespace_that_is_away_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "string"
    file.write_text("Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey=czNjcmV0;UseDevelopmentEmulator=true;")
    async with AzureDeadLetters.open(ServiceBusNamespace(connection_string_file=file), known()) as queues:
        with pytest.raises(Unavailable) as fault:
            await queues.peek("jobs", 0, 1)
    assert "czNjcmV0" not in str(fault.value)
