"""The HTTP/2 of the port for deliveries, as a client of another make speaks it, and as nobody should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from bridge.adapters.dapr.grpcserver import PREFACE, GrpcError, GrpcServer, Headers

LARGEST = 1_000_000
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GOAWAY = 7


async def echo(message: bytes, _headers: Headers) -> bytes:
    return message


async def refuse(_message: bytes, headers: Headers) -> bytes:
    raise GrpcError(16, dict(headers)["reason"])


async def broken(_message: bytes, _headers: Headers) -> bytes:
    raise RuntimeError("inside")


class Slow:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, message: bytes, _headers: Headers) -> bytes:
        self.begun.set()
        await self.go_on.wait()
        self.ended.set()
        return message


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def server(slow: Slow) -> AsyncIterator[int]:
    methods = {"/s/echo": echo, "/s/refuse": refuse, "/s/broken": broken, "/s/slow": slow}
    served = GrpcServer(methods, max_message=LARGEST, to_http_1="speak grpc")
    yield await served.start("127.0.0.1", 0)
    await served.stop(grace=0.1)


@pytest.fixture
async def channel(server: int) -> AsyncIterator[grpc.aio.Channel]:
    unlimited = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server}", options=unlimited) as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, 16_384, 100_000, LARGEST])
async def test_messages_and_answers_of_all_sizes_arrive_whole(channel, size):
    message = bytes(number % 251 for number in range(size))
    assert await channel.unary_unary("/s/echo")(message) == message


async def test_many_calls_at_a_time_get_their_own_answers(channel):
    call = channel.unary_unary("/s/echo")
    for _ in range(3):
        sent = [b"%d" % number * 50 for number in range(300)]
        assert await asyncio.gather(*(call(each) for each in sent)) == sent


async def test_headers_of_all_kinds_arrive(channel):
    for reason in ("a", "x" * 3000, "~!@#$%^&*()_+{}|:<>?"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary("/s/refuse")(b"", metadata=[("reason", reason[:100]), ("other", reason)])
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert error.value.details() == reason[:100]


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        ("/s/nothing", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("/s/broken", b"", grpc.StatusCode.INTERNAL),
        ("/s/echo", b"x" * (LARGEST + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_cannot_be_answered_is_told_and_the_connection_goes_on(channel, path, message, code):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary(path)(message)
    assert error.value.code() is code
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


async def test_a_call_that_its_caller_gives_up_goes_on(channel, slow):
    call = channel.unary_unary("/s/slow")(b"")
    waiting = asyncio.create_task(_wait(call))
    await asyncio.wait_for(slow.begun.wait(), 10)
    call.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slow.go_on.set()
    await asyncio.wait_for(slow.ended.wait(), 10)
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


async def _wait(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> None:
    await call


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 a hello of TLS",
        PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        PREFACE + SETTINGS + b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",
        PREFACE + SETTINGS + b"\x00\x00\x00\x01\x04\x00\x00\x00\x02",
        PREFACE + SETTINGS + b"\x00\x00\x01\x00\x00\x00\x00\x00\x09x",
        PREFACE + SETTINGS + b"\x00\x00\x00\x09\x04\x00\x00\x00\x01",
        PREFACE + SETTINGS + b"\x00\x00\x00\x01\x00\x00\x00\x00\x01" + SETTINGS,
        PREFACE + b"\x00\x00\x05\x04\x00\x00\x00\x00\x00.....",
        PREFACE + SETTINGS + b"\x00\x00\x01\x01\x0c\x00\x00\x00\x01\x09",
    ],
    ids=[
        "tls",
        "frame-too-large",
        "compression",
        "even-stream",
        "data-before-headers",
        "lone-continuation",
        "cut-headers",
        "settings",
        "padding",
    ],
)
async def test_what_is_no_http_2_ends_the_connection_and_nothing_else(server, channel, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(sent)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    kinds = []
    while said:
        kinds.append(said[3])
        said = said[9 + int.from_bytes(said[:3], "big") :]
    assert kinds[-1] == GOAWAY
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST /deliveries/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        b"P" + b"UT /" + b"x" * 10_000,
    ],
    ids=["short", "with-a-body", "long"],
)
async def test_a_request_of_http_1_is_refused_with_the_reason_and_never_only_cut_off(server, channel, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    for place in range(0, len(sent), 65536):
        writer.write(sent[place : place + 65536])
        await writer.drain()
    head, _, text = (await asyncio.wait_for(reader.readuntil(b"grpc"), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert text == b"speak grpc"
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


async def test_a_connection_that_ends_in_the_middle_is_no_trouble(server, channel):
    _, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(PREFACE + SETTINGS + b"\x00\x00\x10\x01\x04\x00\x00")
    await writer.drain()
    writer.close()
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"
