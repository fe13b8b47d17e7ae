"""Requests to $management, looked at as they are on the wire: some clients insist on one form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outgoing import bare_message
from bridge.amqp.amqptypes import Array, Described, Int, Long, Symbol, UInt
from bridge.amqp.decode import decode
from bridge.amqp.encode import encode
from bridge.amqp.performatives import TRANSFER
from bridge.amqp.sections import Parts
from tests.adapters.embedded.amqp.conftest import ENTITIES
from tests.adapters.embedded.amqp.memory_broker import MemoryBroker
from tests.adapters.embedded.amqp.raw_client import RawClient, message, opened

ARRAY = 0xF0
SUBSCRIPTION = "events/Subscriptions/all"


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(ENTITIES)


async def ask(client: RawClient, entity: str, operation: str, body: Any, *, message_id: Any = "m") -> Parts:
    """The reply to one request, over a pair of links of its own."""
    requests, _ = client.attach_sender(f"{entity}/$management")
    replies, _ = client.attach_receiver(f"{entity}/$management", reply=f"replies-{requests}")
    client.credit(replies, 1)
    asked = message(
        b"", value=body, message_id=message_id, reply_to=f"replies-{requests}", properties={"operation": f"com.microsoft:{operation}"}
    )
    client.transfer(requests, 0, asked)
    (reply,) = [each for each in await client.settled() if each.code == TRANSFER]
    return Parts(reply.payload)


def status(reply: Parts) -> tuple[int, str | None]:
    properties = reply.mapping(0x74, typed=True)
    assert type(properties["statusCode"]) is Int
    return properties["statusCode"], properties.get("errorCondition")


def body(reply: Parts) -> dict[str, Any]:
    found = reply.message[reply.bodies[0].value :]
    value: dict[str, Any] = decode(found)[0]
    return value


def raw(reply: Parts, name: str) -> int:
    """The code with which the value of an entry of the body begins."""
    data, key = reply.message, encode(name)
    return data[data.index(key) + len(key)]


async def put(broker: MemoryBroker, *bodies: bytes, entity: str = "plain") -> Sequence[int]:
    return await broker.send(entity, [incoming(message(each, message_id=each.decode())) for each in bodies])


@pytest.mark.parametrize("message_id", ["text", UUID(int=7), 2**40, None])
async def test_a_reply_has_the_id_of_its_request_as_it_came(broker: MemoryBroker, message_id: Any) -> None:
    reply = await ask(opened(broker), "plain", "peek-message", {"from-sequence-number": Long(0), "message-count": 1}, message_id=message_id)
    assert reply.fields(0x73)[5] == message_id


async def test_peeking_gives_messages_and_204_where_there_are_none(broker: MemoryBroker) -> None:
    client = opened(broker)
    asked = {"from-sequence-number": Long(0), "message-count": 10}
    assert status(await ask(client, "plain", "peek-message", asked)) == (204, None)
    await put(broker, b"a", b"b")
    reply = await ask(client, "plain", "peek-message", asked)
    assert [incoming(each["message"]).body for each in body(reply)["messages"]] == [b"a", b"b"]


async def test_a_renewed_lock_is_answered_with_an_array_of_times(broker: MemoryBroker) -> None:
    client = opened(broker)
    await put(broker, b"a")
    receiver, _ = client.attach_receiver("plain")
    (delivery,) = client.credit(receiver, 1)
    token = UUID(bytes_le=delivery.fields[2])
    reply = await ask(client, "plain", "renew-lock", {"lock-tokens": Array(0x98, [token])})
    assert (status(reply), raw(reply, "expirations")) == ((200, None), ARRAY)
    assert body(reply)["expirations"][0] > datetime.now(UTC)
    stale = await ask(client, "plain", "renew-lock", {"lock-tokens": Array(0x98, [uuid4()])})
    assert status(stale) == (410, "com.microsoft:message-lock-lost")


@pytest.mark.parametrize(
    ("disposition", "left"),
    [("completed", None), ("abandoned", 0), ("defered", 1), ("suspended", None)],
)
async def test_a_message_is_settled_by_its_lock_token(broker: MemoryBroker, disposition: str, left: int | None) -> None:
    client = opened(broker)
    (number,) = await put(broker, b"a")
    receiver, _ = client.attach_receiver("plain")
    (delivery,) = client.credit(receiver, 1)
    asked = {
        "disposition-status": disposition,
        "lock-tokens": Array(0x98, [UUID(bytes_le=delivery.fields[2])]),
        "deadletter-reason": "why",
        "properties-to-modify": {"n": Long(1)},
    }
    assert status(await ask(client, "plain", "update-disposition", asked)) == (200, None)
    entry = broker.queue("plain").entries.get(number)
    assert (entry.stored.state if entry else None) == left
    if disposition == "suspended":
        (letter,) = broker.queue("plain/$DeadLetterQueue").entries.values()
        assert letter.stored.properties_to_add == {"n": 1, "DeadLetterReason": "why"}


async def test_scheduling_gives_an_array_of_numbers_that_can_be_cancelled(broker: MemoryBroker) -> None:
    client = opened(broker)
    at = datetime.now(UTC) + timedelta(hours=1)
    later = encode(Described(UInt(0x72), {Symbol("x-opt-scheduled-enqueue-time"): at})) + message(b"later")
    reply = await ask(client, "plain", "schedule-message", {"messages": [{"message": later, "message-id": "m"}]})
    assert raw(reply, "sequence-numbers") == ARRAY
    numbers = body(reply)["sequence-numbers"]
    cancel = {"sequence-numbers": Array(0x81, numbers)}
    assert status(await ask(client, "plain", "cancel-scheduled-message", cancel)) == (200, None)
    assert status(await ask(client, "plain", "cancel-scheduled-message", cancel)) == (404, "com.microsoft:message-not-found")
    assert status(await ask(client, "plain", "schedule-message", {"messages": [{"message": message(b"now")}]}))[0] == 400


@pytest.mark.parametrize("take", [True, False])
async def test_a_deferred_message_comes_with_its_lock_token_in_two_places(broker: MemoryBroker, take: bool) -> None:
    client = opened(broker)
    (number,) = await put(broker, b"a")
    receiver, _ = client.attach_receiver("plain")
    (delivery,) = client.credit(receiver, 1)
    client.settle(delivery.fields[1], Described(UInt(0x27), [False, True]))
    await client.settled()
    asked = {"sequence-numbers": Array(0x81, [number]), "receiver-settle-mode": UInt(0 if take else 1)}
    (found,) = body(await ask(client, "plain", "receive-by-sequence-number", asked))["messages"]
    assert Parts(found["message"]).mapping(0x71) == {"x-opt-lock-token": found["lock-token"]}
    assert (number in broker.queue("plain").entries) is not take
    assert status(await ask(client, "plain", "receive-by-sequence-number", asked)) == (404, "com.microsoft:message-not-found")


async def test_rules_are_added_listed_in_pages_and_removed(broker: MemoryBroker) -> None:
    client = opened(broker)
    sql = {"sql-filter": {"expression": "a = 1"}, "sql-rule-action": {"expression": "SET b = 2"}}
    correlation = {"correlation-filter": {"label": "x", "correlation-id": None, "properties": {"k": Long(1)}}}
    for name, description in (("sql", sql), ("corr", correlation), ("none", {"sql-filter": {"expression": "1=0"}})):
        assert status(await ask(client, SUBSCRIPTION, "add-rule", {"rule-name": name, "rule-description": description})) == (200, None)
    again = await ask(client, SUBSCRIPTION, "add-rule", {"rule-name": "sql", "rule-description": sql})
    assert status(again) == (409, "com.microsoft:entity-already-exists")
    rules = [
        each["rule-description"] for each in body(await ask(client, SUBSCRIPTION, "enumerate-rules", {"top": 100, "skip": 0}))["rules"]
    ]
    assert {each.descriptor for each in rules} == {0x13700000004}
    described = {each.value[2]: (each.value[0].descriptor, each.value[1].descriptor) for each in rules}
    assert described == {
        "$Default": (0x1370000007, 0x13700000005),
        "corr": (0x1370000009, 0x13700000005),
        "none": (0x1370000008, 0x13700000005),
        "sql": (0x1370000006, 0x13700000006),
    }
    page = body(await ask(client, SUBSCRIPTION, "enumerate-rules", {"top": 2, "skip": 1}))["rules"]
    assert [each["rule-description"].value[2] for each in page] == ["corr", "none"]
    assert status(await ask(client, SUBSCRIPTION, "enumerate-rules", {"top": 2, "skip": 9})) == (204, None)
    assert status(await ask(client, SUBSCRIPTION, "remove-rule", {"rule-name": "sql"})) == (200, None)
    assert status(await ask(client, SUBSCRIPTION, "remove-rule", {"rule-name": "sql"})) == (404, "amqp:not-found")


async def test_sessions_with_messages_are_listed_as_an_array_of_texts(broker: MemoryBroker) -> None:
    client = opened(broker)
    everything = {"last-updated-time": datetime(9999, 12, 31, tzinfo=UTC), "skip": 0, "top": 10}
    assert status(await ask(client, "sessions", "get-message-sessions", everything)) == (204, None)
    await broker.send("sessions", [incoming(bare_message(b"x", message_id="m", session_id=each)) for each in "ab"])
    reply = await ask(client, "sessions", "get-message-sessions", everything)
    assert (raw(reply, "sessions-ids"), body(reply)["sessions-ids"]) == (ARRAY, ["a", "b"])


async def test_a_session_can_be_handled_only_where_it_is_locked(broker: MemoryBroker) -> None:
    client, stranger = opened(broker), opened(broker)
    client.attach_receiver("sessions", filters={Symbol("com.microsoft:session-filter"): "a"})
    await client.settled()
    session = {"session-id": "a"}
    assert status(await ask(client, "sessions", "set-session-state", {**session, "session-state": b"kept"})) == (200, None)
    assert body(await ask(client, "sessions", "get-session-state", session)) == {"session-state": b"kept"}
    assert body(await ask(client, "sessions", "renew-session-lock", session))["expiration"] > datetime.now(UTC)
    assert status(await ask(stranger, "sessions", "get-session-state", session)) == (410, "com.microsoft:session-lock-lost")


@pytest.mark.parametrize(
    ("operation", "asked", "expected"),
    [
        ("make-coffee", {}, (501, "amqp:not-implemented")),
        ("peek-message", [], (400, "amqp:invalid-field")),
        ("peek-message", {"from-sequence-number": "one", "message-count": 1}, (400, "amqp:invalid-field")),
        ("peek-message", {"message-count": 1}, (400, "amqp:invalid-field")),
        ("renew-lock", {"lock-tokens": [1]}, (400, "amqp:invalid-field")),
        ("update-disposition", {"disposition-status": "lost", "lock-tokens": []}, (400, "amqp:invalid-field")),
        ("schedule-message", {"messages": [{"message": b"\xff"}]}, (400, "amqp:invalid-field")),
        ("add-rule", {"rule-name": "r", "rule-description": {}}, (400, "amqp:invalid-field")),
    ],
)
async def test_a_request_that_cannot_be_is_answered_with_the_reason(
    broker: MemoryBroker, operation: str, asked: Any, expected: tuple[int, str]
) -> None:
    assert status(await ask(opened(broker), SUBSCRIPTION, operation, asked)) == expected


async def test_a_node_of_an_entity_that_is_not_there_answers_so(broker: MemoryBroker) -> None:
    reply = await ask(opened(broker), "missing", "peek-message", {"from-sequence-number": Long(0), "message-count": 1})
    assert status(reply) == (404, "amqp:not-found")
