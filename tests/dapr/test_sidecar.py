"""The adapter and a real sidecar, when parts of them are gone for a while."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge import entities
from bridge.adapters.dapr import DaprComponents, SidecarConfig
from bridge.adapters.dapr.errors import SidecarError
from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.errors import ConfigurationError, Unavailable
from bridge.ports import Ack, Delivery, Message
from tests.contracts.conftest import Inbox
from tests.dapr.sidecar import COMPONENTS, sidecar

TOPIC, SOURCE = "automation-requests", "automation-requests/bridge"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


async def test_a_message_in_hand_comes_again_when_the_bridge_was_gone(machine, inbox):
    await machine.redis()
    beside = await machine.sidecar()
    taken = asyncio.Event()

    async def never_ends(_: Delivery) -> Ack:
        taken.set()
        await asyncio.Event().wait()
        return Ack.DONE

    async with machine.adapter(beside.connection) as first:
        await first.bus.subscribe(SOURCE, never_ends, concurrency=1)
        await first.bus.publish([Message(TOPIC, b"event", "m-1")])
        await taken.wait()
    async with machine.adapter(beside.connection) as second:
        await second.bus.subscribe(SOURCE, inbox, concurrency=1)
        assert (await inbox.next()).message.message_id == "m-1"


async def test_a_message_in_hand_comes_again_when_the_sidecar_was_killed(machine, inbox):
    await machine.redis()
    beside = await machine.sidecar()
    inbox.answers = [Ack.RETRY]
    async with machine.adapter(beside.connection) as dapr:
        await dapr.bus.subscribe(SOURCE, inbox, concurrency=1)
        await dapr.bus.publish([Message(TOPIC, b"event", "m-1")])
        await inbox.next()
        await beside.program.kill()
        with pytest.raises(Unavailable):
            await dapr.bus.publish([Message(TOPIC, b"event", "m-2")])
        with pytest.raises(Unavailable):
            await dapr.store.create("key", b"1")
        await machine.sidecar()
        assert (await inbox.next()).message.message_id == "m-1"
        await _until_taken(dapr, Message(TOPIC, b"event", "m-3"))
        assert (await inbox.next()).message.message_id == "m-3"


async def test_redis_may_go_and_come_back(machine, inbox):
    storing = await machine.redis()
    beside = await machine.sidecar()
    async with machine.adapter(beside.connection) as dapr:
        await dapr.bus.subscribe(SOURCE, inbox, concurrency=1)
        etag = await dapr.store.create("key", b"1")
        await storing.program.kill()
        with pytest.raises(Unavailable):
            await dapr.bus.publish([Message(TOPIC, b"event", "lost")])
        with pytest.raises(Unavailable):
            await dapr.store.save("key", b"2", etag)
        await machine.redis()
        await _until_taken(dapr, Message(TOPIC, b"event", "found"))
        assert (await inbox.next(20)).message.message_id == "found"
        async with asyncio.timeout(20):
            while dapr.health.trouble()["store"]:
                await asyncio.sleep(0.05)
        assert (await dapr.store.get("key")).value == b"1"


async def _until_taken(dapr: DaprComponents, message: Message) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(Unavailable):
                await dapr.bus.publish([message])
                return
            await asyncio.sleep(0.1)


async def test_a_message_for_later_survives_the_bridge(machine, inbox):
    await machine.redis()
    beside = await machine.sidecar()
    async with machine.adapter(beside.connection) as first:
        due = datetime.now(UTC) + timedelta(seconds=1)
        await first.bus.publish([Message(TOPIC, b"\xff\x00", "m-1", "c-1", "label", deliver_at=due)])
    async with machine.adapter(beside.connection) as second:
        await second.bus.subscribe(SOURCE, inbox, concurrency=1)
        message = (await inbox.next()).message
    assert (message.body, message.message_id, message.correlation_id, message.label) == (b"\xff\x00", "m-1", "c-1", "label")


async def test_many_messages_each_arrive_once_with_their_own_properties(machine, inbox):
    await machine.redis()
    beside = await machine.sidecar()
    async with machine.adapter(beside.connection) as dapr:
        await dapr.bus.subscribe(SOURCE, inbox, concurrency=32)
        sent = [
            Message(TOPIC, b"%d" % number, f"m-{number}", f"c-{number}", "label", properties={"n": str(number)}) for number in range(300)
        ]
        await asyncio.gather(*(dapr.bus.publish([each]) for each in sent))
        came = [(await inbox.next()).message for _ in sent]
        assert sorted(came, key=lambda each: int(each.body)) == sent
        assert inbox.came.empty()


async def test_what_no_header_can_hold_arrives_all_the_same(machine, inbox):
    await machine.redis()
    beside = await machine.sidecar()
    async with machine.adapter(beside.connection) as dapr:
        await dapr.bus.subscribe(SOURCE, inbox, concurrency=1)
        await dapr.bus.publish([Message(TOPIC, b"1", "a\nb\r\n: ü", properties={"p": "\x00"})])
        assert (await inbox.next()).message.body == b"1"


async def test_the_components_for_a_laptop_carry_events_and_values(machine, inbox):
    environ = {"BRIDGE_STATE_FILE": str(machine.directory / "state.db")}
    beside = await machine.stack.enter_async_context(sidecar(machine.directory, COMPONENTS / "local", environ))
    async with machine.adapter(beside.connection) as dapr:
        await dapr.bus.subscribe(SOURCE, inbox, concurrency=1)
        await dapr.bus.publish([Message(TOPIC, b"\xff", deliver_at=datetime.now(UTC) + timedelta(seconds=0.1))])
        assert (await inbox.next()).message.body == b"\xff"


@pytest.mark.parametrize("path", ["secrets/any/key", "bindings/any", "configuration/any", "shutdown"])
async def test_through_the_sidecar_nothing_can_be_reached_that_the_bridge_does_not_use(machine, path):
    environ = {"BRIDGE_STATE_FILE": str(machine.directory / "state.db")}
    beside = await machine.stack.enter_async_context(sidecar(machine.directory, COMPONENTS / "local", environ))
    async with SidecarClient.open(beside.connection.address, beside.connection.api_token) as client:
        await client.wait_until_ready(20)
        answer = await client.post(path, b"{}", content_type="application/json")
    assert isinstance(answer, SidecarError)
    assert answer.status == 404


async def test_a_sidecar_that_never_comes_is_told(machine):
    connection = SidecarConfig(f"http://127.0.0.1:{machine.redis_port}", machine.app_port, "token", patience=0.3)
    with pytest.raises(Unavailable, match="was not ready"):
        await machine.stack.enter_async_context(machine.adapter(connection))


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"store": "nothing"}, "no component 'nothing'"), ({"bus": "store"}, "'store' of a type pubsub"), ({"api_token": "x"}, "API token")],
)
async def test_a_connection_that_does_not_fit_is_told(machine, changed, told):
    environ = {"BRIDGE_STATE_FILE": str(machine.directory / "state.db")}
    beside = await machine.stack.enter_async_context(sidecar(machine.directory, COMPONENTS / "local", environ))
    with pytest.raises(ConfigurationError, match=told):
        await machine.stack.enter_async_context(machine.adapter(replace(beside.connection, **changed)))


async def test_duplicate_detection_would_drop_what_is_put_off(machine):
    text = (
        (COMPONENTS / "servicebus.json")
        .read_text()
        .replace('"Name": "automation-timers",', '"Name": "automation-timers", "Properties": {"RequiresDuplicateDetection": true},')
    )
    (machine.directory / "servicebus.json").write_text(text)
    listed = entities.load(machine.directory / "servicebus.json")
    with pytest.raises(ConfigurationError, match="automation-timers: RequiresDuplicateDetection"):
        await machine.stack.enter_async_context(
            DaprComponents.open(SidecarConfig("http://127.0.0.1:1", 0, "token"), listed, replica="one", max_message=1)
        )


async def test_what_the_bus_took_for_later_and_then_refuses_for_good_is_given_up(machine):
    bus = machine.components / "bus.yaml"
    bus.write_text(bus.read_text().replace("scopes:", f"  - {{name: publishingScopes, value: automation-bridge={TOPIC}}}\nscopes:"))
    await machine.redis()
    beside = await machine.sidecar()
    kept: asyncio.Queue[tuple[Message, str]] = asyncio.Queue()

    async def keep(message: Message, why: str) -> None:
        kept.put_nowait((message, why))

    async with machine.adapter(beside.connection) as dapr:
        dapr.scheduler.dead_letter_to(keep)
        await dapr.bus.publish([Message("automation-timers", b"event", "m-1", deliver_at=datetime.now(UTC) + timedelta(seconds=0.2))])
        message, why = await asyncio.wait_for(kept.get(), 10)
    assert (message.message_id, message.body) == ("m-1", b"event")
    assert "ERR_PUBSUB_FORBIDDEN" in why


async def test_of_a_sidecar_that_delivers_over_http_the_fix_is_told(machine):
    environ = {"BRIDGE_STATE_FILE": str(machine.directory / "state.db")}
    beside = await machine.stack.enter_async_context(sidecar(machine.directory, COMPONENTS / "local", environ, protocol="http"))
    async with machine.adapter(beside.connection) as dapr:
        assert "over HTTP Dapr 1.18 loses events: start it with --app-protocol grpc" in await dapr.subscriptions.missing()
