"""The server on a socket: bounds on what one client may cost, and what the log says of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from bridge.adapters.embedded.amqp.connection import AmqpConnection
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.server import AmqpServer
from bridge.adapters.embedded.amqp.service import AmqpService, Bounds
from bridge.amqp import frames, performatives
from bridge.amqp.frames import AMQP_HEADER, SASL_HEADER
from tests.adapters.embedded.amqp.conftest import ENTITIES
from tests.adapters.embedded.amqp.memory_broker import MemoryBroker
from tests.adapters.embedded.amqp.raw_client import RawClient, heard_in, message
from tests.adapters.embedded.amqp.sdk_kit import KEY, KEY_NAME

SUBPROTOCOLS = [Subprotocol("AMQPWSB10"), Subprotocol("amqp")]


@asynccontextmanager
async def serving(bounds: Bounds | None = None, broker: MemoryBroker | None = None) -> AsyncIterator[AmqpServer]:
    service = AmqpService(broker or MemoryBroker(ENTITIES), {KEY_NAME: KEY}, bounds or Bounds())
    async with AmqpServer.open(service, host="127.0.0.1", port=0) as server:
        yield server


def spoken_by(play: Any) -> bytes:
    """What a client says that plays a part, as bytes."""
    client = RawClient(MemoryBroker(ENTITIES))
    said: list[bytes] = []
    listen = client.connection.receive
    client.connection.receive = lambda data: (said.append(data), listen(data))[1]  # type: ignore[method-assign]
    play(client)
    return b"".join(said)


def begin(client: RawClient) -> None:
    client.open()
    client.begin()
    client.authorize()


@asynccontextmanager
async def connected(server: AmqpServer, said: bytes = b"", **options: Any) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has said something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **options)
    writer.write(said)
    try:
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def closed_within(reader: asyncio.StreamReader, seconds: float = 10) -> bytes:
    """All that comes until the server closes."""
    async with asyncio.timeout(seconds):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_junk_is_closed_and_told_once_a_minute_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with serving() as server:
            for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", b"nonsense, and more of it", b"AMQP\x00\x00\x09\x01"):
                async with connected(server, junk) as reader:
                    assert await closed_within(reader) == SASL_HEADER
    assert [(each.name, "header of AMQP 1.0" in each.getMessage()) for each in caplog.records] == [("bridge.servicebus", True)]


async def test_a_mistake_of_the_bridge_ends_one_connection_and_is_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a mistake")

    async with serving() as server:
        async with connected(server, spoken_by(begin)) as other:
            assert await other.readexactly(8) == SASL_HEADER
            with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
                patched.setattr(AmqpConnection, "receive", fail)
                async with connected(server, b"x") as reader:
                    assert await closed_within(reader) == b""
            assert [each.getMessage().count("a mistake") for each in caplog.records] == [1]
            assert [each.exc_info for each in caplog.records] == [None]
        async with connected(server, SASL_HEADER) as reader:
            assert await reader.readexactly(8) == SASL_HEADER


async def test_a_client_that_does_not_open_in_time_is_closed() -> None:
    async with serving(Bounds(open_within=0.2)) as server:
        async with connected(server) as reader:
            assert await closed_within(reader) == b""
        async with connected(server, SASL_HEADER) as reader:
            assert (await closed_within(reader))[:8] == SASL_HEADER


async def test_a_client_that_is_silent_for_too_long_is_closed() -> None:
    async with serving(Bounds(idle=0.2)) as server:
        async with connected(server, spoken_by(begin)) as reader:
            said = list(heard_in(await closed_within(reader)))
        assert (said[-1].code, said[-1].condition) == (performatives.CLOSE, "amqp:resource-limit-exceeded")


async def test_a_client_that_asks_for_signs_of_life_gets_them() -> None:
    def play(client: RawClient) -> None:
        client.say(SASL_HEADER)
        client.say(frames.frame(0, b"\x00\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS", frames.SASL) + AMQP_HEADER)
        client.say(frames.frame(0, b"\x00\x53\x10\xc0\x0c\x05\xa1\x01c\x40\x40\x40\x70\x00\x00\x03\xe8"))

    async with serving() as server, connected(server, spoken_by(play)) as reader, asyncio.timeout(10):
        await reader.readuntil(frames.EMPTY_FRAME)


async def test_more_connections_than_the_bound_are_refused_and_room_is_made_by_one_that_ends() -> None:
    async with serving(Bounds(connections=2)) as server, connected(server, SASL_HEADER) as kept:
        async with connected(server, SASL_HEADER) as second:
            for each in (kept, second):
                assert await each.readexactly(8) == SASL_HEADER
            async with connected(server, SASL_HEADER) as third:
                assert await closed_within(third) == b""
        await asyncio.sleep(0.1)
        async with connected(server, SASL_HEADER) as fourth, asyncio.timeout(10):
            assert await fourth.readexactly(8) == SASL_HEADER


async def test_more_links_of_all_connections_than_the_bound_are_refused_and_room_is_made_by_one_that_ends() -> None:
    def play(client: RawClient) -> None:
        begin(client)
        client.attach_receiver("plain")
        client.attach_receiver("plain")

    async def attached(reader: asyncio.StreamReader) -> bool:
        """Whether the last link was not refused."""
        await asyncio.sleep(0.3)
        return b"too many links" not in await reader.read(2**20)

    async with serving(Bounds(links_of_all=4)) as server:
        async with connected(server, spoken_by(play)) as first:
            assert await attached(first)
            await asyncio.sleep(1)
            async with connected(server, spoken_by(play)) as second:
                assert not await attached(second)
        await asyncio.sleep(1)
        async with connected(server, spoken_by(play)) as third:
            assert await attached(third)


async def test_a_client_that_reads_nothing_leaves_the_messages_in_the_queue() -> None:
    broker = MemoryBroker(ENTITIES)

    def play(client: RawClient) -> None:
        begin(client)
        receiver, _ = client.attach_receiver("plain", delete=True)
        client.credit(receiver, 4_000_000, window=4_000_000)

    async with serving(Bounds(unread=100_000), broker) as server:
        await broker.send("plain", [incoming(message(b"x" * 10_000))] * 2000)
        async with connected(server, spoken_by(play), limit=1000) as reader:
            before, left = -1, len(broker.queue("plain").entries)
            while left != before:
                await asyncio.sleep(0.3)
                before, left = left, len(broker.queue("plain").entries)
            assert left > 500  # what was sent fits into the buffers of the sockets, and 100 kB
            deadline = time.monotonic() + 30
            while broker.queue("plain").entries:
                await reader.read(2**20)
                assert time.monotonic() < deadline


async def test_amqp_goes_over_websockets_with_either_subprotocol() -> None:
    async with serving() as server:
        for subprotocol in SUBPROTOCOLS:
            uri = f"ws://127.0.0.1:{server.port}/$servicebus/websocket/"
            async with connect_websocket(uri, subprotocols=[subprotocol]) as socket:
                assert socket.subprotocol == subprotocol
                await socket.send(spoken_by(begin))
                heard = b""
                async with asyncio.timeout(10):
                    while not [each for each in heard_in(heard) if each.code == performatives.TRANSFER]:
                        part = await socket.recv()
                        assert isinstance(part, bytes)
                        heard += part


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/", {"subprotocols": SUBPROTOCOLS}, 404),
        ("/$servicebus/websocket/", {"subprotocols": SUBPROTOCOLS, "origin": "https://a.page"}, 403),
        ("/$servicebus/websocket/", {"subprotocols": [Subprotocol("mqtt")]}, 400),
    ],
)
async def test_other_requests_over_http_are_refused(path: str, options: Any, status: int) -> None:
    async with serving() as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect_websocket(f"ws://127.0.0.1:{server.port}{path}", **options):
                pass
        assert refused.value.response.status_code == status


async def test_a_server_that_stops_says_so() -> None:
    async with AsyncExitStack() as stack:
        async with serving() as server:
            reader = await stack.enter_async_context(connected(server, spoken_by(begin)))
            await asyncio.sleep(0.1)
        said = list(heard_in(await closed_within(reader)))
    assert (said[-1].code, said[-1].condition) == (performatives.CLOSE, "amqp:connection:forced")
