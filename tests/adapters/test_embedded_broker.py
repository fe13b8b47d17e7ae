"""The broker on the embedded queue: what outlives a restart or a kill, how it meets the bridge's own bus, and many messages."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import cloudevents
from bridge.adapters.embedded.amqp.brokererrors import MessageNotFound, MessageTooLarge, RuleNotFound, ServerBusy
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Defer, Reject
from bridge.adapters.embedded.amqp.filterrules import CorrelationFilter, FilterRule, SqlFilter, TrueFilter
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.database import FILE
from bridge.adapters.embedded.databasefile import VERSION
from bridge.entities import Entities
from bridge.ports import Message
from tests.contracts.broker_kit import Client, body_of, embedded_broker, known, message, properties_of, queue
from tests.contracts.conftest import Inbox


def later(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


# Restarts.


async def test_what_was_sent_outlives_a_restart_as_it_was(tmp_path):
    sent = [message(str(number), properties={"n": number}, session_id=f"s{number}", priority=number) for number in range(3)]
    async with embedded_broker(tmp_path) as (broker, _):
        numbers = await broker.send("jobs", sent)
        await Client.of(broker, "jobs", credit=1).next()
    async with embedded_broker(tmp_path) as (broker, _):
        client = Client.of(broker, "jobs")
        came = [(await client.next()).stored for _ in sent]
    assert [(stored.sequence_number, stored.encoded, stored.priority, stored.session_id) for stored in came] == [
        (number, each.encoded, each.priority, each.session_id) for number, each in zip(numbers, sent, strict=True)
    ]


async def test_counts_and_properties_of_settlement_outlive_a_restart(tmp_path):
    async with embedded_broker(tmp_path) as (broker, _):
        await broker.send("jobs", [message("a"), message("b"), message("c")])
        client = Client.of(broker, "jobs", credit=3)
        abandoned, deferred, dead = [await client.next() for _ in range(3)]
        await client.settle(abandoned, Abandon({"when": datetime(2026, 1, 2, tzinfo=UTC), "n": 7}))
        await client.settle(deferred, Defer({"why": "later"}))
        await client.settle(dead, Reject("Bad", "very"))
    async with embedded_broker(tmp_path) as (broker, _):
        locked = await Client.of(broker, "jobs").next()
        assert locked.stored.delivery_count == 1
        assert properties_of(locked) == {"when": datetime(2026, 1, 2, tzinfo=UTC), "n": 7}
        (again,) = await broker.receive_deferred("jobs", [deferred.stored.sequence_number], receive_and_delete=False, session_id=None)
        assert properties_of(again) == {"why": "later"}
        buried = await Client.of(broker, "jobs/$DeadLetterQueue").next()
        assert properties_of(buried) == {"DeadLetterReason": "Bad", "DeadLetterErrorDescription": "very"}
        assert buried.stored.dead_letter_source == "jobs"


async def test_what_is_scheduled_can_be_canceled_after_a_restart(tmp_path):
    async with embedded_broker(tmp_path) as (broker, _):
        canceled, kept = [(await broker.send(name, [message("a", scheduled=later())]))[0] for name in ("plain", "jobs")]
    async with embedded_broker(tmp_path) as (broker, _):
        await broker.cancel_scheduled("plain", [canceled])
        with pytest.raises(MessageNotFound):
            await broker.cancel_scheduled("plain", [canceled])
        assert [each.sequence_number for each in await broker.peek("jobs", 0, 9, None)] == [kept]


async def test_message_ids_are_remembered_over_a_restart(tmp_path):
    entities = known(Queues=[queue("once", RequiresDuplicateDetection=True)])
    async with embedded_broker(tmp_path, entities) as (broker, _):
        await broker.send("once", [message("a")])
    async with embedded_broker(tmp_path, entities) as (broker, bus):
        first, second = await broker.send("once", [message("a"), message("b")])
        assert (first, second > 0) == (0, True)
        await bus.publish([Message("once", b"a", message_id="id-a")])
        assert await Client.of(broker, "once").bodies(2) == ["a", "b"]


async def test_rules_that_clients_changed_outlive_a_restart(tmp_path):
    address = "orders/Subscriptions/red"
    given = [
        FilterRule("number", CorrelationFilter(label="l", properties={"n": 3, "id": later().replace(microsecond=0)}), "SET a = 1"),
        FilterRule("sql", SqlFilter("a = 'b'")),
        FilterRule("true", TrueFilter()),
    ]
    async with embedded_broker(tmp_path) as (broker, _):
        await broker.remove_rule(address, "RED")
        for rule in given:
            await broker.add_rule(address, rule)
        before = await broker.rules(address)
    async with embedded_broker(tmp_path) as (broker, _):
        assert await broker.rules(address) == before
        assert [(rule.name, rule.filter, rule.action) for rule in before] == [(rule.name, rule.filter, rule.action) for rule in given]
        with pytest.raises(RuleNotFound):
            await broker.remove_rule(address, "red")


async def test_the_state_of_a_session_and_its_order_outlive_a_restart(tmp_path):
    async with embedded_broker(tmp_path) as (broker, _):
        await broker.send("sessions", [message(str(number), session_id="s") for number in range(3)])
        client = await Client.of_session(broker, "sessions")
        await client.settle(await client.next(), Complete())
        await client.receiver.set_state(b"one done")
    async with embedded_broker(tmp_path) as (broker, _):
        client = await Client.of_session(broker, "sessions")
        assert await client.receiver.state() == b"one done"
        assert await client.bodies(2) == ["1", "2"]


async def test_a_long_session_is_read_piece_by_piece(tmp_path):
    async with embedded_broker(tmp_path) as (broker, _):
        for start in range(0, 1_000, 100):
            await broker.send("sessions", [message(str(number), session_id=name) for number in range(start, start + 100) for name in "ab"])
        client = await Client.of_session(broker, "sessions", "a", credit=1_000, delete=True)
        assert await client.bodies(1_000) == [str(number) for number in range(1_000)]


VERSION_1 = """CREATE TABLE messages(
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, due REAL NOT NULL, enqueued REAL NOT NULL, expires REAL,
        attempts INTEGER NOT NULL, scheduled INTEGER NOT NULL, topic TEXT NOT NULL, message_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
        label TEXT NOT NULL, content_type TEXT NOT NULL, properties TEXT NOT NULL, body BLOB NOT NULL)"""


async def test_a_data_directory_of_version_1_is_opened_with_its_messages(tmp_path):
    now = time.time()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute(VERSION_1)
        row = (7, "jobs", now, now, None, 1, 0, "jobs", "id-1", "c-1", "l", "application/json", '{"a": "b"}', b"old")
        connection.execute(f"INSERT INTO messages VALUES({','.join('?' * len(row))})", row)
        connection.execute("PRAGMA user_version=1")
    for _ in range(2):
        async with embedded_broker(tmp_path) as (broker, _):
            client = Client.of(broker, "jobs", credit=1)
            locked = await client.next()
            assert (body_of(locked), locked.stored.sequence_number, properties_of(locked)) == ("old", 7, {"a": "b"})
            await client.settle(locked, Abandon())
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


# The bridge on the same bus.


@pytest.mark.parametrize("ruled", [False, True])
async def test_what_the_bridge_publishes_is_received_by_session_under_its_correlation_id(tmp_path, ruled):
    topic = {"Name": "replies", "Subscriptions": [{"Name": "mine", "Properties": {"RequiresSession": True}}]}
    if ruled:
        sql = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "sys.SessionId = 'order-1'"}, "Action": {"SqlExpression": "SET a = 1"}}
        topic["Subscriptions"][0]["Rules"] = [{"Name": "mine", "Properties": sql}]
    async with embedded_broker(tmp_path, Entities.model_validate({"Name": "n", "Topics": [topic]})) as (broker, bus):
        address = "replies/Subscriptions/mine"
        sent = Message("replies", b"a", "id-a", "order-1", label="l", properties={"x": "y", "deliveryCount": "9"})
        await bus.publish([sent, Message("replies", b"b")])
        client = await Client.of_session(broker, address, "order-1")
        stored = (await client.next()).stored
        found = incoming(stored.encoded)
        assert (found.body, found.session_id, found.message_id, found.correlation_id, found.label) == (
            b"a",
            "order-1",
            "id-a",
            "order-1",
            "l",
        )
        assert (stored.session_id, properties_of(stored)["x"], "deliveryCount" in properties_of(stored)) == ("order-1", "y", False)
        if not ruled:
            dead = await Client.of(broker, f"{address}/$DeadLetterQueue").next()
            assert (body_of(dead), properties_of(dead)["DeadLetterReason"]) == ("b", "SessionIdMissing")


async def test_what_the_bridge_publishes_has_its_properties_over_amqp(tmp_path):
    async with embedded_broker(tmp_path) as (broker, bus):
        sent = Message(
            "jobs",
            b'{"a": 1}',
            "m-1",
            "c-1",
            "table.summarize",
            "application/json",
            time_to_live=timedelta(minutes=5),
            properties={"x": "y"},
        )
        await bus.publish([sent])
        stored = (await Client.of(broker, "jobs").next()).stored
    seen = incoming(stored.encoded)
    assert (seen.message_id, seen.correlation_id, seen.label, seen.content_type, seen.body, seen.properties) == (
        "m-1",
        "c-1",
        "table.summarize",
        "application/json",
        b'{"a": 1}',
        {"x": "y"},
    )
    assert stored.expires - stored.enqueued == timedelta(minutes=5)


async def test_a_dead_letter_of_the_bridge_names_its_reason_over_amqp_and_only_that(tmp_path):
    async with embedded_broker(tmp_path) as (broker, bus):
        await bus.publish([Message("jobs", b"a", properties={"x": "y"})])
        client = Client.of(broker, "jobs")
        await client.settle(await client.next(), Reject("Bad", "very", {"n": 1}))
        locked = await Client.of(broker, "jobs/$DeadLetterQueue").next()
    assert properties_of(locked) == {"x": "y", "n": 1, "DeadLetterReason": "Bad", "DeadLetterErrorDescription": "very"}
    assert locked.stored.dead_letter_source == "jobs"


async def test_what_comes_over_amqp_reaches_the_handlers_of_the_bridge(tmp_path):
    inbox = Inbox()
    async with embedded_broker(tmp_path) as (broker, bus):
        await bus.subscribe("jobs", inbox, concurrency=1)
        properties: dict[str, Any] = {"n": 3, "yes": True, "at": datetime(2026, 1, 2, tzinfo=UTC)}
        await broker.send("jobs", [message("body", label="l", correlation_id="c", content_type="text/plain", properties=properties)])
        delivery = await inbox.next()
    assert delivery.message == Message(
        "jobs", b"body", "id-body", "c", "l", "text/plain", properties={"n": "3", "yes": "true", "at": "2026-01-02T00:00:00Z"}
    )


EVENT = {"specversion": "1.0", "id": "e-1", "source": "/tests", "type": "automation.requested", "subject": "a.b"}


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
async def test_a_cloudevent_in_binary_mode_is_read_by_the_bridge(tmp_path, prefix):
    inbox = Inbox()
    async with embedded_broker(tmp_path) as (broker, bus):
        await bus.subscribe("jobs", inbox, concurrency=1)
        properties = {f"{prefix}{name}": value for name, value in EVENT.items()}
        properties[f"{prefix}time"] = datetime(2026, 1, 2, tzinfo=UTC)
        await broker.send("jobs", [message('{"n": 1}', content_type="application/json", properties=properties)])
        event = (await inbox.next()).message.read_event()
    assert event.data == {"n": 1}
    assert event.attributes == {**EVENT, "datacontenttype": "application/json", "time": "2026-01-02T00:00:00Z"}


async def test_a_cloudevent_in_structured_mode_is_read_by_the_bridge(tmp_path):
    inbox = Inbox()
    async with embedded_broker(tmp_path) as (broker, bus):
        await bus.subscribe("jobs", inbox, concurrency=1)
        body = json.dumps({**EVENT, "data": {"n": 1}})
        await broker.send("jobs", [message(body, content_type=cloudevents.STRUCTURED)])
        assert (await inbox.next()).message.read_event().data == {"n": 1}


async def test_a_sender_cannot_say_where_a_dead_letter_came_from(tmp_path):
    inbox = Inbox()
    forged = {"x-opt-deadletter-source": "elsewhere", "DeadLetterReason": "mine", "deliveryCount": "99", "x": "y"}
    async with embedded_broker(tmp_path) as (broker, bus):
        await bus.subscribe("jobs", inbox, concurrency=1)
        await broker.send("jobs", [message("a", properties=forged)])
        assert (await inbox.next()).message.properties == {"x": "y"}


async def test_dead_letters_of_functions_reach_the_bridge_with_their_reason(tmp_path):
    inbox = Inbox()
    async with embedded_broker(tmp_path) as (broker, bus):
        await bus.subscribe("jobs", inbox, concurrency=1)
        await broker.send("fragile", [message("a", properties={"x": 1})])
        client = Client.of(broker, "fragile")
        await client.settle(await client.next(), Reject("Bad", "very"))
        its = (await inbox.next()).message
    assert (its.body, its.properties["DeadLetterReason"], its.properties["x-opt-deadletter-source"]) == (b"a", "Bad", "fragile")
    assert its.properties["x"] == "1"


async def test_rules_with_actions_hold_for_what_the_bridge_publishes(tmp_path):
    inbox = Inbox()
    async with embedded_broker(tmp_path) as (broker, bus):
        address = "plain/Subscriptions/one"
        await broker.remove_rule(address, "$Default")
        await broker.add_rule(
            address, FilterRule("r", SqlFilter("sys.Label = 'l' AND x = 'y'"), "SET sys.Label = 'm'; REMOVE x; SET n = 1")
        )
        await bus.subscribe("plain/one", inbox, concurrency=1)
        await bus.publish([Message("plain", b"a", label="l", properties={"x": "y"}), Message("plain", b"b", label="l")])
        its = (await inbox.next()).message
        assert (its.body, its.label, its.properties) == (b"a", "m", {"n": "1", "RuleName": "r"})
        assert await inbox.stays_empty(0.1)


# Bounds.


async def test_a_full_queue_is_busy_and_a_topic_is_as_full_as_its_fullest_subscription(tmp_path):
    async with embedded_broker(tmp_path, queue_limit=3) as (broker, _):
        await broker.send("jobs", [message("a"), message("b")])
        with pytest.raises(ServerBusy):
            await broker.send("jobs", [message("c"), message("d")])
        await broker.send("jobs", [message("c"), message("e", scheduled=later())])
        client = Client.of(broker, "jobs", credit=1)
        await client.settle(await client.next(), Complete())
        await broker.send("jobs", [message("d")])


async def test_a_message_is_as_large_as_the_bridge_takes_it(tmp_path):
    async with embedded_broker(tmp_path, max_message=1_000) as (broker, _):
        largest = broker.open_sender("jobs").max_message_size
        around = largest - len(message("").encoded)
        await broker.send("jobs", [message("x" * (around - 100), message_id="id-")])
        with pytest.raises(MessageTooLarge):
            await broker.send("jobs", [message("x" * (around + 1), message_id="id-")])


async def test_a_directory_that_is_full_is_busy_and_has_room_again(tmp_path):
    async with embedded_broker(tmp_path, data_limit=2**20) as (broker, _):
        for number in range(5):
            await broker.send("jobs", [message("x" * 100_000, message_id=str(number))])
        with pytest.raises(ServerBusy):
            await broker.send("jobs", [message("x" * 700_000, message_id="more")])
        client = Client.of(broker, "jobs", delete=True)
        while not await client.stays_empty(0.3):
            client.came.get_nowait()
        await asyncio.sleep(1)
        await broker.send("jobs", [message("a")])


async def test_duplicates_take_no_room(tmp_path):
    entities = known(Queues=[queue("once", RequiresDuplicateDetection=True)])
    async with embedded_broker(tmp_path, entities, queue_limit=2) as (broker, _):
        for _ in range(5):
            await broker.send("once", [message("a")])
        await broker.send("once", [message("b")])


async def test_many_messages_take_no_memory_and_are_peeked_and_received_in_order(tmp_path):
    count = 1_000_000
    async with embedded_broker(tmp_path) as (broker, _):
        await broker.send("jobs", [message("first")])
    encoded = message("many").encoded
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO messages SELECT (SELECT max(id) FROM messages) + i, 'jobs', (SELECT max(due) FROM messages) + i * 1e-9,
            0, NULL, 0, 0, 'jobs', 'id-' || i, '', '', '', '', '', NULL, ?, -2, NULL FROM n""",
            (count, encoded),
        )
    gc.collect()
    before = memory()
    async with embedded_broker(tmp_path, queue_limit=2 * count) as (broker, bus):
        assert bus.queue("jobs").depth == count + 1
        (first,) = await broker.peek("jobs", 0, 1, None)
        peeked = await broker.peek("jobs", first.sequence_number + count // 2, 100, None)
        assert [each.sequence_number - first.sequence_number for each in peeked] == list(range(count // 2, count // 2 + 100))
        client = Client.of(broker, "jobs", credit=5_000, delete=True)
        numbers = [(await client.next()).stored.sequence_number for _ in range(5_000)]
        assert numbers == list(range(first.sequence_number, first.sequence_number + 5_000))
        assert memory() - before < 64 * 2**20


def memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def test_what_expires_becomes_a_dead_letter_although_nobody_receives(tmp_path):
    async with embedded_broker(tmp_path) as (broker, _):
        await broker.send("fading", [message("a")])
        locked = await Client.of(broker, "fading/$DeadLetterQueue").next()
        assert properties_of(locked)["DeadLetterReason"] == "TTLExpiredException"
