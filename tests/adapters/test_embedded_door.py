from __future__ import annotations

import asyncio
import base64
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from bridge import telemetry
from bridge.adapters.embedded import Embedded
from bridge.errors import ConfigurationError
from bridge.ports import Message
from tests.adapters.embedded_kit import entities, subscription

KNOWN = entities(
    queues={"grave": {}},
    orders=[subscription(MaxDeliveryCount=3, LockDuration="PT0.3S", ForwardDeadLetteredMessagesTo="grave")],
    slow=[subscription()],
)


class Client:
    """The other side of the door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, op: str, **fields: Any) -> None:
        await self.say_text(json.dumps({"op": op, **fields}))

    async def say_text(self, text: str) -> None:
        self.writer.write(text.encode() + b"\n")
        await self.writer.drain()

    async def hear(self, seconds: float = 10) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), seconds)
        return json.loads(line) if line else {}

    async def hears_nothing(self) -> bool:
        try:
            await self.hear(0.2)
        except TimeoutError:
            return True
        return False


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Embedded]:
    async with Embedded.open(tmp_path, KNOWN, queue_limit=100, data_limit=2**30, max_message=100_000) as opened:
        yield opened


@pytest.fixture
async def connect(embedded: Embedded, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def connected(token: str | None = None) -> Client:
            address = json.loads((tmp_path / "queue.json").read_text())
            client = Client(*await asyncio.open_connection(address["host"], address["port"], limit=2**20))
            stack.callback(client.writer.close)
            await client.say("hello", token=address["token"] if token is None else token)
            return client

        yield connected


@pytest.fixture
async def client(connect: Callable[..., Any]) -> Client:
    connected: Client = await connect()
    assert await connected.hear() == {"op": "hello", "ok": True}
    return connected


async def test_only_the_owner_can_read_address_and_token(embedded, tmp_path):
    assert stat.S_IMODE((tmp_path / "queue.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "queue.json").read_text())["port"] == embedded.door.port


async def test_the_address_is_gone_when_the_door_is_closed(tmp_path):
    async with Embedded.open(tmp_path, KNOWN, queue_limit=1, data_limit=1, max_message=1):
        pass
    assert not (tmp_path / "queue.json").exists()


async def test_a_port_that_is_taken_is_a_configuration_error(embedded, tmp_path):
    with pytest.raises(ConfigurationError, match=f"queue_port {embedded.door.port}"):
        async with Embedded.open(tmp_path / "b", KNOWN, queue_limit=1, data_limit=1, max_message=1, queue_port=embedded.door.port):
            pass


@pytest.mark.parametrize(
    "first", ['{"op":"hello","token":"wrong"}', '{"op":"hello","token":"wr\\u00f6ng"}', '{"op":"receive"}', "nonsense"]
)
async def test_who_does_not_show_the_token_is_shown_out(embedded, first):
    client = Client(*await asyncio.open_connection(embedded.door.host, embedded.door.port))
    await client.say_text(first)
    assert await client.hear() == {}
    client.writer.close()


async def test_a_message_comes_with_all_that_a_trigger_shows(embedded, client):
    sent = Message(
        "slow", b"\x00\xff", message_id="m", correlation_id="c", label="l", content_type="text/plain", properties={"color": "red"}
    )
    await client.say("receive", entity="slow/all", credit=1)
    await embedded.bus.publish([sent])
    came = await client.hear()
    properties = came["properties"]
    assert (came["op"], came["entity"], base64.b64decode(came["body"])) == ("message", "slow/all", b"\x00\xff")
    assert [properties[name] for name in ("messageId", "correlationId", "label", "contentType")] == ["m", "c", "l", "text/plain"]
    assert (properties["deliveryCount"], properties["expiresAt"], properties["applicationProperties"]) == (1, None, {"color": "red"})
    assert datetime.fromisoformat(properties["lockedUntil"]) > datetime.fromisoformat(properties["enqueuedTime"])
    assert properties["sequenceNumber"] > 0


async def test_no_sequence_number_comes_again_after_a_restart(tmp_path):
    numbers = []
    for _ in range(2):
        async with Embedded.open(tmp_path, KNOWN, queue_limit=100, data_limit=2**30, max_message=100_000) as embedded:
            client = Client(*await asyncio.open_connection(embedded.door.host, embedded.door.port, limit=2**20))
            await client.say("hello", token=json.loads((tmp_path / "queue.json").read_text())["token"])
            await client.hear()
            await client.say("receive", entity="slow/all", credit=1)
            await embedded.bus.publish([Message("slow", b"")])
            came = await client.hear()
            await client.say("settle", lock=came["lock"], outcome="complete")
            await client.hear()
            client.writer.close()
            numbers.append(came["properties"]["sequenceNumber"])
    assert numbers[0] < numbers[1]


async def test_no_more_messages_come_than_there_is_credit_and_settling_gives_one_back(embedded, client):
    await embedded.bus.publish([Message("slow", b"1"), Message("slow", b"2"), Message("slow", b"3")])
    await client.say("receive", entity="slow/all", credit=2)
    first, _ = await client.hear(), await client.hear()
    assert await client.hears_nothing()
    await client.say("settle", lock=first["lock"], outcome="complete")
    answers = [await client.hear(), await client.hear()]
    assert {"op": "settled", "lock": first["lock"], "ok": True} in answers
    assert sorted(answer["op"] for answer in answers) == ["message", "settled"]


async def test_a_completed_message_does_not_come_back(embedded, client, connect):
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=1)
    await client.say("settle", lock=(await client.hear())["lock"], outcome="complete")
    assert (await client.hear())["ok"] is True
    client.writer.close()
    other = await connect()
    await other.hear()
    await other.say("receive", entity="orders/all", credit=1)
    assert await other.hears_nothing()


async def test_an_abandoned_message_comes_back_until_it_is_a_dead_letter(embedded, client, inbox):
    await embedded.bus.subscribe("grave", inbox, concurrency=1)
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=1)
    counts = []
    for _ in range(3):
        came = await client.hear()
        counts.append(came["properties"]["deliveryCount"])
        await client.say("settle", lock=came["lock"], outcome="abandon")
        assert (await client.hear())["ok"] is True
    assert counts == [1, 2, 3]
    assert (await inbox.next()).message.properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"


async def test_a_message_is_dead_lettered_with_the_words_of_its_receiver(embedded, client, inbox):
    await embedded.bus.subscribe("grave", inbox, concurrency=1)
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=1)
    await client.say("settle", lock=(await client.hear())["lock"], outcome="deadletter", reason="Broken", description="no such table")
    properties = (await inbox.next()).message.properties
    assert (properties["DeadLetterReason"], properties["DeadLetterErrorDescription"]) == ("Broken", "no such table")
    assert (properties["x-opt-deadletter-source"], properties["deliveryCount"]) == ("orders/all", "1")


async def test_a_message_comes_back_when_its_lock_ends(embedded, client):
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=2)
    first, second = await client.hear(), await client.hear()
    assert [came["properties"]["deliveryCount"] for came in (first, second)] == [1, 2]
    await client.say("settle", lock=first["lock"], outcome="complete")
    assert await client.hear() == {"op": "settled", "lock": first["lock"], "ok": False, "error": "LockLost"}


async def test_a_client_that_is_too_slow_gets_no_more_until_it_settles(embedded, client):
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=1)
    first = await client.hear()
    await asyncio.sleep(0.4)
    assert await client.hears_nothing()
    await client.say("settle", lock=first["lock"], outcome="complete")
    assert (await client.hear())["error"] == "LockLost"
    assert (await client.hear())["properties"]["deliveryCount"] == 2


async def test_a_renewed_lock_lasts_longer(embedded, client):
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=1)
    came = await client.hear()
    for _ in range(3):
        await asyncio.sleep(0.2)
        await client.say("renew", lock=came["lock"])
        renewed = await client.hear()
        assert (renewed["op"], renewed["ok"]) == ("renewed", True)
    assert renewed["lockedUntil"] > came["properties"]["lockedUntil"]
    await client.say("settle", lock=came["lock"], outcome="complete")
    assert (await client.hear())["ok"] is True


@pytest.mark.parametrize("op", ["renew", "settle"])
async def test_a_lock_that_never_was_is_lost(client, op):
    await client.say(op, lock="none", **({"outcome": "complete"} if op == "settle" else {}))
    assert (await client.hear())["error"] == "LockLost"


async def test_one_client_cannot_settle_the_lock_of_another(embedded, client, connect):
    await embedded.bus.publish([Message("slow", b"1")])
    await client.say("receive", entity="slow/all", credit=1)
    came = await client.hear()
    other = await connect()
    await other.hear()
    await other.say("settle", lock=came["lock"], outcome="complete")
    assert (await other.hear())["error"] == "LockLost"


async def test_a_closed_connection_gives_its_messages_back_at_once_and_counted(embedded, client, connect):
    await embedded.bus.publish([Message("slow", b"1")])
    await client.say("receive", entity="slow/all", credit=1)
    await client.hear()
    client.writer.close()
    other = await connect()
    await other.hear()
    await other.say("receive", entity="slow/all", credit=1)
    assert (await other.hear(2))["properties"]["deliveryCount"] == 2


async def test_a_client_sends_to_topics_and_queues(embedded, client, inbox):
    await embedded.bus.subscribe("slow/all", inbox, concurrency=1)
    await embedded.bus.subscribe("grave", inbox, concurrency=1)
    first = {
        "topic": "slow",
        "body": base64.b64encode(b"1").decode(),
        "contentType": "text/plain",
        "messageId": "m",
        "correlationId": "c",
        "label": "l",
    }
    second = {"queue": "grave", "body": base64.b64encode(b"2").decode(), "properties": {"color": "red"}}
    await client.say("send", id=7, messages=[first, second])
    assert await client.hear() == {"op": "sent", "id": 7, "ok": True}
    came = {delivery.source: delivery.message for delivery in await inbox.take(2)}
    assert came["slow/all"] == Message("slow", b"1", message_id="m", correlation_id="c", label="l", content_type="text/plain")
    assert (came["grave"].body, came["grave"].properties) == (b"2", {"color": "red"})


@pytest.mark.parametrize(("topic", "count", "code"), [("none", 1, "Undeliverable"), ("slow", 101, "Full")])
async def test_a_send_that_fails_says_why(client, topic, count, code):
    await client.say("send", id=1, messages=[{"topic": topic, "body": ""}] * count)
    answer = await client.hear()
    assert (answer["op"], answer["id"], answer["ok"], answer["error"]) == ("sent", 1, False, code)
    assert answer["detail"]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"op":"dance"}',
        '{"op":"receive","entity":"slow/all","credit":0}',
        '{"op":"receive","entity":"slow/none","credit":1}',
        '{"op":"settle","lock":"x","outcome":"eat"}',
        '{"op":"send","id":1,"messages":[{"topic":"slow","body":"no base64!"}]}',
        '{"op":"renew"}',
        "\xff",
    ],
)
async def test_a_line_that_cannot_be_understood_is_answered_and_the_door_stays_open(client, line):
    await client.say_text(line)
    answer = await client.hear()
    assert answer["op"] == "error"
    assert answer["detail"]
    await client.say("renew", lock="x")
    assert (await client.hear())["op"] == "renewed"


async def test_a_line_without_end_is_refused_and_the_connection_closed(client):
    client.writer.write(b"x" * (2 * 100_000 + 2**20 + 2))
    assert (await client.hear())["error"] == "LineTooLong"
    assert await client.hear() == {}


async def test_closing_shows_clients_out(tmp_path):
    async with Embedded.open(tmp_path, KNOWN, queue_limit=1, data_limit=1, max_message=1) as embedded:
        reader, writer = await asyncio.open_connection(embedded.door.host, embedded.door.port)
        writer.write(json.dumps({"op": "hello", "token": json.loads((tmp_path / "queue.json").read_text())["token"]}).encode() + b"\n")
        await reader.readline()
    assert await reader.read() == b""
    writer.close()


async def test_what_only_the_queue_says_of_a_dead_letter_no_client_can_say(embedded, client, inbox):
    await embedded.bus.subscribe("grave", inbox, concurrency=1)
    said = {"DeadLetterReason": "forged", "x-opt-deadletter-source": "elsewhere/all", "deliveryCount": "9" * 4000, "color": "red"}
    await client.say("send", id=1, messages=[{"queue": "grave", "body": "", "properties": said}])
    assert (await client.hear())["ok"]
    assert (await inbox.next()).message.properties == {"color": "red"}


@pytest.mark.parametrize(
    "part",
    [
        {"properties": {"a": "x" * 4097}},
        {"properties": {"x" * 501: "a"}},
        {"properties": {str(n): "" for n in range(65)}},
        {"label": "x" * 501},
    ],
    ids=["value", "name", "number", "label"],
)
async def test_properties_have_bounds(client, part):
    await client.say("send", id=1, messages=[{"topic": "slow", "body": "", **part}])
    assert (await client.hear())["error"] == "Malformed"


async def test_the_words_of_a_receiver_are_no_name_of_a_counter(embedded, client):
    await embedded.bus.publish([Message("orders", b"1")])
    await client.say("receive", entity="orders/all", credit=1)
    await client.say("settle", lock=(await client.hear())["lock"], outcome="deadletter", reason="a word of its own")
    assert (await client.hear())["ok"]
    counted = generate_latest(telemetry.REGISTRY).decode()
    assert 'bridge_dead_letters_total{reason="DeadLettered"}' in counted
    assert "a word of its own" not in counted
