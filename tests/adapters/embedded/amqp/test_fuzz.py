"""What nobody would send: the connection answers with an error or closes, raises nothing, and keeps little."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.adapters.embedded.amqp.service import Bounds
from bridge.amqp import frames
from bridge.amqp.amqptypes import Described, Symbol, UInt, ULong
from bridge.amqp.encode import encode
from bridge.amqp.frames import LARGEST_FRAME
from tests.adapters.embedded.amqp.conftest import ENTITIES
from tests.adapters.embedded.amqp.memory_broker import MemoryBroker
from tests.adapters.embedded.amqp.raw_client import RawClient, message, opened, sas
from tests.adapters.embedded.amqp.test_types import VALUES

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
CODES = st.one_of(st.integers(0x10, 0x18), st.integers(0, 255))
BOUNDS = Bounds(sessions=8, links=8, max_message=5000, unread=100_000)
FIELDS = st.lists(st.one_of(st.integers(0, 9).map(UInt), st.booleans(), st.none(), st.text(max_size=5), VALUES), max_size=14)
ADDRESSES = st.sampled_from(
    [
        "sb://[/plain",
        "sb://127.0.0.1:5672/plain",
        "plain",
        "sessions",
        "events",
        "events/Subscriptions/all",
        "plain/$management",
        "$cbs",
        "missing",
        "",
        "//",
    ]
)


def run(play: Callable[[RawClient], None], *, client: Callable[[MemoryBroker], RawClient] = lambda broker: opened(broker, BOUNDS)) -> None:
    """Play a story, wait until all that it started has ended, and look at what is left."""

    async def story() -> None:
        found = client(MemoryBroker(ENTITIES))
        play(found)
        for _ in range(5):
            await asyncio.sleep(0)
        found.connection.close(gone=True)
        for task in found.tasks:
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)
        assert found.failures == []
        assert len(found.connection._rest) <= LARGEST_FRAME

    asyncio.run(story())


@FUZZ
@given(st.lists(st.binary(max_size=100), max_size=10))
def test_any_bytes_at_all(pieces: list[bytes]) -> None:
    run(lambda client: [client.connection.receive(piece) for piece in pieces], client=lambda broker: RawClient(broker, BOUNDS))  # type: ignore[arg-type,return-value]


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60)), max_size=10))
def test_frames_of_wrong_sizes(heads: list[tuple[int, int, int, bytes]]) -> None:
    def play(client: RawClient) -> None:
        for size, offset, kind, body in heads:
            client.say(size.to_bytes(4, "big") + bytes((offset, kind, 0, 0)) + body)

    run(play)


@FUZZ
@given(st.lists(st.tuples(CODES, FIELDS, st.integers(0, 9), st.binary(max_size=50)), max_size=12))
def test_performatives_with_any_fields(said: list[tuple[int, list[Any], int, bytes]]) -> None:
    def play(client: RawClient) -> None:
        for code, fields, channel, payload in said:
            client.say(frames.frame(channel, encode(Described(ULong(code), fields)) + payload))

    run(play)


@FUZZ
@given(st.data())
def test_a_good_dialogue_with_bytes_changed(data: st.DataObject) -> None:
    spoken: list[bytes] = []

    def record(client: RawClient) -> None:
        listen = client.connection.receive
        client.connection.receive = lambda piece: (spoken.append(piece), listen(piece))[1]  # type: ignore[method-assign]
        client.open()
        client.begin()
        client.authorize(sas("sb://127.0.0.1/", expires=2**33))
        sender, _ = client.attach_sender("plain")
        client.transfer(sender, 0, message(b"x", properties={"a": 1}))
        receiver, _ = client.attach_receiver("plain")
        client.credit(receiver, 5)
        client.settle(0, Described(ULong(0x24), []))

    run(record, client=lambda broker: RawClient(broker, BOUNDS))
    whole = bytearray(b"".join(spoken))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    run(lambda client: client.connection.receive(bytes(whole[:cut])), client=lambda broker: RawClient(broker, BOUNDS))


@FUZZ
@given(ADDRESSES, VALUES, VALUES, st.booleans())
def test_links_to_any_address_with_any_filter_and_property(address: str, filtered: Any, value: Any, delete: bool) -> None:
    def play(client: RawClient) -> None:
        filters = {Symbol("com.microsoft:session-filter"): filtered}
        handle, _ = client.attach_receiver(address, delete=delete, filters=filters, com__microsoft=value)
        if not client.connection.is_over:
            client.credit(handle, 3)

    run(play)


@FUZZ
@given(ADDRESSES, st.binary(max_size=300), st.sampled_from([0, 0x80013700, 7]))
def test_messages_of_any_bytes(address: str, payload: bytes, message_format: int) -> None:
    def play(client: RawClient) -> None:
        handle, _ = client.attach_sender(address)
        client.transfer(handle, 0, payload, message_format=message_format)

    run(play)


@FUZZ
@given(
    st.sampled_from(
        ["renew-lock", "peek-message", "schedule-message", "receive-by-sequence-number", "update-disposition", "add-rule", "remove-rule"]
    ),
    st.one_of(
        VALUES,
        st.dictionaries(
            st.sampled_from(
                ["lock-tokens", "message-count", "from-sequence-number", "messages", "rule-name", "rule-description", "top", "skip"]
            ),
            VALUES,
        ),
    ),
)
def test_requests_to_management_with_any_body(operation: str, body: Any) -> None:
    def play(client: RawClient) -> None:
        requests, _ = client.attach_sender("events/Subscriptions/all/$management")
        replies, _ = client.attach_receiver("events/Subscriptions/all/$management")
        client.credit(replies, 10)
        asked = message(b"", value=body, message_id="m", properties={"operation": f"com.microsoft:{operation}"})
        client.transfer(requests, 0, asked)

    run(play)


@pytest.mark.parametrize(("part", "count"), [(b"x" * 4000, 7), (b"x", 300), (b"", 300)])
def test_a_client_that_only_sends_parts_of_messages_is_cut_off_at_the_bound(part: bytes, count: int) -> None:
    def play(client: RawClient) -> None:
        handle, _ = client.attach_sender("plain")
        for _ in range(count):
            client.transfer(handle, 0, part, more=True)

    bounds = Bounds(partial=10_000, max_message=2**20)

    def watched(client: RawClient) -> None:
        play(client)
        assert client.connection.is_over
        assert "unfinished" in client.connection.trouble

    run(watched, client=lambda broker: opened(broker, bounds))
