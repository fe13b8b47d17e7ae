from __future__ import annotations

from typing import Any

import pytest

from bridge.amqp import frames
from bridge.amqp.amqptypes import UInt
from bridge.amqp.performatives import ATTACH, BEGIN, CLOSE, END, OPEN
from tests.adapters.embedded.amqp.conftest import ENTITIES
from tests.adapters.embedded.amqp.connection_kit import codes
from tests.adapters.embedded.amqp.memory_broker import MemoryBroker
from tests.adapters.embedded.amqp.raw_client import RawClient, message, opened


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(ENTITIES)


async def test_a_failure_of_the_broker_is_an_error_for_the_client_and_a_line_for_the_log(broker: MemoryBroker) -> None:
    class Broken(MemoryBroker):
        async def send(self, address: str, messages: Any) -> list[int]:  # noqa: ARG002
            raise RuntimeError("a secret path")

        def open_receiver(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("another")

    client = opened(Broken(ENTITIES))
    assert client.attach_receiver("plain")[1][-1].condition == "amqp:internal-error"
    handle, _ = client.attach_sender("plain")
    client.transfer(handle, 0, message(b"x"))
    (said,) = await client.settled()
    assert said.condition == "amqp:internal-error"
    assert "secret" not in str(said)
    assert [str(each) for each in client.failures] == ["another", "a secret path"]


async def test_a_client_that_ends_well_is_answered(broker: MemoryBroker) -> None:
    client = opened(broker)
    assert codes(client.frame(END)) == [END]
    assert codes(client.frame(CLOSE)) == [CLOSE]
    assert client.connection.is_over
    assert client.say(b"anything") == []


@pytest.mark.parametrize(
    "spoken",
    [
        pytest.param(lambda client: client.frame(BEGIN, None, UInt(0), UInt(1), UInt(1), channel=5000), id="a channel beyond the bound"),
        pytest.param(lambda client: client.begin(0), id="a session twice"),
        pytest.param(lambda client: client.frame(END, channel=7), id="a session that is not there"),
        pytest.param(lambda client: client.frame(0x1F), id="an unknown performative"),
        pytest.param(lambda client: client.frame(OPEN, "again"), id="open twice"),
        pytest.param(lambda client: client.frame(BEGIN, "text", 0, 0, 0, channel=1), id="a field of a wrong type"),
        pytest.param(lambda client: client.frame(BEGIN, channel=1), id="a field that lacks"),
        pytest.param(lambda client: client.say(b"\xff\xff\xff\xff\x02\x00\x00\x00"), id="a frame of 4 GB"),
        pytest.param(lambda client: client.say(b"\x00\x00\x00\x09\x09\x00\x00\x00\x00"), id="a body behind the frame"),
        pytest.param(lambda client: client.say(b"\x00\x00\x00\x01\x02\x00\x00\x00"), id="a frame smaller than its head"),
    ],
)
async def test_what_breaks_the_protocol_closes_the_connection_with_an_error(broker: MemoryBroker, spoken: Any) -> None:
    client = opened(broker)
    said = spoken(client)
    assert codes(said) == [CLOSE]
    assert said[0].condition.startswith("amqp:")
    assert client.connection.is_over


@pytest.mark.parametrize(
    "spoken",
    [
        pytest.param(lambda client: client.transfer(77, 0, b"x"), id="a transfer without a link"),
        pytest.param(lambda client: client.credit(77, 1), id="credit without a link"),
        pytest.param(lambda client: client.frame(ATTACH, "link", UInt(256), False), id="a handle beyond the bound"),
    ],
)
async def test_what_breaks_a_session_ends_it_and_leaves_the_connection(broker: MemoryBroker, spoken: Any) -> None:
    client = opened(broker)
    said = spoken(client)
    assert codes(said) == [END]
    assert said[0].condition.startswith("amqp:session:")
    assert codes(client.begin(0)) == [BEGIN]


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"AMQP\x00\x00\x09\x01", b"AMQP\x00\x01\x00\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
)
async def test_what_does_not_begin_as_amqp_with_sasl_is_answered_with_the_header_and_closed(broker: MemoryBroker, first: bytes) -> None:
    client = RawClient(broker)
    client.connection.receive(first)
    assert b"".join(client.connection.output.take()) == frames.SASL_HEADER
    assert client.connection.is_over
